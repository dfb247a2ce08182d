/** Totals over ranges of sizes. */
import { CompileError } from '#ir/diagnostics.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { graphLiveness } from '#passes/analysis/liveness.ts';
import type { Dimensions, SpecialisedModel } from './model.ts';

/** A dimension at several sizes, ascending. */
export interface DimensionRange {
  readonly name: string;
  readonly sizes: readonly number[];
}

export interface RangeRow {
  readonly dims: Dimensions;
  /** Null where the model does not take these sizes. */
  readonly totals: {
    readonly macs: number;
    readonly otherOps: number;
    readonly parameters: number;
    readonly peakActivationBytes: number;
    readonly bytesRead: number;
    readonly bytesWritten: number;
  } | null;
  readonly reason?: string;
}

/** Every choice of sizes, the last dimension fastest; a choice that the model refuses says why. */
export function auditRange(
  model: (dims: Dimensions) => SpecialisedModel,
  ranges: readonly DimensionRange[],
  fixed: Dimensions = {},
): readonly RangeRow[] {
  const choices = ranges.reduce<readonly Dimensions[]>(
    (all, { name, sizes }) => all.flatMap((dims) => sizes.map((size) => ({ ...dims, [name]: size }))),
    [{}],
  );
  return choices.map((dims): RangeRow => {
    try {
      const { graph } = model({ ...fixed, ...dims });
      const { macs, otherOps, parameters, bytesRead, bytesWritten } = graphCost(graph).totals;
      const peakActivationBytes = graphLiveness(graph).peakBytes;
      return { dims, totals: { macs, otherOps, parameters, peakActivationBytes, bytesRead, bytesWritten } };
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      return { dims, totals: null, reason: error.diagnostics[0]?.message ?? error.message };
    }
  });
}
