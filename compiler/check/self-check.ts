/**
 * Holds a compiled program against the reference, layer by layer: sampled elements of every node's results are compared
 * with the reference on what the program itself computed before. So the cost is that of the samples, and the first layer
 * that is wrong is found, whatever comes after it.
 *
 * The reference gets each value as it was when its own layer had computed it, and the constants of the model. Were they
 * read where and when the kernels read them, a value that is overwritten too soon and a weight that is packed wrongly
 * would look right.
 */
import { type Diagnostic, diagnostic, fail } from '#ir/diagnostics.ts';
import { constantTensor } from '#ir/evaluate.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import type { Tensor, TensorData } from '#ir/tensor.ts';
import { formatShape } from '#ir/types.ts';
import { type ManifestTensor, seededInput, type TensorArray } from '#runtime/abi.ts';
import { pause } from '../pause.ts';
import type { NodeStep, Port } from '../schedule/program.ts';
import type { WasmProgram } from '../targets/wasm/index.ts';
import { isClose, magnitude, roundingBounds } from './compare.ts';
import { type Probe, probesOf, readElement, sourceIndices } from './probe.ts';
import { type SteppedModule, Stepper } from './stepper.ts';

export interface CheckContext {
  readonly signal?: AbortSignal;
  readonly onProgress?: (fraction: number) => void;
  /** The program as it is in memory already; the check makes its own module where not given. */
  readonly module?: SteppedModule;
}

export interface CheckResult {
  /** The program's outputs on the seeded inputs, in order. */
  readonly outputs: readonly TensorData[];
  /** How many elements were compared. */
  readonly elements: number;
  readonly diagnostics: readonly Diagnostic[];
}

/** The event loop turns about this often. */
const PAUSE_MS = 50;

/** @throws CompileError `self-check-failed` naming the node, the element, what was expected and what came */
export async function checkProgram(
  program: WasmProgram,
  seed: number,
  { signal, onProgress, module }: CheckContext = {},
): Promise<CheckResult> {
  const stepper = await Stepper.load(program, { module });
  const inputs = program.inputs.map((port, i) => [port.name, seededTensor(port, seed, i)] as const);
  stepper.setInputs(new Map(inputs));
  const values = new LiveValues(
    program.graph,
    inputs.map(([, tensor]) => tensor),
  );
  const outputValues = new Set(program.graph.outputs.map((o) => o.value));
  const seen = new Map<Value, Samples>();
  let elements = 0;
  let last = performance.now();
  for (const [index, step] of program.steps.entries()) {
    run(stepper, step);
    const probes = probesOf(step, values.lookup, index);
    for (const probe of probes) {
      const got = probe.indices.map((i) => readElement(stepper, probe.value, probe.placement, i));
      compare(step.node, probe, got);
      elements += got.length;
      if (outputValues.has(probe.value)) seen.set(probe.value, { indices: probe.indices, got });
      values.keep(probe.value, () => stepper.read(probe.value, probe.placement));
    }
    values.release(step.node);
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

/** Values of the network from when they are computed until their last reader is checked. */
class LiveValues {
  readonly #tensors = new Map<Value, Tensor>();
  readonly #readers = new Map<Value, number>();

  constructor(graph: Graph, inputs: readonly Tensor[]) {
    for (const node of graph.nodes) {
      for (const value of new Set(node.operands)) {
        if (value) this.#readers.set(value, (this.#readers.get(value) ?? 0) + 1);
      }
    }
    graph.inputs.forEach((value, i) => {
      const tensor = inputs[i];
      if (tensor) this.#tensors.set(value, tensor);
    });
  }

  readonly lookup = (value: Value): Tensor => this.#tensors.get(value) ?? constantTensor(value);

  keep(value: Value, read: () => Tensor): void {
    if (this.#readers.has(value)) this.#tensors.set(value, read());
  }

  release(reader: Node): void {
    for (const value of new Set(reader.operands)) {
      const left = value && (this.#readers.get(value) ?? 0) - 1;
      if (!value || left === undefined) continue;
      this.#readers.set(value, left);
      if (left === 0) this.#tensors.delete(value);
    }
  }
}

/** Runs the calls that belong to no layer, which bring outputs into the order of their shape; these copy exactly. */
function finish(
  program: WasmProgram,
  stepper: Stepper,
  seed: number,
  seen: ReadonlyMap<Value, Samples>,
): Tensor[] {
  stepper.finish();
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
function sourceSamples({ inputs }: WasmProgram, value: Value, seed: number): Samples {
  const index = inputs.findIndex((port) => port.name === value.name);
  const port = inputs[index];
  const { data } = port ? seededTensor(port, seed, index) : constantTensor(value);
  const indices = sourceIndices(value.type.shape);
  return { indices, got: indices.map((i) => Number(data[i])) };
}

/** Two ways to run a program, `what` and `other`, must give the same bits. @throws CompileError `self-check-failed` */
export function checkSameOutputs(
  program: Pick<WasmProgram, 'outputs'>,
  expected: readonly TensorData[],
  got: readonly TensorArray[],
  what: string,
  other: string,
): void {
  program.outputs.forEach(({ name }, i) => {
    const [a, b] = [expected[i], got[i]];
    if (a && b && a.length === b.length && a.every((x, k) => Object.is(x, b[k]))) return;
    fail('self-check-failed', name, `${what} gives another output than ${other}`);
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

function run(stepper: Stepper, step: NodeStep): void {
  try {
    stepper.runNode(step);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    fail('self-check-failed', step.node.name, `${step.node.op}: the kernel traps: ${error.message}`);
  }
}

interface Samples {
  readonly indices: readonly number[];
  readonly got: readonly number[];
}

function compare(node: Node, probe: Probe, got: readonly number[]): void {
  const { value, indices, lookup } = probe;
  const expected = probe.evaluate(lookup);
  const float = value.type.dtype === 'f32';
  const scale = magnitude(expected);
  const far = [...indices.keys()].filter((k) => {
    const [g = 0, e = 0] = [got[k], expected[k]];
    return float ? !isClose(g, e, scale) : g !== e;
  });
  if (far.length === 0) return;
  const bounds = float ? roundingBounds(expected, lookup, probe.evaluate) : [];
  for (const k of far) {
    const [g = 0, e = 0] = [got[k], expected[k]];
    if (Math.abs(g - e) <= (bounds[k] ?? 0)) continue;
    const what = `${far.length} of ${indices.length} sampled elements of "${value.name}" (${formatShape(value.type.shape)}) are off`;
    const first = `at ${positionOf(value, indices[k] ?? 0)} expected ${e}, got ${g}`;
    fail('self-check-failed', node.name, `${node.op}: ${what}; ${first}`);
  }
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
