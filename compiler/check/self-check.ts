/**
 * Holds a compiled program against the reference, layer by layer: every node runs on what the program itself computed
 * before it, and sampled elements of its results are compared with the reference on the same operands. So the cost is
 * that of the samples, and the first layer that is wrong is found, whatever comes after it.
 */
import { CompileError, type Diagnostic, diagnostic, fail, InternalError } from '#ir/diagnostics.ts';
import { constantTensor, elementFunction, evaluateNode, type Lookup } from '#ir/evaluate.ts';
import { constantOf, type Node, opDef, type Value } from '#ir/graph.ts';
import type { Tensor, TensorData } from '#ir/tensor.ts';
import { formatShape } from '#ir/types.ts';
import { type ManifestTensor, seededInput, type TensorArray } from '#runtime/abi.ts';
import { pause } from '../pause.ts';
import type { NodeStep, Placement, Port } from '../schedule/program.ts';
import type { WasmProgram } from '../targets/wasm/index.ts';
import { isClose, magnitude, roundingBounds } from './compare.ts';
import { sampleElements } from './samples.ts';
import { Stepper } from './stepper.ts';

export interface CheckContext {
  readonly signal?: AbortSignal;
  readonly onProgress?: (fraction: number) => void;
}

export interface CheckResult {
  /** The program's outputs on the seeded inputs, in order. */
  readonly outputs: readonly TensorData[];
  /** How many elements were compared. */
  readonly elements: number;
  readonly diagnostics: readonly Diagnostic[];
}

/** Elements of each result that are compared. */
const SAMPLES = 96;
/** The event loop turns about this often. */
const PAUSE_MS = 50;

/** @throws CompileError `self-check-failed` naming the node, the element, what was expected and what came */
export async function checkProgram(
  program: WasmProgram,
  seed: number,
  { signal, onProgress }: CheckContext = {},
): Promise<CheckResult> {
  const stepper = await Stepper.load(program);
  stepper.setInputs(new Map(program.inputs.map((port, i) => [port.name, seededTensor(port, seed, i)])));
  const outputValues = new Set(program.graph.outputs.map((o) => o.value));
  const seen = new Map<Value, Samples>();
  let elements = 0;
  let last = performance.now();
  for (const [index, step] of program.steps.entries()) {
    const lookup = operandsOf(step, stepper);
    run(stepper, step);
    for (const samples of checkNode(step, stepper, lookup, index)) {
      elements += samples.indices.length;
      if (outputValues.has(samples.value)) seen.set(samples.value, samples);
    }
    if (performance.now() - last < PAUSE_MS) continue;
    onProgress?.((index + 1) / program.steps.length);
    await pause();
    signal?.throwIfAborted();
    last = performance.now();
  }
  onProgress?.(1);
  const outputs = finish(program, stepper, seed, seen);
  return {
    outputs: outputs.map((t) => t.data),
    elements,
    diagnostics: outputs.flatMap((t, i) => notFinite(t, program.outputs[i]?.name ?? '')),
  };
}

/** Runs the calls that belong to no layer, which bring outputs into the order of their shape; these copy exactly. */
function finish(
  program: WasmProgram,
  stepper: Stepper,
  seed: number,
  seen: ReadonlyMap<Value, Samples>,
): Tensor[] {
  program.calls.forEach((call, i) => {
    if (!call.node) stepper.runCall(i);
  });
  const outputs = [...stepper.outputs().values()];
  program.graph.outputs.forEach(({ name, value }, i) => {
    const { data } = outputs[i] ?? { data: [] };
    const { indices, got } = seen.get(value) ?? sourceSamples(program, value, seed);
    indices.forEach((index, k) => {
      if (Object.is(Number(data[index]), got[k])) return;
      const at = positionOf(value, index);
      fail('self-check-failed', name, `${at} of this output is ${data[index]}; the layer gave ${got[k]}`);
    });
  });
  return outputs;
}

/** Samples of an output that is an input or a constant of the network. */
function sourceSamples(
  { inputs }: WasmProgram,
  value: Value,
  seed: number,
): Pick<Samples, 'indices' | 'got'> {
  const index = inputs.findIndex((port) => port.name === value.name);
  const port = inputs[index];
  const { data } = port ? seededTensor(port, seed, index) : constantTensor(value);
  const indices = sampleElements(value.type.shape, SAMPLES, 0);
  return { indices, got: indices.map((i) => Number(data[i])) };
}

/** `run` must do what the steps did. @throws CompileError `self-check-failed` */
export function checkSameOutputs(
  program: WasmProgram,
  expected: readonly TensorData[],
  got: readonly TensorArray[],
): void {
  program.outputs.forEach(({ name }, i) => {
    const [a, b] = [expected[i], got[i]];
    if (a && b && a.length === b.length && a.every((x, k) => Object.is(x, b[k]))) return;
    fail('self-check-failed', name, 'the module’s run gives another output than its layers one by one');
  });
}

export const seededTensor = ({ type }: Pick<Port, 'type'>, seed: number, index: number): Tensor => {
  const port: Pick<ManifestTensor, 'dtype' | 'shape'> = type;
  return { type, data: seededInput(port, seed, index) };
};

function notFinite({ type, data }: Tensor, name: string): Diagnostic[] {
  if (type.dtype !== 'f32') return [];
  const odd = (data as Float32Array).find((x) => !Number.isFinite(x));
  if (odd === undefined) return [];
  return [diagnostic('output-not-finite', name, `it holds ${odd} on random input`)];
}

/** Copies of the operands, taken now: the node's own calls may overwrite them. */
function operandsOf(step: NodeStep, stepper: Stepper): Lookup {
  const tensors = new Map<Value, Tensor>();
  for (const value of step.node.operands) {
    if (!value || tensors.has(value)) continue;
    const placement = step.operands.get(value);
    // constants are the model's own, so that their packing is checked with the rest
    if (constantOf(value)) tensors.set(value, constantTensor(value));
    else if (placement) tensors.set(value, stepper.read(value, placement));
  }
  return (value) => {
    const tensor = tensors.get(value);
    if (!tensor)
      throw new InternalError(`the program has no place of "${value.name}" for "${step.node.name}"`);
    return tensor;
  };
}

function run(stepper: Stepper, step: NodeStep): void {
  try {
    stepper.runNode(step);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    fail('self-check-failed', step.node.name, `${step.node.op}: the kernel traps: ${error.message}`);
  }
}

/** Returns what was compared. */
function checkNode(step: NodeStep, stepper: Stepper, lookup: Lookup, seed: number): Samples[] {
  const { node } = step;
  const whole = opDef(node.op).reference.kind === 'whole' ? evaluateNode(node, lookup) : undefined;
  return node.outputs.flatMap((value, output) => {
    const placement = step.results.get(value);
    if (!placement) return [];
    const indices = sampleElements(value.type.shape, SAMPLES, seed * 31 + output);
    const reference = whole?.[output]?.data;
    const element = reference ? (i: number) => Number(reference[i]) : elementFunction(node, lookup);
    const expected = indices.map(element);
    const got = indices.map((i) => readElement(stepper, value, placement, i));
    const samples = { node, value, indices, expected, got };
    compare(samples, lookup);
    return [samples];
  });
}

interface Samples {
  readonly node: Node;
  readonly value: Value;
  readonly indices: readonly number[];
  readonly expected: readonly number[];
  readonly got: readonly number[];
}

function compare({ node, value, indices, expected, got }: Samples, lookup: Lookup): void {
  const scale = magnitude(expected);
  const exact = value.type.dtype !== 'f32';
  const far = [...indices.keys()].filter((k) => {
    const [g = 0, e = 0] = [got[k], expected[k]];
    return exact ? g !== e : !isClose(g, e, scale);
  });
  if (far.length === 0) return;
  const output = node.outputs.indexOf(value);
  const pick = (list: readonly number[]) => far.map((k) => list[k] ?? 0);
  const bounds = exact
    ? far.map(() => 0)
    : roundingBounds(pick(indices), pick(expected), lookup, (moved) => evaluator(node, output, moved));
  far.forEach((k, i) => {
    const [g = 0, e = 0] = [got[k], expected[k]];
    if (!exact && Math.abs(g - e) <= (bounds[i] ?? 0)) return;
    const at = `${far.length} of ${indices.length} sampled elements of "${value.name}" (${formatShape(value.type.shape)}) are wrong, first ${positionOf(value, indices[k] ?? 0)}`;
    throw new CompileError([
      diagnostic('self-check-failed', node.name, `${node.op}: ${at}: expected ${e}, got ${g}`),
    ]);
  });
}

function evaluator(node: Node, output: number, lookup: Lookup): (index: number) => number {
  if (opDef(node.op).reference.kind !== 'whole') return elementFunction(node, lookup);
  const data = evaluateNode(node, lookup)[output]?.data;
  return (index) => Number(data?.[index]);
}

function positionOf(value: Value, index: number): string {
  const at: number[] = [];
  let rest = index;
  for (const size of [...value.type.shape].reverse()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `[${at.join(', ')}]`;
}

/** One element, as a view of its own: results are large, and few elements of them are asked for. */
function readElement(stepper: Stepper, value: Value, { address, view }: Placement, index: number): number {
  let rest = index;
  let offset = address.offset;
  for (let axis = view.shape.length - 1; axis >= 0; axis--) {
    const size = view.shape[axis] ?? 1;
    offset += (rest % size) * (view.strides[axis] ?? 0);
    rest = Math.floor(rest / size);
  }
  const { data } = stepper.read(value, {
    address: { ...address, offset },
    view: { ...view, shape: [], strides: [] },
  });
  return Number(data[0]);
}
