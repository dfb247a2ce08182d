/** Functions of single elements, pooling and transposes, each as the layer of one op over data in near caches. */
import { Builder } from '#ir/builder.ts';
import { InternalError } from '#ir/diagnostics.ts';
import type { Value } from '#ir/graph.ts';
import { product } from '#ir/types.ts';
import { ENGINES } from '../../targets/wasm/engines.ts';
import { loneLayer } from '../layer.ts';
import { layerRun } from './layers.ts';
import type { Probe } from './least.ts';

export interface ElementProbe extends Probe {
  readonly elements: number;
}

/** 64 KiB of each operand. */
const SHAPE = [1, 64, 16, 16];

const UNARY = {
  neg: 'Neg',
  hardSwish: 'HardSwish',
  exp: 'Exp',
  log: 'Log',
  tanh: 'Tanh',
  erf: 'Erf',
  logistic: 'Sigmoid',
} as const;

export type ElementFunction = keyof typeof UNARY;
export const ELEMENT_FUNCTIONS = Object.keys(UNARY) as readonly ElementFunction[];

export const elementProbe = (name: ElementFunction): Promise<ElementProbe> =>
  opProbe((b, x) => b.op(UNARY[name], [x], {}), product(SHAPE));

const POOL = { kernel: 3, stride: 2 } as const;

/** `elements` are the values that its windows look at. */
export const poolProbe = (): Promise<ElementProbe> => {
  const { kernel, stride } = POOL;
  const [, channels = 1, height = 1, width = 1] = SHAPE;
  const outputs = (height / stride) * (width / stride);
  return opProbe(
    (b, x) =>
      b.op('MaxPool', [x], {
        kernel: [kernel, kernel],
        strides: [stride, stride],
        dilations: [1, 1],
        pads: [1, 1, 0, 0],
      }),
    channels * outputs * kernel * kernel,
  );
};

/** `elements` are those that are moved, from one order of axes to another. */
export const transposeProbe = (): Promise<ElementProbe> =>
  opProbe((b, x) => b.op('Transpose', [x], { perm: [0, 2, 3, 1] }), product(SHAPE));

async function opProbe(build: (b: Builder, x: Value) => Value, elements: number): Promise<ElementProbe> {
  const b = new Builder('element');
  b.output('y', build(b, b.input('x', SHAPE)));
  const [source] = b.graph.nodes;
  if (!source) throw new InternalError('the probe has no node');
  // as it is among others: in the order of elements that it likes
  const { graph, node } = loneLayer(source);
  return { run: await layerRun(graph, node, ENGINES.simd), elements };
}
