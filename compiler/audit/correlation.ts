/** How the filters of a layer correlate with those of the layer before it, for `audit --correlation`. */
import type { Graph } from '#ir/graph.ts';
import {
  type Blocks,
  type DenseMatrix,
  divides,
  findBlocks,
  givenBlocks,
  spectralBasis,
} from '#passes/analysis/block-diagonal.ts';
import {
  type CorrelationBasis,
  correlationOfWeights,
  type FilterCorrelation,
  type StandardConv,
  standardConv,
} from '#passes/analysis/filter-correlation.ts';
import { layerNamed } from './at.ts';

/** So many groups are tried, where channels divide into them. */
export const GROUP_COUNTS = [2, 4, 8, 16] as const;

export interface GroupScore {
  readonly groups: number;
  /** Part of the squared correlation inside the diagonal blocks, channels in the order of the model. */
  readonly given: number;
  /** With channels in the best order that was found. */
  readonly found: Blocks;
  /** The best order found of the same numbers, shuffled within each row: what a search makes of no structure. */
  readonly shuffled: number;
}

export interface CorrelationReport {
  readonly layer: string;
  readonly matrix: DenseMatrix;
  readonly basis: CorrelationBasis;
  readonly scores: readonly GroupScore[];
}

/** The layer by its name, as tables give it. @throws CompileError where it is none whose channels could be grouped */
export const correlatedLayer = (graph: Graph, name: string): StandardConv =>
  standardConv(layerNamed(graph, name).node);

/** @throws CompileError `weights-missing` where there are no responses either */
export function correlate(
  conv: StandardConv,
  { matrix, basis }: FilterCorrelation = correlationOfWeights(conv),
): CorrelationReport {
  const counts = GROUP_COUNTS.filter((groups) => divides(matrix, groups));
  const most = Math.max(1, ...counts);
  const [own, other] = [matrix, shuffledRows(matrix)].map((m) => ({ m, vectors: spectralBasis(m, most) }));
  return {
    layer: conv.name,
    matrix,
    basis,
    scores: counts.flatMap((groups) =>
      own && other
        ? [
            {
              groups,
              given: givenBlocks(matrix, groups).share,
              found: findBlocks(own.m, groups, own.vectors),
              shuffled: findBlocks(other.m, groups, other.vectors).share,
            },
          ]
        : [],
    ),
  };
}

/** What stands out most over what a search makes of no structure, of equals the most groups; undefined where there are none. */
export const clearest = ({ scores }: CorrelationReport): GroupScore | undefined =>
  [...scores].sort((a, b) => {
    const more = excess(b) - excess(a);
    return Math.abs(more) > 1e-6 ? more : b.groups - a.groups;
  })[0];

/** 1 where all is in the blocks, 0 where no more than after shuffling. */
export const excess = ({ found, shuffled }: GroupScore): number =>
  shuffled >= 1 ? 0 : (found.share - shuffled) / (1 - shuffled);

/** The same each time. */
function shuffledRows({ rows, columns, data }: DenseMatrix): DenseMatrix {
  const out = data.slice();
  let state = 1;
  for (let r = 0; r < rows; r++) {
    for (let c = columns - 1; c > 0; c--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const [from, to] = [r * columns + c, r * columns + Math.floor((state / 2 ** 32) * (c + 1))];
      [out[from], out[to]] = [out[to] ?? 0, out[from] ?? 0];
    }
  }
  return { rows, columns, data: out };
}
