/** `compile`: a model becomes a bundle. */

import { type Diagnostic, InternalError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import {
  ABI_VERSION,
  type Specialisation as ManifestSpecialisation,
  type TensorArray,
} from '#runtime/abi.ts';
import { WEIGHTS_FILE } from './bundle/required-files.ts';
import { SELF_TEST_SEED } from './bundle/self-test.ts';
import { storeWeights } from './bundle/stored-weights.ts';
import { makeBundle } from './bundle/writer.ts';
import { checkWhole, SAMPLED_PART } from './check/full-check.ts';
import { RunnableModule } from './check/run-module.ts';
import { checkProgram, checkSameOutputs } from './check/self-check.ts';
import { compiledForGpu, compileForGpuAlone, refuseSeveralOnGpu } from './compile-gpu.ts';
import {
  type CompiledBundle,
  type CompileGraphOptions,
  type CompileOptions,
  type CompileStats,
  checkOptions,
  GRAPH_OPTIONS,
  MODEL_OPTIONS,
} from './compile-options.ts';
import { partsForGpu } from './compile-split.ts';
import { checkPorts, checkProducts } from './memory-limits.ts';
import { addressed, BASELINE, otherModules } from './modules.ts';
import { rejectUnknownOptions } from './options.ts';
import { importSizes, optimised, stage } from './prepare.ts';
import { parsePreprocess } from './preprocess/options.ts';
import { ConstantPool, type LinkedProgram } from './schedule/link.ts';
import type { Partition } from './schedule/partition.ts';
import { type ConstantPart, writeConstants } from './schedule/program.ts';
import {
  type Choices,
  type CostProfile,
  emitLinked,
  freeChoices,
  lowerGraph,
  runExport,
  SharedChoices,
  type WasmCode,
  type WasmKernel,
  type WasmProgram,
} from './targets/wasm/index.ts';
import { TunedChoices } from './tune/choices.ts';
import { costsOf, parseProfileOf } from './tune/profile.ts';
import { oneMachine, refuseSeveralSizes } from './tune/tuning.ts';
import { type Variant, variantsOf } from './variant.ts';
import { VERSION } from './version.ts';
import { roundWeights } from './weights/rounding.ts';
import { largestDifference, outputsOf } from './weights/rounding-error.ts';

/**
 * Compiles an ONNX model, or a JSON network description. A symbolic batch is 1 unless given.
 * @throws CompileError with every problem found; the signal's reason if it is aborted
 */
export async function compileModel(bytes: Uint8Array, options: CompileOptions = {}): Promise<CompiledBundle> {
  rejectUnknownOptions(options, MODEL_OPTIONS, 'compileModel');
  const { dims, shapes, specialisations, externalData, ...rest } = options;
  checkOptions(rest);
  const progress = await stage('import', options);
  const models = importSizes(bytes, options);
  progress(1);
  const bundle = await compileGraphs(
    models.map((model) => model.graph),
    rest,
  );
  const notes = models.flatMap((model) => model.diagnostics);
  return { ...bundle, diagnostics: distinct([...notes, ...bundle.diagnostics]) };
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
  return compileGraphs([source], options);
}

/** A specialisation whose layers have been checked. */
interface CheckedVariant {
  /** The network that the kernels compute. */
  readonly optimised: Graph;
  /** Where it is cut for a GPU. */
  readonly parts: Partition | undefined;
  readonly variant: Variant;
  readonly program: LinkedProgram<WasmKernel>;
  readonly constantBytes: number;
  readonly arenaLowerBound: number;
  readonly check: Awaited<ReturnType<typeof checkProgram>>;
  /** What rounding the weights changed; null where they were not. */
  readonly weightsError: number | null;
}

/** The graphs are one network at different sizes. */
async function compileGraphs(
  sources: readonly Graph[],
  options: CompileGraphOptions,
): Promise<CompiledBundle> {
  const preprocess = options.preprocess === undefined ? undefined : parsePreprocess(options.preprocess);
  const variants = variantsOf(sources, options.outputs ?? [], preprocess);
  const name = options.name ?? variants[0]?.graph.name ?? '';
  const onGpu = options.target?.includes('webgpu') ?? false;
  for (const { graph } of variants) checkPorts(graph, options.target);
  const [only, ...more] = variants;
  if (onGpu && more.length > 0) refuseSeveralOnGpu(options);
  if (only && !options.target?.includes('wasm') && onGpu) return compileForGpuAlone(name, only, options);
  const costs = costsOf(options.profile && parseProfileOf('wasm', options.profile));
  const choices = await choicesFor(variants, options, costs);
  const part = options.check === 'full' ? SAMPLED_PART : 1;
  const pool = new ConstantPool();
  const checked: CheckedVariant[] = [];
  let module: EmittedModule | undefined;
  for (const variant of variants) {
    const exact = await optimised(variant, options);
    const format = options.weights ?? 'f32';
    const rounds = format === 'f16' || format === 'i8';
    const graph = rounds ? roundWeights(exact, format) : exact;
    // before anything is generated: it may be refused
    if (onGpu) checkProducts(graph, options.gpuPrecision);
    const parts = onGpu ? partsForGpu(graph, options.gpuPrecision) : undefined;
    let progress = await stage('generate', options);
    const exactOutputs = rounds ? await outputsOf(lowerGraph(exact, { choices })) : undefined;
    const program = lowerGraph(graph, { choices, threads: options.threads ?? 1 });
    if (variants.length === 1) {
      // the weights are packed into the memory of the module, which the check of the layers shares: they are large
      module = await emitted(name, [program], program, options);
    }
    progress(1);
    progress = await stage('check', options);
    const check = await checkProgram(program, SELF_TEST_SEED, {
      ...(options.signal && { signal: options.signal }),
      onProgress: (fraction) => progress(fraction * part),
      ...(module && { module: { code: module.code, memory: module.runnable.memory } }),
    });
    checked.push({
      optimised: graph,
      parts,
      // what a full check compares with: the network of which the weights are rounded
      variant: rounds ? { ...variant, graph } : variant,
      // of several, only one at a time has its own weights in memory
      program: variants.length === 1 ? program : pool.add(program),
      constantBytes: program.constantBytes,
      arenaLowerBound: program.arenaLowerBound,
      check,
      weightsError: exactOutputs ? largestDifference(exactOutputs, check.outputs) : null,
    });
  }
  const programs = checked.map(({ program }) => program);
  module ??= await emitted(name, programs, pool, options);
  return bundleOf(name, checked, module, options, costs);
}

/**
 * The module of a bundle, in memory that holds the weights. What is loaded has `step` beside, where there is one size: then the
 * check of the layers and the run of the whole share what the engine has made of the same functions.
 */
interface EmittedModule {
  readonly code: WasmCode;
  readonly runnable: RunnableModule;
  readonly constantParts: readonly ConstantPart[];
}

async function emitted(
  name: string,
  programs: readonly LinkedProgram<WasmKernel>[],
  { constantBytes, constantParts }: Pick<WasmProgram, 'constantBytes' | 'constantParts'>,
  { weights = 'f32', onFile }: CompileGraphOptions,
): Promise<EmittedModule> {
  const code = emitLinked(name, programs, constantBytes, { steps: programs.length === 1 });
  const { constants, pages } = code.memory;
  if (!WebAssembly.validate(code.bytes)) throw new InternalError('the module is not valid');
  const runnable = await RunnableModule.load(code.stepBytes ?? code.bytes, {
    memoryBytes: pages * 65536,
    weightsAddress: constants,
    weightBytes: constantBytes,
  });
  writeConstants(constantParts, runnable.weights);
  if (weights === 'f32') onFile?.(WEIGHTS_FILE, runnable.weights);
  return { code, runnable, constantParts };
}

/** One size takes what was measured; of several, what every one wants its layers' tiles to be, settled. */
async function choicesFor(
  variants: readonly Variant[],
  options: CompileGraphOptions,
  costs: CostProfile,
): Promise<Choices> {
  const { tuning } = options;
  if (variants.length < 2) return tuning ? TunedChoices.of(oneMachine(tuning), costs) : freeChoices(costs);
  if (tuning) refuseSeveralSizes();
  const choices = new SharedChoices(costs);
  for (const variant of variants) lowerGraph(await optimised(variant, options), { choices });
  choices.settle();
  return choices;
}

/** Runs the module once more as a whole, and writes the files. */
async function bundleOf(
  name: string,
  checked: readonly CheckedVariant[],
  { code, runnable, constantParts }: EmittedModule,
  options: CompileGraphOptions,
  costs: CostProfile,
): Promise<CompiledBundle> {
  const specialisations = checked.map(({ variant, program }, i): ManifestSpecialisation => {
    const { macs, parameters, pictures } = variant;
    return {
      run: runExport(i),
      inputs: addressed(program.inputs, code).map((input) => {
        const picture = pictures.get(input.name);
        return picture ? { ...input, picture } : input;
      }),
      outputs: addressed(program.outputs, code),
      cost: { macs, parameters, arenaBytes: program.arenaBytes },
    };
  });
  const programs = checked.map(({ program }) => program);
  const others = await otherModules(name, programs, runnable, options, costs.engines);
  const seededOutputs: TensorArray[] = [];
  for (const [i, specialisation] of specialisations.entries()) {
    const { variant, program, check } = checked[i] as CheckedVariant;
    const got = runnable.runSeeded(specialisation, SELF_TEST_SEED);
    checkSameOutputs(program, check.outputs, got, 'the module’s run', 'its layers one by one');
    for (const { standIn, file } of others) {
      const alike = standIn.runSeeded(specialisation, SELF_TEST_SEED);
      checkSameOutputs(program, got, alike, file, 'the baseline module');
    }
    if (options.check === 'full') {
      checkWhole(variant.graph, got, SELF_TEST_SEED, {
        ...(options.signal && { signal: options.signal }),
        onProgress: (fraction) =>
          options.onProgress?.(
            'check',
            SAMPLED_PART + ((i + fraction) / checked.length) * (1 - SAMPLED_PART),
          ),
      });
    }
    seededOutputs.push(...got);
  }
  const progress = await stage('bundle', options);
  const { weights: format = 'f32' } = options;
  const stored = format === 'f32' ? undefined : storeWeights(constantParts, runnable.weights, format);
  const [first] = checked;
  const gpu =
    first && options.target?.includes('webgpu')
      ? await compiledForGpu(first.optimised, first.variant, options, first.parts)
      : undefined;
  const [{ inputs = [], outputs = [], cost = NO_COST } = {}, ...further] = specialisations;
  const { files, manifest } = await makeBundle({
    program: {
      abi: ABI_VERSION,
      name,
      generator: `convolith ${VERSION}`,
      inputs,
      outputs,
      cost,
      ...(further.length > 0 ? { further } : {}),
    },
    wasm: {
      place: {
        weightsAddress: code.memory.constants,
        memoryBytes: code.memory.pages * 65536,
        mostThreads: options.threads ?? 1,
      },
      modules: [...others, { ...BASELINE, bytes: code.bytes }],
      weights: runnable.weights,
      ...(stored ? { stored } : {}),
    },
    ...(gpu ? { webgpu: gpu.files } : {}),
    seededOutputs,
  });
  for (const [file, bytes] of files) if (bytes !== runnable.weights) options.onFile?.(file, bytes);
  progress(1);
  return {
    files,
    manifest,
    diagnostics: distinct([...checked.flatMap(({ check }) => check.diagnostics), ...(gpu?.notes ?? [])]),
    stats: {
      ...statsOf(checked, code),
      split: gpu?.split ?? null,
      storedBytes: manifest.wasm?.weights.bytes ?? 0,
    },
  };
}

const NO_COST = { macs: 0, parameters: 0, arenaBytes: 0 };

/** Specialisations have most of their notes in common. */
function distinct(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const byText = new Map(diagnostics.map((d) => [`${d.code} ${d.subject} ${d.message}`, d]));
  return [...byText.values()];
}

function statsOf(
  checked: readonly CheckedVariant[],
  code: WasmCode,
): Omit<CompileStats, 'storedBytes' | 'split'> {
  const errors = checked.flatMap(({ weightsError }) => weightsError ?? []);
  const sum = (of: (one: CheckedVariant) => number) => checked.reduce((total, one) => total + of(one), 0);
  const { memory } = code;
  return {
    macs: checked[0]?.variant.macs ?? 0,
    parameters: checked[0]?.variant.parameters ?? 0,
    specialisations: checked.length,
    calls: sum(({ program }) => program.calls.length),
    kernels: code.kernels.length,
    moduleBytes: code.bytes.byteLength,
    weightBytes: memory.constantBytes,
    weightsError: errors.length > 0 ? Math.max(...errors) : null,
    unsharedWeightBytes: sum(({ constantBytes }) => constantBytes),
    arenaBytes: memory.arenaBytes,
    arenaLowerBound: Math.max(...checked.map((one) => one.arenaLowerBound)),
    memoryBytes: memory.pages * 65536,
    checkedElements: sum(({ check }) => check.elements),
  };
}
