/** Layers that minimal filtering on WebGPU fits. */
import { type GpuChoices, lowerGraph, USUAL_CHOICES } from '#compiler/targets/webgpu/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { Random } from './graphs.ts';
import { optimisedForGpu } from './webgpu.ts';

/** Sums of a few hundred terms near 1, after transforms that double what rounding does (Lavin & Gray, section 6). */
export const BOUND = 1e-5;

export interface Layer {
  readonly batch: number;
  readonly groups: number;
  readonly perGroup: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly pads: readonly [number, number, number, number];
}

/** A conv 3×3 between others, so that its inputs and outputs lie channels last, with a residual. */
export function layerGraph(
  { batch, groups, perGroup, channels, height, width, pads }: Layer,
  seed: number,
): Graph {
  const random = new Random(seed);
  const b = new Builder('conv');
  const [inputs, outputs] = [groups * perGroup, groups * channels];
  const x = b.input('x', [batch, 4, height, width]);
  const before = b.relu(b.conv(x, b.constant('v', random.tensor([inputs, 4, 1, 1])), {}));
  const w = b.constant('w', random.tensor([outputs, perGroup, 3, 3], -0.1, 0.1));
  const bias = b.constant('b', random.tensor([outputs]));
  const y = b.conv(before, w, { pads, group: groups, bias });
  const sum = b.relu(b.op('Add', [y, b.input('r', y.type.shape)], {}));
  b.output('y', b.conv(sum, b.constant('u', random.tensor([8, outputs, 1, 1], -0.2, 0.2)), {}));
  return b.graph;
}

export const choosing = (quads: 4 | 8): GpuChoices => ({ ...USUAL_CHOICES, minimal: () => ({ quads }) });

export const familiesOf = (graph: Graph): string[] =>
  lowerGraph(optimisedForGpu(graph), 'f32', choosing(4)).calls.map(({ kernel }) => kernel.family);
