/** `compile`: a model becomes a bundle. */

import { cloneGraph } from '#ir/clone.ts';
import { CompileError, type Diagnostic, diagnostic, isError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { ABI_VERSION, type Manifest, type ManifestTensor } from '#runtime/abi.ts';
import { SELF_TEST_SEED } from './bundle/self-test.ts';
import { makeBundle } from './bundle/writer.ts';
import { checkWhole } from './check/full-check.ts';
import { runSeeded } from './check/run-module.ts';
import { checkProgram, checkSameOutputs } from './check/self-check.ts';
import { importModel } from './import/index.ts';
import type { ImportOptions } from './import/onnx/index.ts';
import { rejectUnknownOptions } from './options.ts';
import { pause } from './pause.ts';
import type { Port } from './schedule/program.ts';
import { type WasmCode, type WasmProgram, wasmTarget } from './targets/wasm/index.ts';
import { VERSION } from './version.ts';

export const COMPILE_STAGES = ['import', 'optimise', 'generate', 'check', 'bundle'] as const;
export type CompileStage = (typeof COMPILE_STAGES)[number];

export const COMPILE_TARGETS = ['wasm'] as const;
export type CompileTarget = (typeof COMPILE_TARGETS)[number];

export interface CompileGraphOptions {
  /** The bundle's name; the graph's unless given. */
  readonly name?: string;
  /** What to compile for; `['wasm']` unless given. */
  readonly target?: readonly CompileTarget[];
  /** Values inside the network, by name, that the bundle gives as outputs too. */
  readonly outputs?: readonly string[];
  /**
   * How the code is checked before there is a bundle. `sampled`: some output elements of every layer against the
   * reference. `full`: also all outputs against the reference of the whole network, which takes as long as that takes.
   */
  readonly check?: 'sampled' | 'full';
  readonly signal?: AbortSignal;
  /** Told what is under way, and how far it is, from 0 to 1. */
  readonly onProgress?: (stage: CompileStage, fraction: number) => void;
}

export interface CompileOptions
  extends CompileGraphOptions,
    Pick<ImportOptions, 'dims' | 'shapes' | 'externalData'> {}

export interface CompileStats {
  readonly macs: number;
  readonly parameters: number;
  /** Calls per run, and the distinct functions that they call. */
  readonly calls: number;
  readonly kernels: number;
  readonly moduleBytes: number;
  readonly weightBytes: number;
  readonly arenaBytes: number;
  /** No plan can be smaller. */
  readonly arenaLowerBound: number;
  readonly memoryBytes: number;
  /** How many output elements the check compared. */
  readonly checkedElements: number;
}

export interface CompiledBundle {
  /** The files of the bundle, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly manifest: Manifest;
  /** Warnings and notes; errors are thrown. */
  readonly diagnostics: readonly Diagnostic[];
  readonly stats: CompileStats;
}

const GRAPH_OPTIONS = ['name', 'target', 'outputs', 'check', 'signal', 'onProgress'] as const;
const MODEL_OPTIONS = [...GRAPH_OPTIONS, 'dims', 'shapes', 'externalData'] as const;

/** How much of a full check the sampled one before it is, in time. */
const SAMPLED_PART = 0.1;

/**
 * Compiles an ONNX model, or a JSON network description. A symbolic batch is 1 unless given.
 * @throws CompileError with every problem found; the signal's reason if it is aborted
 */
export async function compileModel(bytes: Uint8Array, options: CompileOptions = {}): Promise<CompiledBundle> {
  rejectUnknownOptions(options, MODEL_OPTIONS, 'compileModel');
  const { dims, shapes, externalData, ...rest } = options;
  const progress = await stage('import', options);
  const model = importModel(bytes, {
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(dims && { dims }),
    ...(shapes && { shapes }),
    ...(externalData && { externalData }),
  });
  if (model.missingFiles.length > 0) {
    throw new CompileError(
      model.missingFiles.map((file) =>
        diagnostic('external-missing', file, 'the model keeps weights in this file, and it was not given'),
      ),
    );
  }
  progress(1);
  const bundle = await compileGraph(model.graph, rest);
  return { ...bundle, diagnostics: [...model.diagnostics, ...bundle.diagnostics] };
}

/**
 * Compiles a graph, which is left as it is.
 * @throws CompileError with every problem found; the signal's reason if it is aborted
 */
export async function compileGraph(
  source: Graph,
  options: CompileGraphOptions = {},
): Promise<CompiledBundle> {
  rejectUnknownOptions(options, GRAPH_OPTIONS, 'compileGraph');
  checkOptions(options);
  let progress = await stage('optimise', options);
  const graph = withOutputs(source, options.outputs ?? []);
  const { totals } = graphCost(graph);
  const reference = options.check === 'full' ? cloneGraph(graph) : undefined;
  const pipeline = options.signal ? { signal: options.signal } : {};
  runPipeline(graph, graphPipeline, pipeline);
  throwAny(missingWeights(graph));
  progress(0.5);
  runPipeline(graph, lowerPipeline, pipeline);
  throwAny(wasmTarget.unsupported(graph));
  progress(1);

  progress = await stage('generate', options);
  const program = wasmTarget.lower(graph);
  const code = wasmTarget.emit(program);
  progress(1);

  progress = await stage('check', options);
  const part = reference ? SAMPLED_PART : 1;
  const check = await checkProgram(program, SELF_TEST_SEED, {
    ...pipeline,
    onProgress: (fraction) => progress(fraction * part),
  });
  const tensors = { inputs: addressed(program.inputs, code), outputs: addressed(program.outputs, code) };
  const seededOutputs = await runSeeded(
    { ...tensors, module: code.bytes, weights: program.constants, weightsAddress: code.memory.constants },
    SELF_TEST_SEED,
  );
  checkSameOutputs(program, check.outputs, seededOutputs);
  if (reference) {
    checkWhole(reference, seededOutputs, SELF_TEST_SEED, {
      ...pipeline,
      onProgress: (fraction) => progress(part + fraction * (1 - part)),
    });
  }

  progress = await stage('bundle', options);
  const { files, manifest } = await makeBundle({
    program: {
      abi: ABI_VERSION,
      name: options.name ?? source.name,
      generator: `convolith ${VERSION}`,
      ...tensors,
      wasm: { weightsAddress: code.memory.constants, memoryBytes: code.memory.pages * 65536 },
      cost: { macs: totals.macs, parameters: totals.parameters, arenaBytes: program.arenaBytes },
    },
    module: code.bytes,
    weights: program.constants,
    seededOutputs,
  });
  progress(1);
  return {
    files,
    manifest,
    diagnostics: check.diagnostics,
    stats: statsOf(program, code, totals, check.elements),
  };
}

/** Announces a stage, and lets the event loop turn, so that a page stays alive and an abort is noticed. */
async function stage(
  name: CompileStage,
  { signal, onProgress }: CompileGraphOptions,
): Promise<(fraction: number) => void> {
  onProgress?.(name, 0);
  await pause();
  signal?.throwIfAborted();
  return (fraction) => onProgress?.(name, fraction);
}

function checkOptions({ target = ['wasm'], check = 'sampled' }: CompileGraphOptions): void {
  const problems: Diagnostic[] = [];
  const unknown = target.filter((t) => !COMPILE_TARGETS.includes(t));
  if (unknown.length > 0 || target.length === 0) {
    const got = unknown.length > 0 ? unknown.join(', ') : 'none';
    problems.push(
      diagnostic('usage-invalid', 'target', `expected some of ${COMPILE_TARGETS.join(', ')}; got ${got}`),
    );
  }
  if (check !== 'sampled' && check !== 'full') {
    problems.push(diagnostic('usage-invalid', 'check', `expected sampled or full; got ${String(check)}`));
  }
  throwAny(problems);
}

function throwAny(problems: readonly Diagnostic[]): void {
  if (problems.some(isError)) throw new CompileError(problems);
}

/** A copy of the graph with more of its values as outputs: no pass removes what is an output. */
function withOutputs(source: Graph, names: readonly string[]): Graph {
  const graph = cloneGraph(source);
  const known = new Map(
    graph.values.flatMap((v) => (v.source.kind === 'node' ? [[v.name, v] as const] : [])),
  );
  const taken = new Set(graph.outputs.map((o) => o.name));
  const problems: Diagnostic[] = [];
  for (const name of new Set(names)) {
    if (taken.has(name)) continue;
    const value = known.get(name);
    if (value) graph.addOutput(name, value);
    else
      problems.push(diagnostic('usage-invalid', name, 'no layer of the network gives a value of this name'));
  }
  throwAny(problems);
  return graph;
}

const missingWeights = (graph: Graph): Diagnostic[] =>
  graph.values.flatMap(({ name, source }) =>
    source.kind === 'constant' && 'missing' in source.constant
      ? [diagnostic('weights-missing', name, source.constant.missing)]
      : [],
  );

const addressed = (ports: readonly Port[], { memory }: WasmCode): ManifestTensor[] =>
  ports.map(({ name, type, offset, count }) => ({
    name,
    dtype: type.dtype,
    shape: type.shape,
    address: memory.arena + offset,
    ...(count ? { count: { axis: count.axis, address: memory.arena + count.offset } } : {}),
  }));

const statsOf = (
  program: WasmProgram,
  code: WasmCode,
  totals: { readonly macs: number; readonly parameters: number },
  checkedElements: number,
): CompileStats => ({
  macs: totals.macs,
  parameters: totals.parameters,
  calls: program.calls.length,
  kernels: code.kernels.length,
  moduleBytes: code.bytes.byteLength,
  weightBytes: program.constants.byteLength,
  arenaBytes: program.arenaBytes,
  arenaLowerBound: program.arenaLowerBound,
  memoryBytes: code.memory.pages * 65536,
  checkedElements,
});
