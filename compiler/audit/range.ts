/** Totals over ranges of sizes. */
import { CompileError } from '#ir/diagnostics.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { peakBytes } from '#passes/analysis/liveness.ts';
import { type Preset, presetTotal } from '#passes/analysis/presets/index.ts';
import { type BudgetResult, type BudgetTerm, checkBudget } from './budget.ts';
import type { Dimensions, SpecialisedModel } from './model.ts';

/** A dimension at several sizes, ascending. */
export interface DimensionRange {
  readonly name: string;
  readonly sizes: readonly number[];
}

export interface RangeTotals {
  readonly macs: number;
  /** By the preset that was asked for. */
  readonly counted?: number;
  readonly flops: number;
  readonly otherOps: number;
  readonly parameters: number;
  readonly parameterBytes: number;
  readonly buffers: number;
  readonly peakActivationBytes: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly layers: number;
}

export interface RangeRow {
  readonly dims: Dimensions;
  /** Null where the model does not take these sizes. */
  readonly totals: RangeTotals | null;
  readonly reason?: string;
  /** Where there are limits; a choice that the model refuses meets none. */
  readonly budget?: readonly BudgetResult[];
}

export interface RangeOptions {
  readonly preset?: Preset;
  /** Limits on totals that a row has, for each row. */
  readonly budget?: readonly BudgetTerm[];
}

/** Every choice of sizes, the last dimension fastest; a choice that the model refuses says why. */
export function auditRange(
  model: (dims: Dimensions) => SpecialisedModel,
  ranges: readonly DimensionRange[],
  fixed: Dimensions = {},
  { preset, budget = [] }: RangeOptions = {},
): readonly RangeRow[] {
  const choices = ranges.reduce<readonly Dimensions[]>(
    (all, { name, sizes }) => all.flatMap((dims) => sizes.map((size) => ({ ...dims, [name]: size }))),
    [{}],
  );
  return choices.map((dims): RangeRow => {
    const row = rowAt(model, dims, fixed, preset);
    return budget.length === 0 ? row : { ...row, budget: limitsOf(budget, row) };
  });
}

function rowAt(
  model: (dims: Dimensions) => SpecialisedModel,
  dims: Dimensions,
  fixed: Dimensions,
  preset: Preset | undefined,
): RangeRow {
  try {
    const { graph } = model({ ...fixed, ...dims });
    const cost = graphCost(graph);
    const { macs, flops, otherOps, parameters, parameterBytes, buffers, bytesRead, bytesWritten } =
      cost.totals;
    return {
      dims,
      totals: {
        macs,
        ...(preset ? { counted: presetTotal(cost, preset) } : {}),
        flops,
        otherOps,
        parameters,
        parameterBytes,
        buffers,
        peakActivationBytes: peakBytes(graph),
        bytesRead,
        bytesWritten,
        layers: graph.nodes.length,
      },
    };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return { dims, totals: null, reason: error.diagnostics[0]?.message ?? error.message };
  }
}

function limitsOf(terms: readonly BudgetTerm[], { totals, reason = '' }: RangeRow): readonly BudgetResult[] {
  if (totals) return checkBudget(terms, { totals, layers: { length: totals.layers } });
  return terms.map(({ text, quantity, limit }) => ({
    text,
    quantity,
    actual: null,
    limit,
    met: false,
    reason,
  }));
}
