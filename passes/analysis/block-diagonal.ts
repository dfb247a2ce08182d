/**
 * How near a matrix is to a block-diagonal one, as it stands and with rows and columns in the best order that is found:
 * whether a convolution could do with groups, and which channels would be in each.
 */
import { InternalError } from '#ir/diagnostics.ts';

/** Row-major. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export interface Blocks {
  readonly groups: number;
  /** The group of each row; all groups have equally many. */
  readonly ofRows: readonly number[];
  /** The group of each column; likewise. */
  readonly ofColumns: readonly number[];
  /** Part of the sum of squares in the blocks; 1 / groups is what a matrix without structure gives. */
  readonly share: number;
}

/** Do rows and columns divide into so many groups? */
export const divides = ({ rows, columns }: Pick<DenseMatrix, 'rows' | 'columns'>, groups: number): boolean =>
  rows % groups === 0 && columns % groups === 0;

/** Rows and columns in the order in which they stand. */
export function givenBlocks(matrix: DenseMatrix, groups: number): Blocks {
  return measured(
    squares(matrix, groups),
    groups,
    inOrder(matrix.rows, groups),
    inOrder(matrix.columns, groups),
  );
}

/**
 * The groups of rows and of columns, equally large, that hold as much of the sum of squares as can be found. Rows and
 * columns lie near each other in the leading singular vectors of D_r^-½·A·D_c^-½ if they belong together (A: the squares;
 * Dhillon, "Co-clustering documents and words using bipartite spectral graph partitioning", KDD 2001). Clusters of those,
 * and the given order, are made better by exchanges, rows against rows and columns against columns, until none helps;
 * the better end counts. What is block-diagonal up to the order of rows and columns is found exactly; of anything else
 * this is a lower bound. Deterministic.
 * @param basis as `spectralBasis` gives it for at least so many groups, where several numbers of groups are tried
 * @throws InternalError where rows or columns do not divide into the groups
 */
export function findBlocks(
  matrix: DenseMatrix,
  groups: number,
  basis: SpectralBasis = spectralBasis(matrix, groups),
): Blocks {
  const a = squares(matrix, groups);
  const starts = [
    { ofRows: inOrder(a.rows, groups), ofColumns: inOrder(a.columns, groups) },
    clustered(a, groups, basis),
  ];
  const [given, ...others] = starts.map((start) => refined(a, groups, start));
  const best = others.reduce(
    (kept, other) => (other.share > kept.share * (1 + SAME) ? other : kept),
    given as Blocks,
  );
  return numbered(best);
}

/** Leading singular vectors of the normalised squares of a matrix. */
export interface SpectralBasis {
  readonly count: number;
  /** [rows, count], orthonormal columns. */
  readonly left: Float64Array;
  /** [columns, count], likewise. */
  readonly right: Float64Array;
}

/** By orthogonal iteration; the first k vectors span what an iteration with k would. */
export function spectralBasis(matrix: DenseMatrix, groups: number): SpectralBasis {
  const { rows, columns } = matrix;
  const count = Math.min(groups, rows, columns);
  const a = normalised(matrix);
  const steps = Math.max(LEAST_STEPS, Math.min(MOST_STEPS, Math.floor(WORK / (2 * rows * columns * count))));
  const left = new Float64Array(rows * count);
  const right = scattered(columns * count);
  for (let step = 0; step < steps; step++) {
    left.fill(0);
    for (let r = 0, at = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, at++) addScaled(left, r * count, right, c * count, count, a[at] ?? 0);
    }
    orthonormalise(left, count);
    right.fill(0);
    for (let r = 0, at = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, at++) addScaled(right, c * count, left, r * count, count, a[at] ?? 0);
    }
    orthonormalise(right, count);
  }
  return { count, left, right };
}

/** Products that an iteration may take; a large matrix has few vectors that stand out, or none that matter. */
const WORK = 4e8;
const LEAST_STEPS = 12;
const MOST_STEPS = 120;
/** Relative difference below which two sums are the same. */
const SAME = 1e-12;

type Grouping = Pick<Blocks, 'ofRows' | 'ofColumns'>;

function squares({ rows, columns, data }: DenseMatrix, groups: number): DenseMatrix {
  if (!divides({ rows, columns }, groups)) {
    throw new InternalError(`${rows}×${columns} does not divide into ${groups} groups`);
  }
  return { rows, columns, data: data.map((x) => x * x) };
}

const inOrder = (size: number, groups: number): readonly number[] =>
  Array.from({ length: size }, (_, i) => Math.floor((i * groups) / size));

/** Sums of squares by row and by column. */
function degrees({ rows, columns, data }: DenseMatrix): {
  readonly ofRows: Float64Array;
  readonly ofColumns: Float64Array;
} {
  const ofRows = new Float64Array(rows);
  const ofColumns = new Float64Array(columns);
  for (let r = 0, at = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, at++) {
      const x = data[at] ?? 0;
      ofRows[r] = (ofRows[r] ?? 0) + x;
      ofColumns[c] = (ofColumns[c] ?? 0) + x;
    }
  }
  return { ofRows, ofColumns };
}

function normalised(matrix: DenseMatrix): Float64Array {
  const a = squares(matrix, 1);
  const { ofRows, ofColumns } = degrees(a);
  const root = (d: number) => (d > 0 ? 1 / Math.sqrt(d) : 0);
  const [byRow, byColumn] = [ofRows.map(root), ofColumns.map(root)];
  return a.data.map((x, i) => x * (byRow[Math.floor(i / a.columns)] ?? 0) * (byColumn[i % a.columns] ?? 0));
}

/** Numbers without pattern, the same each time. */
function scattered(length: number): Float64Array {
  let state = 1;
  return Float64Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function addScaled(
  to: Float64Array,
  toAt: number,
  from: Float64Array,
  fromAt: number,
  count: number,
  by: number,
): void {
  if (by === 0) return;
  for (let k = 0; k < count; k++) to[toAt + k] = (to[toAt + k] ?? 0) + by * (from[fromAt + k] ?? 0);
}

/** Gram and Schmidt, twice for each column as rounding asks for; a column that depends on others becomes zero. */
function orthonormalise(vectors: Float64Array, count: number): void {
  const dot = (i: number, j: number): number => {
    let sum = 0;
    for (let at = 0; at < vectors.length; at += count) sum += (vectors[at + i] ?? 0) * (vectors[at + j] ?? 0);
    return sum;
  };
  for (let j = 0; j < count; j++) {
    const before = Math.sqrt(dot(j, j));
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        const along = dot(i, j);
        for (let at = 0; at < vectors.length; at += count) {
          vectors[at + j] = (vectors[at + j] ?? 0) - along * (vectors[at + i] ?? 0);
        }
      }
    }
    const length = Math.sqrt(dot(j, j));
    const by = length > 1e-10 * before ? 1 / length : 0;
    for (let at = j; at < vectors.length; at += count) vectors[at] = (vectors[at] ?? 0) * by;
  }
}

/** Rows and columns as points on a sphere, around centres that lie far apart. */
function clustered(a: DenseMatrix, groups: number, basis: SpectralBasis): Grouping {
  const { ofRows, ofColumns } = degrees(a);
  const size = Math.min(groups, basis.count);
  const points = [...pointsOf(basis.left, basis.count, size), ...pointsOf(basis.right, basis.count, size)];
  const weights = [...ofRows, ...ofColumns];
  let centres = seeds(points, weights, groups);
  let grouping: Grouping = { ofRows: [], ofColumns: [] };
  for (let step = 0; step < CLUSTER_STEPS; step++) {
    const near = (of: readonly Float64Array[]) =>
      balanced(
        Float64Array.from({ length: of.length * groups }, (_, at) =>
          inner(of[Math.floor(at / groups)], centres[at % groups]),
        ),
        groups,
      );
    grouping = { ofRows: near(points.slice(0, a.rows)), ofColumns: near(points.slice(a.rows)) };
    const next = centres.map(() => new Float64Array(size));
    [...grouping.ofRows, ...grouping.ofColumns].forEach((group, i) => {
      const [centre, point] = [next[group], points[i]];
      if (centre && point) addScaled(centre, 0, point, 0, size, weights[i] ?? 0);
    });
    centres = next.map(unit);
  }
  return grouping;
}

const CLUSTER_STEPS = 8;

function pointsOf(vectors: Float64Array, count: number, size: number): readonly Float64Array[] {
  return Array.from({ length: vectors.length / count }, (_, i) =>
    unit(vectors.slice(i * count, i * count + size)),
  );
}

function inner(a = EMPTY, b = EMPTY): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

const EMPTY: Float64Array = new Float64Array();

function unit(vector: Float64Array): Float64Array {
  const length = Math.sqrt(inner(vector, vector));
  return length > 0 ? vector.map((x) => x / length) : vector;
}

/** The heaviest point, then again and again the one whose weight lies furthest from those chosen. */
function seeds(
  points: readonly Float64Array[],
  weights: readonly number[],
  groups: number,
): readonly Float64Array[] {
  const chosen: Float64Array[] = [];
  const distance = points.map(() => 1);
  while (chosen.length < groups) {
    let furthest = 0;
    points.forEach((_, i) => {
      const [d, most] = [i, furthest].map((k) => (distance[k] ?? 0) * (weights[k] ?? 0));
      if ((d ?? 0) > (most ?? 0)) furthest = i;
    });
    const seed = points[furthest] ?? EMPTY;
    chosen.push(seed);
    points.forEach((point, i) => {
      distance[i] = Math.min(distance[i] ?? 0, Math.max(0, 1 - inner(point, seed)));
    });
  }
  return chosen;
}

/** The group of each by how much it gains there, [each][group], the largest gains first, equally many in each. */
function balanced(gains: Float64Array, groups: number): readonly number[] {
  const count = gains.length / groups;
  const room = new Array<number>(groups).fill(count / groups);
  const group = new Array<number>(count).fill(-1);
  const wishes = Uint32Array.from(gains, (_, at) => at).sort(
    (x, y) => (gains[y] ?? 0) - (gains[x] ?? 0) || x - y,
  );
  for (const wish of wishes) {
    const [i, k] = [Math.floor(wish / groups), wish % groups];
    if (group[i] !== -1 || (room[k] ?? 0) === 0) continue;
    group[i] = k;
    room[k] = (room[k] ?? 0) - 1;
  }
  return group;
}

/** Rows or columns while they are exchanged. */
interface Side {
  readonly group: number[];
  /** Elements of the matrix from one of these to the next. */
  readonly stride: number;
  /** [each][group]: what of each lies in the groups of the other side. */
  readonly gains: Float64Array;
}

interface Move {
  readonly which: number;
  readonly from: number | undefined;
  readonly to: number;
}

/** Exchanges rows, then columns, until no exchange of two gains anything. */
function refined(a: DenseMatrix, groups: number, start: Grouping): Blocks {
  const side = (group: readonly number[], stride: number): Side => ({
    group: [...group],
    stride,
    gains: new Float64Array(group.length * groups),
  });
  const rows = side(start.ofRows, a.columns);
  const columns = side(start.ofColumns, 1);
  const entered = ({ group }: Side) => group.map((to, which): Move => ({ which, from: undefined, to }));
  follow(a, rows, columns, groups, entered(columns));
  follow(a, columns, rows, groups, entered(rows));
  const least = SAME * a.data.reduce((sum, x) => sum + x, 0);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const moved = exchange(rows, groups, least);
    follow(a, columns, rows, groups, moved);
    const others = exchange(columns, groups, least);
    follow(a, rows, columns, groups, others);
    if (moved.length + others.length === 0) break;
  }
  return measured(a, groups, rows.group, columns.group);
}

const MOST_ROUNDS = 200;

/** Keeps the gains of one side true where some of the other side have changed their groups. */
function follow(
  { data }: DenseMatrix,
  side: Side,
  other: Side,
  groups: number,
  moves: readonly Move[],
): void {
  const { gains, stride, group } = side;
  for (const { which, from, to } of moves) {
    for (let i = 0; i < group.length; i++) {
      const x = data[i * stride + which * other.stride] ?? 0;
      const at = i * groups;
      gains[at + to] = (gains[at + to] ?? 0) + x;
      if (from !== undefined) gains[at + from] = (gains[at + from] ?? 0) - x;
    }
  }
}

/** Between each two groups, those that gain most by changing over, in pairs. Who changed? */
function exchange({ group, gains }: Side, groups: number, least: number): readonly Move[] {
  const before = [...group];
  const members = Array.from({ length: groups }, (): number[] => []);
  for (const [i, k] of group.entries()) members[k]?.push(i);
  const more = (i: number, from: number, to: number) =>
    (gains[i * groups + to] ?? 0) - (gains[i * groups + from] ?? 0);
  const most = (from: number, to: number): number => {
    let best = -Infinity;
    for (const i of members[from] ?? []) best = Math.max(best, more(i, from, to));
    return best;
  };
  const wishing = (from: number, to: number) =>
    (members[from] ?? []).toSorted((i, j) => more(j, from, to) - more(i, from, to) || i - j);
  for (let changed = true; changed; ) {
    changed = false;
    for (let k = 0; k < groups; k++) {
      for (let l = k + 1; l < groups; l++) {
        if (most(k, l) + most(l, k) <= least) continue;
        const [there, here] = [wishing(k, l), wishing(l, k)];
        for (let n = 0; n < there.length; n++) {
          const [x = 0, y = 0] = [there[n], here[n]];
          if (more(x, k, l) + more(y, l, k) <= least) break;
          [there[n], here[n]] = [y, x];
          group[x] = l;
          group[y] = k;
        }
        members[k] = there;
        members[l] = here;
        changed = true;
      }
    }
  }
  return group.flatMap((to, which): readonly Move[] => {
    const from = before[which];
    return from === to ? [] : [{ which, from, to }];
  });
}

function measured(
  { rows, columns, data }: DenseMatrix,
  groups: number,
  ofRows: readonly number[],
  ofColumns: readonly number[],
): Blocks {
  let [inside, total] = [0, 0];
  for (let r = 0, at = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, at++) {
      const x = data[at] ?? 0;
      total += x;
      if (ofRows[r] === ofColumns[c]) inside += x;
    }
  }
  return { groups, ofRows, ofColumns, share: total === 0 ? 1 / groups : inside / total };
}

/** Groups in the order of their first rows. */
function numbered({ groups, ofRows, ofColumns, share }: Blocks): Blocks {
  const number = new Map([...new Set(ofRows)].map((group, i) => [group, i]));
  const rename = (group: number) => number.get(group) ?? group;
  return { groups, ofRows: ofRows.map(rename), ofColumns: ofColumns.map(rename), share };
}
