/** Quantised layers with known weights, and their inputs. */
import { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { Random } from './random.ts';

export type Byte = 'u8' | 'i8';

export interface QuantisedConv {
  readonly x: Shape;
  readonly channels: number;
  readonly kernel: readonly number[];
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly group?: number;
  /** Of x, of the weights, of the result. */
  readonly types?: readonly [Byte, Byte, Byte];
  /** Scales and zero points of the weights: one, or one per output channel. */
  readonly perChannel?: boolean;
  readonly bias?: boolean;
  /** How large results are beside the range of their type; above 1 they saturate. */
  readonly spread?: number;
}

export const bytesOf = (random: Random, dtype: Byte, shape: Shape): Tensor => {
  const low = dtype === 'u8' ? 0 : -128;
  const values = Array.from({ length: elementCount(shape) }, () => random.integer(low, low + 255));
  return tensor(dtype, shape, values);
};

/** Adds a QLinearConv whose parameters are constants. */
export function addQuantisedConv(b: Builder, x: Value, c: QuantisedConv, random: Random, name = 'q'): Value {
  const { kernel, group = 1, perChannel = false, spread = 0.7 } = c;
  const [xType, wType, yType] = c.types ?? ['u8', 'i8', 'u8'];
  const perGroup = (x.type.shape[1] ?? 1) / group;
  const fill = (value: number, length = kernel.length) => new Array<number>(length).fill(value);
  const own = perChannel ? [c.channels] : [];
  const depth = kernel.reduce((n, k) => n * k, perGroup);
  // sums of products of bytes are about 100·100·√depth
  const yScale = (0.01 * 0.02 * 1e4 * Math.sqrt(depth)) / (128 * spread);
  const constant = (label: string, t: Tensor) => b.constant(`${name}.${label}`, t);
  const inputs = [
    x,
    constant('xScale', tensor('f32', [], [0.01])),
    constant('xZero', bytesOf(random, xType, [])),
    constant('w', bytesOf(random, wType, [c.channels, perGroup, ...kernel])),
    constant('wScale', random.tensor(own, 0.01, 0.03)),
    constant('wZero', bytesOf(random, wType, own)),
    constant('yScale', tensor('f32', [], [yScale])),
    constant('yZero', bytesOf(random, yType, [])),
  ];
  if (c.bias) {
    const values = Array.from({ length: c.channels }, () => random.integer(-200_000, 200_000));
    inputs.push(constant('bias', tensor('i32', [c.channels], values)));
  }
  return b.op('QLinearConv', inputs, {
    strides: c.strides ?? fill(1),
    dilations: c.dilations ?? fill(1),
    pads: c.pads ?? fill(0, 2 * kernel.length),
    group,
  });
}

/** A graph of one such layer, with its input. */
export function quantisedConv(c: QuantisedConv, seed = 1) {
  const random = new Random(seed);
  const b = new Builder('quantised');
  const type = c.types?.[0] ?? 'u8';
  b.output('y', addQuantisedConv(b, b.input('x', c.x, type), c, random));
  return { graph: b.graph, inputs: new Map([['x', bytesOf(random, type, c.x)]]) };
}
