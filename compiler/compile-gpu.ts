/** The network for WebGPU, and bundles that have nothing else. */
import { type Diagnostic, fail, InternalError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { ABI_VERSION, type TensorArray } from '#runtime/abi.ts';
import { MODULE_BREAK } from '#runtime/gpu-plan.ts';
import { SELF_TEST_SEED } from './bundle/self-test.ts';
import { type BundleGpu, makeBundle } from './bundle/writer.ts';
import { checkWhole, SAMPLED_PART } from './check/full-check.ts';
import { checkProgram } from './check/self-check.ts';
import {
  type CompiledBundle,
  type CompileGraphOptions,
  type SplitStats,
  throwAny,
} from './compile-options.ts';
import { copiesOf, cut, splitFiles, splitNote, tensorsOf } from './compile-split.ts';
import { checkArena, checkProducts, onWebAssembly } from './memory-limits.ts';
import { optimised, stage } from './prepare.ts';
import type { Partition } from './schedule/partition.ts';
import { lowerGraph as lowerWasmGraph } from './targets/wasm/index.ts';
import {
  type Bank,
  checkCode,
  emitProgram,
  type GpuChoices,
  type GpuPrecision,
  type GpuProgram,
  lowerGraph,
  pictureCode,
  USUAL_CHOICES,
  unsupported,
  writeBank,
} from './targets/webgpu/index.ts';
import { gpuChoicesOf } from './tune/adapters.ts';
import { parseTuning } from './tune/tuning.ts';
import type { Variant } from './variant.ts';
import { VERSION } from './version.ts';

/** What a network becomes on a GPU. */
export interface CompiledGpu {
  /** Of its parts there; one where that is the whole network. */
  readonly programs: readonly GpuProgram[];
  readonly files: BundleGpu;
  readonly split: SplitStats | null;
  readonly notes: readonly Diagnostic[];
}

/**
 * @param graph the network that kernels are for, which the variant became
 * @param parts where it is cut, because it has layers without a kernel
 */
export async function compiledForGpu(
  graph: Graph,
  { pictures }: Variant,
  { gpuPrecision, tuning, signal }: CompileGraphOptions,
  parts: Partition | undefined,
): Promise<CompiledGpu> {
  const graphs = parts ? parts.parts.flatMap((part) => (part.onDevice ? [part.graph] : [])) : [graph];
  const choices = tuning ? gpuChoicesOf(parseTuning(tuning), gpuPrecision ?? 'f32') : USUAL_CHOICES;
  const compiled = graphs.map((part) => partForGpu(part, pictures, gpuPrecision, choices));
  const split = parts ? copiesOf(parts) : null;
  return {
    programs: compiled.map(({ program }) => program),
    files: {
      plans: compiled.map(({ plan }) => plan),
      wgsl: compiled.map(({ wgsl }) => wgsl).join(MODULE_BREAK),
      weights: joined(compiled.flatMap(({ banks }) => banks)),
      ...(parts && split ? { split: await splitFiles(graph.name, parts, split, signal) } : {}),
    },
    split,
    notes: split ? [splitNote(graph, split)] : [],
  };
}

function partForGpu(
  graph: Graph,
  pictures: Variant['pictures'],
  precision: GpuPrecision | undefined,
  choices: GpuChoices,
) {
  const program = lowerGraph(graph, precision, choices);
  checkArena(graph.name, program.arenaBytes);
  const code = emitProgram(program);
  checkCode(code);
  const [reader] = program.inputs.flatMap((input) => {
    const picture = pictures.get(input.name);
    return (picture && pictureCode(input, picture)) ?? [];
  });
  const { wgsl, plan, banks } = code;
  if (!reader) return { program, wgsl, plan, banks };
  return { program, banks, plan: { ...plan, picture: reader.picture }, wgsl: `${wgsl}${reader.wgsl}` };
}

function joined(banks: readonly Bank[]): Uint8Array {
  const weights = new Uint8Array(banks.reduce((sum, { bytes }) => sum + bytes, 0));
  let at = 0;
  for (const bank of banks) {
    writeBank(bank, weights.subarray(at, at + bank.bytes));
    at += bank.bytes;
  }
  return weights;
}

export function refuseSeveralOnGpu({ target }: CompileGraphOptions): never {
  const other = target?.includes('wasm')
    ? 'leave out webgpu'
    : 'compile for WebAssembly, which takes several';
  return fail('usage-invalid', 'target', 'a bundle for WebGPU has one size', `give one size, or ${other}`);
}

/** @throws CompileError for a network that a GPU cannot run as a whole */
export function checkForGpuAlone(graph: Graph, precision: GpuPrecision | undefined): void {
  checkProducts(graph, precision);
  const problems = unsupported(graph, precision);
  const hint = 'give the target wasm,webgpu: such layers then run on WebAssembly, between the others';
  throwAny(
    problems.length > 0 && cut(graph, problems) ? problems.map((one) => ({ ...one, hint })) : problems,
  );
}

/**
 * A bundle for WebGPU alone. No device is asked: what its outputs should be, which `load` can compare, comes from the same
 * layers on kernels for WebAssembly, each of them compared with the reference. These kernels are not kept.
 */
export async function compileForGpuAlone(
  name: string,
  variant: Variant,
  options: CompileGraphOptions,
): Promise<CompiledBundle> {
  const graph = await optimised(variant, options);
  checkForGpuAlone(graph, options.gpuPrecision);
  const generated = await stage('generate', options);
  const { programs, files: webgpu } = await compiledForGpu(graph, variant, options, undefined);
  const [program] = programs;
  const [plan] = webgpu.plans;
  if (!program || !plan) throw new InternalError('a network that is not split has one program');
  generated(1);
  const checked = await stage('check', options);
  const full = options.check === 'full';
  const part = full ? SAMPLED_PART : 1;
  const signal = options.signal && { signal: options.signal };
  const check = await checkProgram(
    onWebAssembly(() => lowerWasmGraph(graph)),
    SELF_TEST_SEED,
    { ...signal, onProgress: (fraction) => checked(fraction * part) },
  );
  const seededOutputs = check.outputs as readonly TensorArray[];
  if (full) {
    checkWhole(variant.graph, seededOutputs, SELF_TEST_SEED, {
      ...signal,
      onProgress: (fraction) => checked(part + fraction * (1 - part)),
    });
  }
  const bundled = await stage('bundle', options);
  const { macs, parameters, pictures } = variant;
  const { files, manifest } = await makeBundle({
    program: {
      abi: ABI_VERSION,
      name,
      generator: `convolith ${VERSION}`,
      ...tensorsOf(graph, pictures),
      cost: { macs, parameters, arenaBytes: plan.arenaBytes },
    },
    webgpu,
    seededOutputs,
  });
  for (const [file, bytes] of files) options.onFile?.(file, bytes);
  bundled(1);
  const weightBytes = webgpu.weights.byteLength;
  return {
    files,
    manifest,
    diagnostics: check.diagnostics,
    stats: {
      macs,
      parameters,
      specialisations: 1,
      calls: plan.calls.length,
      kernels: plan.kernels.length,
      moduleBytes: files.get('kernels.wgsl')?.byteLength ?? 0,
      weightBytes,
      storedBytes: weightBytes,
      weightsError: null,
      unsharedWeightBytes: weightBytes,
      arenaBytes: plan.arenaBytes + 2 * (plan.halves ?? 0),
      arenaLowerBound: program.arenaLowerBound,
      split: null,
      memoryBytes: manifest.webgpu?.memoryBytes ?? 0,
      checkedElements: check.elements,
    },
  };
}
