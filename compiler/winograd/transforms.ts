/**
 * Minimal filtering F(m, 3): m outputs of a filter of three taps from m + 2 inputs with m + 2 multiplications, as
 * y = Aᵀ[(G g) ⊙ (Bᵀ d)] (Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", section 4). The matrices come
 * from the interpolation points by Cook and Toom's construction; the last point is always infinity.
 */
export type Matrix = readonly (readonly number[])[];

/** Outputs per tile and axis. */
export type TileSize = 2 | 4;

export interface WinogradTransform {
  readonly outputs: TileSize;
  /** m + 2 */
  readonly size: number;
  /** Bᵀ, of the input: size × size. */
  readonly input: Matrix;
  /** G, of the filter: size × 3. */
  readonly filter: Matrix;
  /** Aᵀ, of the products: m × size. */
  readonly output: Matrix;
}

const TAPS = 3;

/**
 * Points in pairs ±p, so that half the work of a transform is shared. 0, ±3/4, ±3/2 keep the entries of the matrices close
 * to 1, which makes F(4) a few times more accurate than the textbook's 0, ±1, ±2.
 */
const POINTS: Readonly<Record<TileSize, readonly number[]>> = {
  2: [0, 1, -1],
  4: [0, 3 / 4, -3 / 4, 3 / 2, -3 / 2],
};

const FOUND = new Map<TileSize, WinogradTransform>();

export function winogradTransform(outputs: TileSize): WinogradTransform {
  const known = FOUND.get(outputs) ?? construct(outputs, POINTS[outputs]);
  FOUND.set(outputs, known);
  return known;
}

function construct(outputs: TileSize, points: readonly number[]): WinogradTransform {
  const size = outputs + TAPS - 1;
  const others = (i: number) => points.filter((_, k) => k !== i);
  const padded = (row: readonly number[]) => Array.from({ length: size }, (_, k) => row[k] ?? 0);
  return {
    outputs,
    size,
    input: [...points.map((_, i) => padded(rootsToPolynomial(others(i)))), padded(rootsToPolynomial(points))],
    filter: [
      ...points.map((p, i) => {
        const scale = others(i).reduce((n, q) => n * (p - q), 1);
        return [1 / scale, p / scale, (p * p) / scale];
      }),
      [0, 0, 1],
    ],
    output: Array.from({ length: outputs }, (_, k) => [
      ...points.map((p) => p ** k),
      k === outputs - 1 ? 1 : 0,
    ]),
  };
}

/** Coefficients of Π (x − root), lowest power first. */
function rootsToPolynomial(roots: readonly number[]): number[] {
  return roots.reduce<number[]>(
    (p, root) => Array.from({ length: p.length + 1 }, (_, k) => (p[k - 1] ?? 0) - root * (p[k] ?? 0)),
    [1],
  );
}
