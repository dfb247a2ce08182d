/** Sampled elements of a node's result: what the program computed, and how to compute them from its operands. */
import { elementFunction, evaluateNode, type Lookup } from '#ir/evaluate.ts';
import { compileExpr, type Expr } from '#ir/expr.ts';
import { epilogueOperands, type Node, opDef, ownInputs, type Value } from '#ir/graph.ts';
import { allocate, copyElement, type Tensor, type TensorData } from '#ir/tensor.ts';
import { broadcastStrides, elementCount, type Shape } from '#ir/types.ts';
import type { NodeStep, Placement } from '../schedule/program.ts';
import { type Noise, noisyExpr } from './compare.ts';
import { sampleElements } from './samples.ts';
import type { Stepper } from './stepper.ts';

/** Elements of each result that are compared, for every kernel call that the node became. */
const SAMPLES_PER_CALL = 96;
/** A node of very many calls is still checked in bounded time. */
const MOST_SAMPLES = 1 << 16;

export interface Probe {
  readonly value: Value;
  readonly placement: Placement;
  readonly indices: readonly number[];
  /** The operands, or of an elementwise node the elements of them that the samples need. */
  readonly lookup: Lookup;
  /** The reference at `indices`, given operands like those of `lookup`; with noise in its elementwise steps if asked. */
  evaluate(lookup: Lookup, noise?: Noise): number[];
}

/** Probes of the results of a node on the operands that `lookup` gives. */
export function probesOf({ node, results, callCount }: NodeStep, lookup: Lookup, seed: number): Probe[] {
  const samples = Math.min(MOST_SAMPLES, SAMPLES_PER_CALL * Math.max(1, callCount));
  return node.outputs.flatMap((value, output): Probe[] => {
    const placement = results.get(value);
    if (!placement) return [];
    const indices = sampleElements(value.type.shape, samples, seed * 31 + output);
    const probe = { value, placement, indices };
    if (!opDef(node.op).expression) {
      const evaluate = (operands: Lookup, noise?: Noise) =>
        indices.map(evaluatorOf(withNoise(node, noise), output, operands));
      return [{ ...probe, lookup, evaluate }];
    }
    const evaluate = (operands: Lookup, noise?: Noise) =>
      evaluateGathered(node, indices.length, operands, noise);
    return [{ ...probe, lookup: gather(value.type.shape, indices, lookup), evaluate }];
  });
}

/** One element, as a view of its own: results are large, and few elements of them are asked for. */
export function readElement(
  stepper: Stepper,
  value: Value,
  { address, view }: Placement,
  index: number,
): number {
  const offset = address.offset + dot(index, view.shape, view.strides);
  const { data } = stepper.read(value, {
    address: { ...address, offset },
    view: { ...view, shape: [], strides: [] },
  });
  return Number(data[0]);
}

/** Σ position · stride of the element at a flat index. */
function dot(index: number, shape: Shape, strides: readonly number[]): number {
  let rest = index;
  let sum = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1;
    sum += (rest % size) * (strides[axis] ?? 0);
    rest = Math.floor(rest / size);
  }
  return sum;
}

/** The elements of operands that the result's elements at `indices` are computed from, as lists. */
function gather(shape: Shape, indices: readonly number[], lookup: Lookup): Lookup {
  const lists = new Map<Value, Tensor>();
  return (value) => {
    const known = lists.get(value);
    if (known) return known;
    const { data, type } = lookup(value);
    const strides = broadcastStrides(type.shape, shape);
    const list = allocate(type.dtype, indices.length);
    indices.forEach((index, i) => {
      copyElement(list, i, data, dot(index, shape, strides));
    });
    const tensor: Tensor = { type: { dtype: type.dtype, shape: [indices.length] }, data: list };
    lists.set(value, tensor);
    return tensor;
  };
}

/** An elementwise node on operands that are lists of elements, one of each operand for each element of the result. */
function evaluateGathered(node: Node, count: number, lookup: Lookup, noise: Noise | undefined): number[] {
  const { reference, expression } = opDef(node.op);
  const own = ownInputs(node).flatMap((value) => (value ? [lookup(value)] : []));
  const extra = epilogueOperands(node).flatMap((value) => (value ? [lookup(value).data] : []));
  const whole = (expr: Expr, columns: readonly TensorData[]): number[] => {
    const apply = compileExpr(noise ? noisyExpr(expr, noise) : expr);
    return Array.from({ length: count }, (_, i) => apply(columns.map((data) => Number(data[i]))));
  };
  if (noise && expression) {
    const result = whole(
      expression(node.attrs as never, own.length),
      own.map((t) => t.data),
    );
    return node.epilogue ? whole(node.epilogue, [Float64Array.from(result) as never, ...extra]) : result;
  }
  const context = {
    attrs: node.attrs as never,
    inputs: own.map((t) => t.type),
    outputs: node.outputs.map((value) => ({ dtype: value.type.dtype, shape: [count] })),
    data: own.map((t) => t.data),
  };
  const indices = Array.from({ length: count }, (_, i) => i);
  const result =
    reference.kind === 'whole'
      ? Array.from((reference.evaluate(context)[0] ?? []) as ArrayLike<number>, Number)
      : indices.map(reference.element(context));
  return node.epilogue ? whole(node.epilogue, [Float64Array.from(result) as never, ...extra]) : result;
}

const withNoise = (node: Node, noise: Noise | undefined): Node =>
  noise && node.epilogue ? { ...node, epilogue: noisyExpr(node.epilogue, noise) } : node;

function evaluatorOf(node: Node, output: number, lookup: Lookup): (index: number) => number {
  if (opDef(node.op).reference.kind !== 'whole') return elementFunction(node, lookup);
  const data = evaluateNode(node, lookup)[output]?.data;
  return (index) => Number(data?.[index]);
}

/** For values that are not computed by a node. */
export const sourceIndices = (shape: Shape): number[] =>
  sampleElements(shape, Math.min(SAMPLES_PER_CALL, elementCount(shape)), 0);
