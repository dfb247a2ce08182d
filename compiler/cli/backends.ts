/** What can run a network: the reference evaluator, and generated WebAssembly. */
import { setImmediate } from 'node:timers/promises';
import { cloneGraph } from '#ir/clone.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { constantTensor, dataCheck, evaluateNode, outputTensor } from '#ir/evaluate.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import type { TensorType } from '#ir/types.ts';
import { runPipeline } from '#passes/pass.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { Stepper } from '../check/stepper.ts';
import { type WasmProgram, wasmTarget } from '../targets/wasm/index.ts';

/** A value of the network as a backend computed it. */
export interface Computed {
  readonly value: string;
  readonly op: string;
  readonly tensor: Tensor;
}

export interface BackendRunOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** Told every value in the order of the graph. Values of one name are the same value to all backends of a model. */
  readonly onValue?: (computed: Computed) => void;
}

export interface Backend {
  readonly name: string;
  readonly inputs: readonly { readonly name: string; readonly type: TensorType }[];
  /** Outputs by name. @throws CompileError `input-invalid` for data that an op does not take */
  run(inputs: ReadonlyMap<string, Tensor>, options: BackendRunOptions): Promise<ReadonlyMap<string, Tensor>>;
}

export const inputsOf = (graph: Graph): Backend['inputs'] =>
  graph.inputs.map(({ name, type }) => ({ name, type }));

/** The reference evaluator on the graph as it is. */
export const referenceBackend = (graph: Graph): Backend => ({
  name: 'reference',
  inputs: inputsOf(graph),
  run: (inputs, options) => runReference(graph, inputs, options),
});

async function runReference(
  graph: Graph,
  inputs: ReadonlyMap<string, Tensor>,
  options: BackendRunOptions,
): Promise<ReadonlyMap<string, Tensor>> {
  const tensors = new Map<Value, Tensor>();
  for (const value of graph.inputs) {
    const given = inputs.get(value.name);
    if (given) tensors.set(value, given);
  }
  const lookup = (value: Value): Tensor => tensors.get(value) ?? constantTensor(value);
  const last = lastReaders(graph);
  const breathe = breather(options.signal);
  const check = dataCheck(graph);
  for (const [done, node] of graph.nodes.entries()) {
    check(node, lookup);
    const results = evaluateNode(node, lookup);
    node.outputs.forEach((value, i) => {
      const tensor = results[i];
      if (!tensor) return;
      tensors.set(value, tensor);
      options.onValue?.({ value: value.name, op: node.op, tensor });
    });
    for (const value of last.get(node) ?? []) tensors.delete(value);
    options.onProgress?.(done + 1, graph.nodes.length);
    await breathe();
  }
  return new Map(graph.outputs.map((output) => [output.name, outputTensor(output, lookup)]));
}

/** The values that nobody reads after a node; outputs stay. */
function lastReaders(graph: Graph): Map<Node, Value[]> {
  const reader = new Map<Value, Node>();
  for (const node of graph.nodes) for (const value of node.operands) if (value) reader.set(value, node);
  const last = new Map<Node, Value[]>();
  for (const [value, node] of reader) {
    if (!graph.isOutput(value)) last.set(node, [...(last.get(node) ?? []), value]);
  }
  return last;
}

/** Lets signals and timers in now and then during long computation. @throws AbortError */
function breather(signal: AbortSignal): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last > 50) {
      await setImmediate();
      last = performance.now();
    }
    signal.throwIfAborted();
  };
}

/** The kernels that `compile` generates, on the graph after its passes. */
export function wasmBackend(graph: Graph): Backend {
  return { name: 'wasm', inputs: inputsOf(graph), run: (inputs, options) => runWasm(graph, inputs, options) };
}

/** The graph after the passes of `compile`; the one given is left as it is. */
export function optimisedGraph(graph: Graph, signal: AbortSignal): Graph {
  const lowered = cloneGraph(graph);
  for (const pipeline of Object.values(PIPELINES)) runPipeline(lowered, pipeline, { signal });
  return lowered;
}

/** What `compile` makes of a graph, which is left as it is. @throws CompileError for nodes that the target lacks */
export function loweredProgram(graph: Graph, signal: AbortSignal): WasmProgram {
  const lowered = optimisedGraph(graph, signal);
  const refused = wasmTarget.unsupported(lowered);
  if (refused.length > 0) throw new CompileError(refused);
  return wasmTarget.lower(lowered);
}

async function runWasm(
  graph: Graph,
  inputs: ReadonlyMap<string, Tensor>,
  options: BackendRunOptions,
): Promise<ReadonlyMap<string, Tensor>> {
  const { signal } = options;
  const stepper = await Stepper.load(loweredProgram(graph, signal));
  stepper.setInputs(inputs);
  const breathe = breather(signal);
  const { steps } = stepper.program;
  const check = dataCheck(stepper.program.graph);
  for (const [done, step] of steps.entries()) {
    check(step.node, (value) => {
      const place = step.operands.get(value);
      return place ? stepper.read(value, place) : constantTensor(value);
    });
    stepper.runNode(step);
    if (options.onValue) {
      for (const [value, place] of step.results) {
        options.onValue({ value: value.name, op: step.node.op, tensor: stepper.read(value, place) });
      }
    }
    options.onProgress?.(done + 1, steps.length);
    await breathe();
  }
  stepper.finish();
  return stepper.trimmedOutputs();
}
