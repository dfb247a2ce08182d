/** The network for WebGPU, and bundles that have nothing else. */
import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { ABI_VERSION, type ManifestTensor, type TensorArray } from '#runtime/abi.ts';
import { SELF_TEST_SEED } from './bundle/self-test.ts';
import { type BundleGpu, makeBundle } from './bundle/writer.ts';
import { checkWhole, SAMPLED_PART } from './check/full-check.ts';
import { checkProgram } from './check/self-check.ts';
import { type CompiledBundle, type CompileGraphOptions, throwAny } from './compile-options.ts';
import { optimised, stage } from './prepare.ts';
import type { Port } from './schedule/program.ts';
import { lowerGraph as lowerWasmGraph } from './targets/wasm/index.ts';
import {
  checkCode,
  emitProgram,
  type GpuPrecision,
  type GpuProgram,
  lowerGraph,
  pictureCode,
  unsupported,
  writeBank,
} from './targets/webgpu/index.ts';
import type { Variant } from './variant.ts';
import { VERSION } from './version.ts';

/** The program of a graph, with the files that it becomes. */
export interface CompiledGpu {
  readonly program: GpuProgram;
  readonly files: BundleGpu;
}

/** @param graph the network that kernels are for, which a variant becomes */
export function compiledForGpu(
  graph: Graph,
  { pictures }: Variant,
  precision: GpuPrecision | undefined,
): CompiledGpu {
  const program = lowerGraph(graph, precision);
  const code = emitProgram(program);
  checkCode(code);
  const { wgsl, plan, banks } = code;
  const weights = new Uint8Array(banks.reduce((sum, { bytes }) => sum + bytes, 0));
  let at = 0;
  for (const bank of banks) {
    writeBank(bank, weights.subarray(at, at + bank.bytes));
    at += bank.bytes;
  }
  const [reader] = program.inputs.flatMap((input) => {
    const picture = pictures.get(input.name);
    return (picture && pictureCode(input, picture)) ?? [];
  });
  return {
    program,
    files: {
      plan: reader ? { ...plan, picture: reader.picture } : plan,
      wgsl: reader ? `${wgsl}${reader.wgsl}` : wgsl,
      weights,
    },
  };
}

export function refuseSeveralOnGpu(): never {
  return fail(
    'usage-invalid',
    'target',
    'a bundle for WebGPU has one size',
    'give one size, or leave out webgpu',
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
  throwAny(unsupported(graph, options.gpuPrecision));
  const generated = await stage('generate', options);
  const { program, files: webgpu } = compiledForGpu(graph, variant, options.gpuPrecision);
  generated(1);
  const checked = await stage('check', options);
  const full = options.check === 'full';
  const part = full ? SAMPLED_PART : 1;
  const signal = options.signal && { signal: options.signal };
  const check = await checkProgram(lowerWasmGraph(graph), SELF_TEST_SEED, {
    ...signal,
    onProgress: (fraction) => checked(fraction * part),
  });
  const seededOutputs = check.outputs as readonly TensorArray[];
  if (full) {
    checkWhole(variant.graph, seededOutputs, SELF_TEST_SEED, {
      ...signal,
      onProgress: (fraction) => checked(part + fraction * (1 - part)),
    });
  }
  const bundled = await stage('bundle', options);
  const { macs, parameters, pictures } = variant;
  const { arenaBytes } = webgpu.plan;
  const { files, manifest } = await makeBundle({
    program: {
      abi: ABI_VERSION,
      name,
      generator: `convolith ${VERSION}`,
      inputs: program.inputs.map((input) => {
        const picture = pictures.get(input.name);
        return { ...tensorOf(input), ...(picture ? { picture } : {}) };
      }),
      outputs: program.outputs.map(tensorOf),
      cost: { macs, parameters, arenaBytes },
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
      calls: webgpu.plan.calls.length,
      kernels: webgpu.plan.kernels.length,
      moduleBytes: files.get('kernels.wgsl')?.byteLength ?? 0,
      weightBytes,
      storedBytes: weightBytes,
      weightsError: null,
      unsharedWeightBytes: weightBytes,
      arenaBytes: activationBytes(webgpu),
      arenaLowerBound: program.arenaLowerBound,
      memoryBytes: manifest.webgpu?.memoryBytes ?? 0,
      checkedElements: check.elements,
    },
  };
}

const activationBytes = ({ plan }: BundleGpu): number => plan.arenaBytes + 2 * (plan.halves ?? 0);

const tensorOf = ({ name, type: { dtype, shape }, count }: Port): ManifestTensor => ({
  name,
  dtype,
  shape,
  ...(count ? { count: { axis: count.axis } } : {}),
});
