/** What the passes of `compile` make of a graph, found by running them on a copy without the values of weights. */
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { type PassTrace, runPipeline } from '../../pass.ts';
import { graphPipeline } from '../../pipeline.ts';

export interface Folded {
  readonly graph: Graph;
  readonly traces: readonly PassTrace[];
}

/** Constants of at most so many elements keep their values: shapes, scales, bounds. */
const SMALL = 16;

/** @param until the pass to stop after */
export function foldedBy(graph: Graph, until: string): Folded {
  const copy = cloneGraph(graph, withoutValues);
  return { traces: runPipeline(copy, graphPipeline, { until, verify: false }), graph: copy };
}

const withoutValues = (constant: Constant): Constant =>
  constant.type.dtype === 'f32' && elementCount(constant.type.shape) > SMALL
    ? { type: constant.type, data: null, missing: 'not needed' }
    : constant;
