/** The reference evaluator: the specification that every backend is held against. */
import { fail } from './diagnostics.ts';
import { compileExpr, type Expr } from './expr.ts';
import {
  constantOf,
  epilogueOperands,
  type Graph,
  type GraphOutput,
  type Node,
  opContext,
  opDef,
  outputValues,
  ownInputs,
  type Value,
} from './graph.ts';
import { type EvalContext, type OpContext, OpError, outputType } from './op.ts';
import { allocate, type Tensor, type TensorData } from './tensor.ts';
import { broadcastStrides, elementCount, formatType, sameType } from './types.ts';

export type Lookup = (value: Value) => Tensor;

/** Values of a node's outputs from the values of its operands. */
export function evaluateNode(node: Node, lookup: Lookup): Tensor[] {
  const context = evalContext(node, lookup);
  const { reference } = opDef(node.op);
  const types = node.outputs.map((v) => v.type);
  if (reference.kind === 'whole') {
    const results = reference.evaluate(context);
    if (node.epilogue) {
      const first = results[0];
      if (first)
        applyEpilogue(
          first,
          epilogueFunction(node, lookup, (i) => Number(first[i])),
        );
    }
    return results.map((data, i) => ({ type: types[i] ?? outputType(context, i), data }));
  }
  const element = elementFunction(node, lookup);
  const type = outputType(context);
  const data = allocate(type.dtype, elementCount(type.shape)) as Float32Array;
  for (let i = 0; i < data.length; i++) data[i] = element(i);
  return [{ type, data }];
}

/**
 * A function that computes single elements of a node's first output, the epilogue applied, in double arithmetic.
 * For ops that are defined on whole tensors it evaluates once and looks up.
 */
export function elementFunction(node: Node, lookup: Lookup): (index: number) => number {
  const { reference } = opDef(node.op);
  if (reference.kind === 'whole') {
    const [first] = evaluateNode(node, lookup);
    return (index) => Number(first?.data[index]);
  }
  const own = reference.element(evalContext(node, lookup));
  return node.epilogue ? epilogueFunction(node, lookup, own) : own;
}

function evalContext(node: Node, lookup: Lookup): EvalContext<never> {
  return {
    ...(opContext(node) as OpContext<never>),
    data: ownInputs(node).map((v) => (v ? lookup(v).data : undefined)),
  };
}

/** Checks the values of a node's operands. @throws CompileError `input-invalid` naming the node and what is wrong */
export type DataCheck = (node: Node, lookup: Lookup) => void;

/**
 * What ops ask of values, and types cannot tell, for every node of a graph. Nothing is asked of what comes from an op
 * whose size depends on data: beyond the count its values mean nothing.
 */
export function dataCheck(graph: Graph): DataCheck {
  const counted = new Set<Value>();
  const isCounted = (value: Value | undefined): boolean => value !== undefined && counted.has(value);
  for (const node of graph.nodes) {
    if (opDef(node.op).traits.bounded === undefined && !node.operands.some(isCounted)) continue;
    for (const value of node.outputs) counted.add(value);
  }
  return (node, lookup) => {
    const { checkData } = opDef(node.op);
    if (!checkData || ownInputs(node).some(isCounted)) return;
    try {
      checkData(evalContext(node, lookup));
    } catch (error) {
      if (!(error instanceof OpError)) throw error;
      fail('input-invalid', node.name, `${node.op}: ${error.message}`, error.hint);
    }
  };
}

function applyEpilogue(data: TensorData, value: (index: number) => number): void {
  for (let i = 0; i < data.length; i++) (data as Float32Array)[i] = value(i);
}

function epilogueFunction(
  node: Node,
  lookup: Lookup,
  own: (index: number) => number,
): (index: number) => number {
  const shape = node.outputs[0]?.type.shape ?? [];
  const fn = compileExpr(node.epilogue as Expr);
  const extras = epilogueOperands(node).flatMap((value) => {
    if (!value) return [];
    const tensor = lookup(value);
    return [{ data: tensor.data, strides: broadcastStrides(tensor.type.shape, shape) }];
  });
  const args = new Float64Array(extras.length + 1);
  return (index) => {
    args[0] = own(index);
    extras.forEach(({ data, strides }, k) => {
      let rest = index;
      let at = 0;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        const size = shape[axis] ?? 1;
        at += (rest % size) * (strides[axis] ?? 0);
        rest = Math.floor(rest / size);
      }
      args[k + 1] = Number(data[at]);
    });
    return fn(args);
  };
}

export interface EvaluateOptions {
  /** Called after each node; a long evaluation reports its progress here. */
  readonly onNode?: (node: Node, done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Values to keep besides the outputs. */
  readonly keep?: ReadonlySet<Value>;
  /** Computes with indices outside their axes as kernels do, instead of refusing them. */
  readonly anyData?: boolean;
}

/**
 * Evaluates a graph on the given inputs (by name). Intermediate values are dropped after their last use.
 * @returns every graph output, and every kept value, by value. @throws CompileError for missing inputs or weights, and
 * `input-invalid` for data that an op does not take, such as an index outside its axis.
 */
export function evaluateGraph(
  graph: Graph,
  inputs: ReadonlyMap<string, Tensor>,
  options: EvaluateOptions = {},
): Map<Value, Tensor> {
  const values = new Map<Value, Tensor>();
  for (const input of graph.inputs) {
    const given = inputs.get(input.name);
    if (!given) fail('input-invalid', input.name, 'no value was given for this input');
    if (!sameType(given.type, input.type)) {
      fail('input-invalid', input.name, `expected ${formatType(input.type)}, got ${formatType(given.type)}`);
    }
    values.set(input, given);
  }
  const lookup: Lookup = (value) => values.get(value) ?? constantTensor(value);
  const remaining = new Map<Value, number>();
  for (const node of graph.nodes) {
    for (const v of node.operands) if (v) remaining.set(v, (remaining.get(v) ?? 0) + 1);
  }
  const kept = new Set<Value>([...graph.outputs.flatMap(outputValues), ...(options.keep ?? [])]);
  const check = options.anyData ? undefined : dataCheck(graph);
  let done = 0;
  for (const node of graph.nodes) {
    options.signal?.throwIfAborted();
    check?.(node, lookup);
    const results = evaluateNode(node, lookup);
    node.outputs.forEach((v, i) => {
      const tensor = results[i];
      if (tensor) values.set(v, tensor);
    });
    for (const v of node.operands) {
      if (!v) continue;
      const left = (remaining.get(v) ?? 1) - 1;
      remaining.set(v, left);
      if (left === 0 && !kept.has(v)) values.delete(v);
    }
    options.onNode?.(node, ++done, graph.nodes.length);
  }
  return new Map([...kept].map((v) => [v, lookup(v)]));
}

/** An output's tensor, cut to the positions that count where its size depends on data. */
export function outputTensor({ value, count }: GraphOutput, lookup: Lookup): Tensor {
  const whole = lookup(value);
  return count ? trim(whole, count.axis, Number(lookup(count.value).data[0])) : whole;
}

/** The first `size` positions of an axis. */
export function trim({ type, data }: Tensor, axis: number, size: number): Tensor {
  const length = type.shape[axis] ?? 0;
  if (!(size >= 0 && size < length)) return { type, data };
  const shape = type.shape.with(axis, size);
  const inner = elementCount(shape.slice(axis + 1));
  const kept = allocate(type.dtype, elementCount(shape)) as Float32Array;
  for (let row = 0; row * size * inner < kept.length; row++) {
    const start = row * length * inner;
    kept.set((data as Float32Array).subarray(start, start + size * inner), row * size * inner);
  }
  return { type: { dtype: type.dtype, shape }, data: kept };
}

/** The tensor behind a constant value. @throws CompileError if its data is missing. */
export function constantTensor(value: Value): Tensor {
  const constant = constantOf(value);
  if (!constant) throw new OpError(`value "${value.name}" has not been computed`);
  if (!constant.data) fail('weights-missing', value.name, constant.missing);
  return constant;
}

/** Evaluates one op on constants, without a graph; for folding while a graph is being built. */
export function evaluateOp(node: Node): Tensor[] {
  return evaluateNode(node, constantTensor);
}
