/** The ONNX project's own cases of single operators: a model, and inputs and outputs as serialised tensors. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stepper } from '#compiler/check/stepper.ts';
import { ModelProto, TensorProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { type ImportedModel, importOnnx } from '#compiler/import/onnx/index.ts';
import { RULES } from '#compiler/import/onnx/ops/index.ts';
import { importTensor } from '#compiler/import/onnx/tensors.ts';
import { wasmTarget } from '#compiler/targets/wasm/index.ts';
import { webgpuTarget } from '#compiler/targets/webgpu/index.ts';
import { CompileError, type Diagnostic, type DiagnosticCode } from '#ir/diagnostics.ts';
import { constantTensor, evaluateGraph, outputTensor } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import type { Tensor, TensorData } from '#ir/tensor.ts';
import { sameShape } from '#ir/types.ts';
import { runPipeline } from '#passes/pass.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { runOnGpu } from './webgpu.ts';

/** What was left to compute when a case was compiled. */
export interface CompiledCase {
  /** Nodes after all passes; none where the case was answered by folding constants. */
  readonly nodes: number;
  readonly inputs: number;
  /** How many of the inputs were made constants. */
  readonly constants: number;
}

export type CaseResult =
  | { readonly status: 'passed'; readonly compiled?: CompiledCase }
  /** The case uses what convolith does not read at all. */
  | { readonly status: 'outside'; readonly why: string }
  | { readonly status: 'refused' | 'wrong'; readonly why: string };

interface OpenCase {
  readonly bytes: Uint8Array;
  readonly inputs: ReadonlyMap<string, StoredTensor>;
  readonly expected: ReadonlyMap<string, StoredTensor>;
}

function openCase(folder: string): OpenCase | CaseResult {
  const bytes = readFileSync(join(folder, 'model.onnx'));
  const ops = operators(bytes).filter((op) => !Object.hasOwn(RULES, op));
  if (ops.length > 0) return { status: 'outside', why: `operators ${ops.join(', ')}` };
  const inputs = readTensors(folder, 'input');
  const expected = readTensors(folder, 'output');
  if (!inputs || !expected)
    return { status: 'outside', why: 'values that are not tensors of supported types' };
  return { bytes, inputs, expected };
}

/** Runs one case through the importer, perhaps something more, and the reference evaluator. */
export function runCase(folder: string, through: (graph: Graph) => Graph = (graph) => graph): CaseResult {
  const opened = openCase(folder);
  if ('status' in opened) return opened;
  const imported = importCase(opened);
  if (imported instanceof CompileError) return refused(imported);
  const graph = through(imported.graph);
  const values = evaluateGraph(graph, feedsOf(graph, opened));
  const lookup = (value: Value) => values.get(value) ?? constantTensor(value);
  return compared(
    graph.outputs.map((output) => outputTensor(output, lookup)),
    opened,
  );
}

/** How a case runs on a target: what the target refuses, and the outputs of what it takes, in order. */
interface CaseTarget {
  unsupported(graph: Graph): Diagnostic[];
  run(graph: Graph, feeds: ReadonlyMap<string, Tensor>): Promise<readonly Tensor[]>;
}

const WASM: CaseTarget = {
  unsupported: wasmTarget.unsupported,
  async run(graph, feeds) {
    const stepper = await Stepper.load(wasmTarget.lower(graph));
    stepper.setInputs(feeds);
    stepper.run();
    return [...stepper.trimmedOutputs().values()];
  },
};

const webgpu = (outputsOf: typeof runOnGpu): CaseTarget => ({
  unsupported: webgpuTarget.unsupported,
  async run(graph, feeds) {
    const inputs = graph.inputs.flatMap(({ name }) => feeds.get(name) ?? []);
    const outputs = await outputsOf(graph, inputs);
    return graph.outputs.map(({ value: { type } }, i) => ({
      type: { ...type, shape: outputs[i]?.shape ?? type.shape },
      data: outputs[i]?.data as TensorData,
    })) as Tensor[];
  },
});

/** Runs one case compiled to WebAssembly, after all passes. */
export const runCaseCompiled = (folder: string): Promise<CaseResult> => runCaseOn(folder, WASM);

/** Runs one case on a WebGPU adapter, after all passes. */
export const runCaseOnGpu = (folder: string, outputsOf = runOnGpu): Promise<CaseResult> =>
  runCaseOn(folder, webgpu(outputsOf));

/** Inputs stay inputs where kernels can read them, and become constants where not. */
async function runCaseOn(folder: string, target: CaseTarget): Promise<CaseResult> {
  const opened = openCase(folder);
  if ('status' in opened) return opened;
  let failure: CompileError | undefined;
  for (const constants of constantsToTry(opened.inputs)) {
    const imported = importWith(opened, constants);
    if (imported instanceof CompileError) {
      failure = imported;
      if (isFinal(imported)) break;
      continue;
    }
    const { graph } = imported;
    for (const pipeline of Object.values(PIPELINES)) runPipeline(graph, pipeline);
    const unsupported = target.unsupported(graph);
    if (unsupported.length > 0) {
      failure = new CompileError(unsupported);
      continue;
    }
    const result = compared(await target.run(graph, feedsOf(graph, opened)), opened);
    const compiled = { nodes: graph.nodes.length, inputs: opened.inputs.size, constants: constants.length };
    return result.status === 'passed' ? { ...result, compiled } : result;
  }
  return refused(failure ?? new CompileError([]));
}

function refused(error: CompileError): CaseResult {
  const outside = error.diagnostics.every((d) => d.code === 'dtype-unsupported');
  return { status: outside ? 'outside' : 'refused', why: error.message };
}

const feedsOf = (graph: Graph, { inputs }: OpenCase): Map<string, Tensor> =>
  new Map(
    graph.inputs.flatMap(({ name }) => {
      const stored = inputs.get(name);
      return stored ? [[name, stored.tensor] as const] : [];
    }),
  );

function compared(found: readonly Tensor[], { expected }: OpenCase): CaseResult {
  const wrong = [...expected.values()].flatMap(({ tensor }, i) => difference(found[i], tensor) ?? []);
  return wrong.length === 0 ? { status: 'passed' } : { status: 'wrong', why: wrong.join('; ') };
}

function operators(bytes: Uint8Array): string[] {
  const nodes = ModelProto.decode(bytes).graph?.node ?? [];
  return [
    ...new Set(nodes.map((n) => (n.domain && n.domain !== 'ai.onnx' ? `${n.domain}:${n.opType}` : n.opType))),
  ];
}

interface StoredTensor {
  readonly proto: TensorProto;
  readonly tensor: Tensor;
}

/** The tensors of the first data set, by name of the graph's input or output; undefined where one is none. */
function readTensors(folder: string, kind: 'input' | 'output'): Map<string, StoredTensor> | undefined {
  const { graph } = ModelProto.decode(readFileSync(join(folder, 'model.onnx')));
  const names = (kind === 'input' ? graph?.input : graph?.output)?.map((i) => i.name) ?? [];
  const tensors = new Map<string, StoredTensor>();
  for (const [i, name] of names.entries()) {
    const file = join(folder, 'test_data_set_0', `${kind}_${i}.pb`);
    // an optional input that is left out has no file
    if (!existsSync(file)) continue;
    try {
      const bytes = readFileSync(file);
      const proto = TensorProto.decode(bytes);
      const context = {
        model: bytes,
        externalData: () => undefined,
        missingFiles: new Set<string>(),
        converted: new Set<string>(),
      };
      const constant = importTensor(proto, context);
      if (constant.data === null) return undefined;
      tensors.set(name, { proto, tensor: constant });
    } catch {
      return undefined;
    }
  }
  return tensors;
}

const FORMS: readonly DiagnosticCode[] = ['shape-data-dependent', 'op-unsupported-form'];

/** Inputs stay inputs where they can; what decides shapes becomes a constant: small integers first, then all but one. */
function constantsToTry(inputs: OpenCase['inputs']): readonly (readonly string[])[] {
  const names = [...inputs.keys()];
  const integers = names.slice(1).filter((name) => inputs.get(name)?.tensor.type.dtype !== 'f32');
  return [[], integers, names.slice(1), names];
}

const isFinal = (error: CompileError): boolean => !error.diagnostics.some((d) => FORMS.includes(d.code));

function importWith({ bytes, inputs }: OpenCase, constants: readonly string[]): ImportedModel | CompileError {
  const open = [...inputs].filter(([name]) => !constants.includes(name));
  try {
    return importOnnx(withConstants(bytes, inputs, constants), {
      shapes: Object.fromEntries(open.map(([name, { tensor }]) => [name, tensor.type.shape])),
    });
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return error;
  }
}

function importCase(opened: OpenCase): ImportedModel | CompileError {
  let last: ImportedModel | CompileError = new CompileError([]);
  for (const constants of constantsToTry(opened.inputs)) {
    last = importWith(opened, constants);
    if (!(last instanceof CompileError) || isFinal(last)) return last;
  }
  return last;
}

function withConstants(
  bytes: Uint8Array,
  inputs: ReadonlyMap<string, StoredTensor>,
  constants: readonly string[],
): Uint8Array {
  const model = ModelProto.decode(bytes);
  const { graph } = model;
  if (!graph) return bytes;
  const added = constants.flatMap((name) => {
    const proto = inputs.get(name)?.proto;
    if (!proto) return [];
    const { dims, dataType, floatData, doubleData, int32Data, int64Data, uint64Data } = proto;
    const data = Object.hasOwn(proto, 'rawData') ? { rawData: proto.rawData } : {};
    return [{ name, dims, dataType, floatData, doubleData, int32Data, int64Data, uint64Data, ...data }];
  });
  // inputs without data are optional and left out
  const absent = new Set(graph.input.map((i) => i.name).filter((name) => !inputs.has(name)));
  const { name, node, input, output, valueInfo } = graph;
  return ModelProto.encode({
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    functions: model.functions,
    graph: {
      name,
      node,
      output,
      valueInfo,
      input: input.filter((i) => !absent.has(i.name)),
      initializer: [...graph.initializer, ...added],
    },
  });
}

const RELATIVE = 1e-3;
const ABSOLUTE = 1e-7;

/** As ONNX's own runner compares; undefined where they agree. */
function difference(found: Tensor | undefined, expected: Tensor): string | undefined {
  if (!found) return 'an output is missing';
  if (!sameShape(found.type.shape, expected.type.shape)) {
    return `shape [${found.type.shape.join(',')}], expected [${expected.type.shape.join(',')}]`;
  }
  if (found.type.dtype !== expected.type.dtype)
    return `type ${found.type.dtype}, expected ${expected.type.dtype}`;
  for (let i = 0; i < expected.data.length; i++) {
    const a = Number(found.data[i]);
    const b = Number(expected.data[i]);
    if (Object.is(a, b) || a === b) continue;
    if (!(Math.abs(a - b) <= ABSOLUTE + RELATIVE * Math.abs(b))) return `element ${i} is ${a}, expected ${b}`;
  }
  return undefined;
}

/** Folders of the cases below `folder`. */
export const caseFolders = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'model.onnx')))
    .sort();
