/** Sampled elements of a node's result: what the program computed, and how to compute them from its operands. */
import { InternalError } from '#ir/diagnostics.ts';
import { constantTensor, elementFunction, evaluateNode, type Lookup } from '#ir/evaluate.ts';
import { compileExpr } from '#ir/expr.ts';
import { constantOf, epilogueOperands, type Node, opDef, ownInputs, type Value } from '#ir/graph.ts';
import { allocate, type Tensor, write } from '#ir/tensor.ts';
import { broadcastStrides, elementCount, type Shape } from '#ir/types.ts';
import type { NodeStep, Placement } from '../schedule/program.ts';
import { sampleElements } from './samples.ts';
import type { Stepper } from './stepper.ts';

/** Elements of each result that are compared. */
const SAMPLES = 96;

export interface Probe {
  readonly value: Value;
  readonly placement: Placement;
  readonly indices: readonly number[];
  /** The operands, or of an elementwise node the elements of them that the samples need. */
  readonly lookup: Lookup;
  /** The reference at `indices`, given operands like those of `lookup`. */
  evaluate(lookup: Lookup): number[];
}

/** Probes of the results of a node, before it runs: operands are copied, as its own calls may overwrite them. */
export function probesOf(step: NodeStep, stepper: Stepper, seed: number): Probe[] {
  const { node } = step;
  const placed = node.outputs.flatMap((value, output) => {
    const placement = step.results.get(value);
    const indices = sampleElements(value.type.shape, SAMPLES, seed * 31 + output);
    return placement ? [{ value, placement, indices, output }] : [];
  });
  if (opDef(node.op).expression) {
    return placed.map(({ output, ...rest }) => ({
      ...rest,
      lookup: gatheredOperands(step, stepper, rest.indices),
      evaluate: (lookup) => evaluateGathered(node, rest.indices.length, output, lookup),
    }));
  }
  const lookup = lookupOf(node, (value) => operandTensor(value, step, stepper));
  return placed.map(({ output, ...rest }) => ({
    ...rest,
    lookup,
    evaluate: (operands) => rest.indices.map(evaluatorOf(node, output, operands)),
  }));
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

function lookupOf(node: Node, read: (value: Value) => Tensor): Lookup {
  const tensors = new Map<Value, Tensor>();
  for (const value of node.operands) if (value && !tensors.has(value)) tensors.set(value, read(value));
  return (value) => tensors.get(value) ?? constantTensor(value);
}

function placementOf(value: Value, step: NodeStep): Placement {
  const placement = step.operands.get(value);
  if (!placement) throw new InternalError(`"${step.node.name}" does not say where it reads "${value.name}"`);
  return placement;
}

/** Constants are the model's own and not the program's, so that their packing is checked with the rest. */
const operandTensor = (value: Value, step: NodeStep, stepper: Stepper): Tensor =>
  constantOf(value) ? constantTensor(value) : stepper.read(value, placementOf(value, step));

function gatheredOperands(step: NodeStep, stepper: Stepper, indices: readonly number[]): Lookup {
  const shape = step.node.outputs[0]?.type.shape ?? [];
  return lookupOf(step.node, (value) => {
    const strides = broadcastStrides(value.type.shape, shape);
    const at = indices.map((index) => dot(index, shape, strides));
    const constant = constantOf(value) ? constantTensor(value).data : undefined;
    const data = allocate(value.type.dtype, indices.length);
    const placement = constant ? undefined : placementOf(value, step);
    at.forEach((index, i) => {
      write(data, i, placement ? readElement(stepper, value, placement, index) : (constant?.[index] ?? 0));
    });
    return { type: { dtype: value.type.dtype, shape: [indices.length] }, data };
  });
}

/** An elementwise node on operands that are lists of elements, one of each operand for each element of the result. */
function evaluateGathered(node: Node, count: number, output: number, lookup: Lookup): number[] {
  const { reference } = opDef(node.op);
  const type = (value: Value | undefined) => value && { dtype: value.type.dtype, shape: [count] };
  const context = {
    attrs: node.attrs as never,
    inputs: ownInputs(node).map(type),
    outputs: node.outputs.map((value) => ({ dtype: value.type.dtype, shape: [count] })),
    data: ownInputs(node).map((value) => value && lookup(value).data),
  };
  const own =
    reference.kind === 'whole'
      ? Array.from((reference.evaluate(context)[output] ?? []) as ArrayLike<number>, Number)
      : Array.from({ length: count }, (_, i) => i).map(reference.element(context));
  if (!node.epilogue) return own;
  const apply = compileExpr(node.epilogue);
  const extra = epilogueOperands(node).flatMap((value) => (value ? [lookup(value).data] : []));
  return own.map((x, i) => apply(Float64Array.of(x, ...extra.map((data) => Number(data[i])))));
}

function evaluatorOf(node: Node, output: number, lookup: Lookup): (index: number) => number {
  if (opDef(node.op).reference.kind !== 'whole') return elementFunction(node, lookup);
  const data = evaluateNode(node, lookup)[output]?.data;
  return (index) => Number(data?.[index]);
}

/** For values that are not computed by a node. */
export const sourceIndices = (shape: Shape): number[] =>
  sampleElements(shape, Math.min(SAMPLES, elementCount(shape)), 0);
