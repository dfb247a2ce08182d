/** Evaluates one op on tensors, without a graph. */
import { resolveAttrs } from '#ir/attrs.ts';
import { type OpName, opDef } from '#ir/graph.ts';
import type { AxisField, Cost, EvalContext } from '#ir/op.ts';
import { allocate, type Tensor, type TensorData, tensor } from '#ir/tensor.ts';
import { elementCount, product, type Shape, type TensorType } from '#ir/types.ts';

type Attrs = Readonly<Record<string, unknown>>;

/** The op on its resolved attributes and inferred types. All inputs count as constants. */
export function contextOf(
  op: OpName,
  attrs: Attrs,
  inputs: readonly (Tensor | undefined)[],
): EvalContext<never> & { readonly outputs: TensorType[] } {
  const def = opDef(op);
  const resolved = resolveAttrs(def.attrs, attrs);
  const types = inputs.map((t) => t?.type);
  const outputs = def.infer({ attrs: resolved, inputs: types, constants: inputs });
  return { attrs: resolved as never, inputs: types, outputs, data: inputs.map((t) => t?.data) };
}

/** Every output of the op. @throws OpError | RangeError where inputs and attributes do not fit. */
export function evalOpAll(op: OpName, attrs: Attrs, inputs: readonly (Tensor | undefined)[]): Tensor[] {
  const context = contextOf(op, attrs, inputs);
  const { reference } = opDef(op);
  const data =
    reference.kind === 'whole'
      ? reference.evaluate(context)
      : [fill(context.outputs[0], reference.element(context))];
  return context.outputs.map((type, i) => tensor(type.dtype, type.shape, data[i] ?? []));
}

/** The first output of the op. */
export function evalOp(op: OpName, attrs: Attrs, inputs: readonly (Tensor | undefined)[]): Tensor {
  const [first] = evalOpAll(op, attrs, inputs);
  if (!first) throw new Error(`${op} has no output`);
  return first;
}

function fill(type: TensorType | undefined, element: (index: number) => number): TensorData {
  if (!type) throw new Error('an element op has one output');
  const data = allocate(type.dtype, elementCount(type.shape)) as Float32Array;
  for (let i = 0; i < data.length; i++) data[i] = element(i);
  return data;
}

export const typesOf = (op: OpName, attrs: Attrs, inputs: readonly (Tensor | undefined)[]): TensorType[] =>
  contextOf(op, attrs, inputs).outputs;

export const costOf = (op: OpName, attrs: Attrs, inputs: readonly (Tensor | undefined)[]): Cost =>
  opDef(op).cost(contextOf(op, attrs, inputs));

export const fieldOf = (
  op: OpName,
  attrs: Attrs,
  inputs: readonly (Tensor | undefined)[],
  output = 0,
  input = 0,
): AxisField[] => opDef(op).field(contextOf(op, attrs, inputs), output, input);

/** A f32 tensor with values in [−1, 1) that a seed fixes. */
export function noise(shape: Shape, seed = 1): Tensor {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const values = Array.from({ length: product(shape) }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  });
  return tensor('f32', shape, values);
}

/** 0, 1, 2, … under a shape. */
export const counting = (shape: Shape): Tensor =>
  tensor(
    'f32',
    shape,
    Array.from({ length: product(shape) }, (_, i) => i),
  );

export const values = (t: Tensor): number[] => Array.from(t.data as ArrayLike<number | bigint>, Number);

/** Every position of a shape, in row-major order. */
export function positions(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (all, size) => all.flatMap((at) => Array.from({ length: size }, (_, i) => [...at, i])),
    [[]],
  );
}

/** The element at a position; 0 outside the tensor, so that padding needs no case of its own. */
export function at(t: Tensor, position: readonly number[]): number {
  let index = 0;
  for (const [axis, size] of t.type.shape.entries()) {
    const i = position[axis] ?? 0;
    if (i < 0 || i >= size) return 0;
    index = index * size + i;
  }
  return Number(t.data[index]);
}

/** A tensor from a function of the position. */
export const build = (shape: Shape, value: (position: number[]) => number): Tensor =>
  tensor('f32', shape, positions(shape).map(value));
