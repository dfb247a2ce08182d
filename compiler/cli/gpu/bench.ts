/** The benchmark of a network on a device. */
import { fail } from '#ir/diagnostics.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { AGREEMENT } from '../../bench/agreement.ts';
import { GpuLayerTimer } from '../../bench/gpu-layers.ts';
import { type BenchReport, bench, type Contender } from '../../bench/index.ts';
import { gpuRatesOf, predictGpuLayers } from '../../roofline/gpu.ts';
import type { GpuProfile } from '../../tune/profile.ts';
import { VERSION } from '../../version.ts';
import { optimisedGraph } from '../backends.ts';
import { type BenchArguments, type BenchJob, predictedMs, withWasm } from '../commands/bench.ts';
import { readProfileOf } from '../measured-files.ts';
import { type Gpu, openGpu } from './device.ts';
import { dataOf, type GpuNetwork, gpuNetwork, loadOn, runOn } from './program.ts';

/** Halves have 11 bits of significand in place of 24; over the layers of a network that adds up to some 10⁻³. */
const HALVES_AGREEMENT = 1e-2;

/** @throws CompileError `gpu-missing`, `gpu-refused`, `target-unsupported`, and as `bench` */
export async function benchOnGpu(
  job: BenchJob,
  { against = 'wasm', gpuPrecision: precision = 'f32', profile: file }: BenchArguments,
): Promise<BenchReport> {
  const { graph, signal, shared } = job;
  const profile = file === undefined ? undefined : await readProfileOf('webgpu', file);
  const gpu = await openGpu();
  const network = gpuNetwork(optimisedGraph(graph, signal), precision);
  const device = await gpu.device();
  let layers: GpuLayerTimer | string | undefined;
  try {
    if (precision === 'f16' && !device.features.has('shader-f16')) {
      const message = 'the device has no shader-f16: kernels of half precision compute in f32 there';
      fail('gpu-refused', gpu.name, message, 'leave out --gpu-precision f16');
    }
    const timer = await layersOn(device, network, job);
    layers = timer;
    const timed = (other: Contender | string) =>
      bench({
        ...shared,
        gpu: {
          adapter: gpu.name,
          software: gpu.software,
          precision,
          dispatches: network.content.plan.calls.length,
        },
        ...(profile && forecast(network, profile)),
        macs: graphCost(network.program.graph).totals.macs,
        layers: timer,
        tolerance: precision === 'f16' ? HALVES_AGREEMENT : AGREEMENT,
        ours: onGpu(gpu, network, job),
        other,
      });
    return against === 'wasm'
      ? await withWasm(job, (wasm) => timed({ ...wasm, name: `${wasm.name} on WebAssembly` }))
      : await timed('nothing was to be compared with');
  } finally {
    if (typeof layers === 'object') layers.dispose();
    device.destroy();
  }
}

/** Layers are timed by the clock of the device, which does not see what the host takes for a dispatch; a run has all of it. */
function forecast({ program }: GpuNetwork, profile: GpuProfile) {
  const rates = gpuRatesOf(profile);
  const run = predictGpuLayers(program, rates).reduce((sum, { ns }) => sum + ns, 0);
  const predicted = predictedMs(predictGpuLayers(program, { ...rates, dispatchNs: 0 }));
  return { predicted, predictedRunMs: run / 1e6 };
}

async function layersOn(
  device: GPUDevice,
  network: GpuNetwork,
  { inputs }: BenchJob,
): Promise<GpuLayerTimer | string> {
  if (!device.features.has('timestamp-query'))
    return 'the device has no timestamp-query: only the whole is timed';
  const program = await loadOn(device, network);
  const words = program.readInputs(dataOf(network, inputs));
  return GpuLayerTimer.load(network.program, program, () =>
    program.write(words, device.createCommandEncoder()),
  );
}

/** A device of its own with each load: what one has compiled is of use to it alone. */
const onGpu = (gpu: Gpu, network: GpuNetwork, { inputs }: BenchJob): Contender => ({
  name: 'convolith on WebGPU',
  version: VERSION,
  async load() {
    const device = await gpu.device();
    const program = await loadOn(device, network).catch((error: unknown) => {
      device.destroy();
      throw error;
    });
    const given = dataOf(network, inputs);
    const run = () => runOn(program, given);
    return {
      run,
      outputs: async () => {
        const results = await run();
        return new Map(network.content.outputs.map(({ name }, i) => [name, results[i]?.data ?? []]));
      },
      dispose() {
        program.dispose();
        device.destroy();
      },
    };
  },
});
