/** Weights and biases of recurrent layers as kernels read them, and the steps that they run; the same on every target. */
import { type Node, operand, ownInput, tensorOf, type Value } from '#ir/graph.ts';
import { lengthOf, type RecurrentSizes } from '#ir/ops/recurrent.ts';
import { f32 } from '#ir/tensor.ts';
import type { ViewContext } from './context.ts';
import { permuteView, sliceView, type View } from './view.ts';

/** The part [start, start + rows) of axis 0 of a view, without that axis where `rows` is absent. */
export function part(view: View, axis0: number, rows?: number): View {
  const rest = view.shape.slice(1);
  const sliced = sliceView(view, [axis0, ...rest.map(() => 0)], [rows ?? 1, ...rest]);
  return rows === undefined ? { ...sliced, shape: rest, strides: sliced.strides.slice(1) } : sliced;
}

/** Weights [rows, columns] of direction d, transposed: now if they are constant, else by a copy. */
export function transposedWeights<K>(context: ViewContext<K>, value: Value, d: number): View {
  const [, rows = 1, columns = 1] = value.type.shape;
  const data = tensorOf(value)?.data;
  if (!(data instanceof Float32Array)) {
    const copy = context.scratch([columns, rows], 'f32');
    context.copy(permuteView(part(context.view(value, 'rowMajor'), d), [1, 0]), copy);
    return copy;
  }
  const turned = new Float32Array(rows * columns);
  const base = d * rows * columns;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) turned[c * rows + r] = data[base + r * columns + c] as number;
  }
  return context.constant(f32([columns, rows], turned));
}

export interface RecurrentBiases {
  /** Of the products with the input, one number per gate and unit. */
  readonly input: View;
  /** Of those with the state, where the cell adds it by itself. */
  readonly state: View;
}

/** How a target adds vectors that are computed, and keeps those that are known. */
export interface BiasTarget {
  add(x: View, y: View, out: View): void;
  keep(sums: Float32Array): View;
}

/** Both biases of direction d, added up but for the gates from `apart` on, which keep theirs. */
export function recurrentBiases<K>(
  node: Node,
  context: ViewContext<K>,
  d: number,
  { gates, apart, hidden }: { readonly gates: number; readonly apart: number; readonly hidden: number },
  { add, keep }: BiasTarget,
): RecurrentBiases {
  const value = ownInput(node, 3);
  const width = gates * hidden;
  const split = Math.min(apart, gates) * hidden;
  const data = value ? tensorOf(value)?.data : f32([0], []).data;
  if (data) {
    const at = (i: number) => Number(data[d * 2 * width + i] ?? 0);
    const input = Float32Array.from({ length: width }, (_, i) => at(i) + (i < split ? at(width + i) : 0));
    const state = Float32Array.from({ length: width }, (_, i) => (i < split ? 0 : at(width + i)));
    return { input: keep(input), state: keep(state) };
  }
  const whole = part(context.view(operand(node, 3), 'rowMajor'), d);
  const [own, other] = [sliceView(whole, [0], [width]), sliceView(whole, [width], [width])];
  const input = context.scratch([width], 'f32');
  const state = context.scratch([width], 'f32');
  context.copy(own, input);
  context.fill(state, 0);
  if (split > 0)
    add(sliceView(own, [0], [split]), sliceView(other, [0], [split]), sliceView(input, [0], [split]));
  if (split < width) {
    const rest = [split] as const;
    context.copy(sliceView(other, rest, [width - split]), sliceView(state, rest, [width - split]));
  }
  return { input, state };
}

/** The steps of each batch element. */
export const lengthsOf = (
  attrs: Parameters<typeof lengthOf>[0],
  { batch, steps }: RecurrentSizes,
): number[] => Array.from({ length: batch }, (_, b) => lengthOf(attrs, b, steps));
