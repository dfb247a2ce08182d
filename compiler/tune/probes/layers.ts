/** Single layers of synthetic shapes as probes: products on one register tile, depthwise windows. */
import { Builder } from '#ir/builder.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { type Graph, type Node, result } from '#ir/graph.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { product, type Shape } from '#ir/types.ts';
import { seededInput } from '#runtime/abi.ts';
import { Stepper } from '../../check/stepper.ts';
import { BUILT_IN_COSTS } from '../../targets/wasm/costs.ts';
import { type Choices, type Engine, lowerGraph } from '../../targets/wasm/index.ts';
import type { Tile } from '../../targets/wasm/tiles.ts';
import { TunedChoices } from '../choices.ts';
import { loneLayer } from '../layer.ts';
import type { Probe } from './least.ts';

export interface LayerProbe extends Probe {
  readonly flops: number;
}

export const seeded = (shape: Shape): Tensor =>
  f32(shape, seededInput({ dtype: 'f32', shape }, 1, 0) as Float32Array);

const ROW = 48;
const DEPTH = 256;

/** A product with rows of whole tiles, whose operands take 100 KiB together. */
export async function productProbe(engine: Engine, tile: Tile): Promise<LayerProbe> {
  const whole = (n: number) => n * Math.ceil(ROW / n);
  const [pixels, channels] = [whole(tile.pixels), whole(tile.channels)];
  const b = new Builder('product');
  const y = b.op('MatMul', [b.input('x', [pixels, DEPTH]), b.constant('w', seeded([DEPTH, channels]))], {});
  b.output('y', y);
  const [node] = b.graph.nodes;
  const choices = new TunedChoices(() => ({ way: 'direct', width: tile.channels }), BUILT_IN_COSTS);
  const run = await layerRun(b.graph, node, { ...engine, tiles: [tile] }, choices);
  return { run, flops: 2 * pixels * channels * DEPTH };
}

const PLANE = 28;
const CHANNELS = 64;

export async function depthwiseProbe(
  engine: Engine,
  { kernel, stride }: { readonly kernel: number; readonly stride: number },
): Promise<LayerProbe> {
  const b = new Builder('window');
  const pad = Math.floor(kernel / 2);
  const y = b.conv(
    b.input('x', [1, CHANNELS, PLANE, PLANE]),
    b.constant('w', seeded([CHANNELS, 1, kernel, kernel])),
    { strides: [stride, stride], pads: [pad, pad, pad, pad], group: CHANNELS },
  );
  b.output('y', y);
  const [source] = b.graph.nodes;
  if (!source) throw new InternalError('the probe has no node');
  const { graph, node } = loneLayer(source);
  const run = await layerRun(graph, node, engine);
  return { run, flops: 2 * product(result(node).type.shape) * kernel * kernel };
}

/** Runs a node of a graph, whose operands are there. */
export async function layerRun(
  graph: Graph,
  node: Node | undefined,
  engine: Engine,
  choices?: Choices,
): Promise<() => void> {
  const program = lowerGraph(graph, { choices });
  const stepper = await Stepper.load(program, { engine });
  stepper.setInputs(new Map(program.inputs.map(({ name, type }) => [name, seeded(type.shape)])));
  const step = program.steps.find((one) => one.node === node);
  if (!step) throw new InternalError('the probe has no step');
  for (const one of program.steps) if (one !== step) stepper.runNode(one);
  return () => stepper.runNode(step);
}
