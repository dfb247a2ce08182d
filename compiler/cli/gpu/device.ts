/** WebGPU for the command: that of the engine where it has one, else that of the package `webgpu`. */
import { existsSync } from 'node:fs';
import { fail } from '#ir/diagnostics.ts';
import { type AdapterTraits, adapterTraits } from '#runtime/gpu-adapter.ts';
import { importInstalled } from '../installed.ts';

export interface Gpu extends AdapterTraits {
  /** What implements WebGPU, with its version where that is known. */
  readonly engine: string;
  /** A device with all that the adapter has of what is asked for here. */
  device(): Promise<GPUDevice>;
}

type Dawn = typeof import('webgpu');

/** SwiftShader, as Chromium and Chrome bring it. */
const SOFTWARE_DRIVERS = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
];

/** Stamps are rounded to 0.1 ms against pages that would listen; here there are none. */
const FLAGS = ['disable-dawn-features=timestamp_quantization'];

/** Collecting an instance while its devices live ends the process. */
const instances: GPU[] = [];

/** The best adapter that there is: a GPU, else one that computes on the processor. @throws CompileError `gpu-missing` */
export async function openGpu(): Promise<Gpu> {
  const { gpu: own } = (globalThis.navigator ?? {}) as { gpu?: GPU };
  const { gpu, engine } = own ? { gpu: own, engine: 'navigator.gpu' } : await gpuOfDawn();
  const adapter = await bestOf(gpu);
  return { engine, ...adapterTraits(adapter), device: async () => deviceOf(await bestOf(gpu)) };
}

const adapterOf = (gpu: GPU): Promise<GPUAdapter | null> =>
  gpu.requestAdapter({ powerPreference: 'high-performance' });

/** An adapter gives one device. */
async function bestOf(gpu: GPU): Promise<GPUAdapter> {
  const hint = 'install a driver for Vulkan, Metal or Direct3D 12; Chromium brings one that is software';
  return (
    (await adapterOf(gpu)) ??
    fail('gpu-missing', 'webgpu', 'there is no adapter: no driver that WebGPU can use', hint)
  );
}

async function gpuOfDawn(): Promise<Pick<Gpu, 'engine'> & { readonly gpu: GPU }> {
  const installed = await importInstalled<Dawn>('webgpu');
  if (installed === undefined || typeof installed === 'string') {
    const hint = 'npm install --save-dev webgpu';
    const why = installed ?? 'the package is not installed here';
    return fail('gpu-missing', 'webgpu', `this engine has no WebGPU, and ${why}`, hint);
  }
  const { module: dawn, version } = installed;
  const engine = `Dawn of webgpu ${version}`.trim();
  Object.assign(globalThis, dawn.globals);
  const opened = (): GPU => {
    const gpu = dawn.create(FLAGS);
    instances.push(gpu);
    return gpu;
  };
  const first = opened();
  const driver = SOFTWARE_DRIVERS.find((path) => existsSync(path));
  if (driver === undefined || process.env.VK_ICD_FILENAMES !== undefined || (await adapterOf(first)))
    return { gpu: first, engine };
  // read with every new instance; the second keeps a layer of Mesa from looking for a display
  process.env.VK_ICD_FILENAMES = driver;
  process.env.NODEVICE_SELECT = '1';
  return { gpu: opened(), engine };
}

const WANTED: readonly GPUFeatureName[] = ['timestamp-query', 'shader-f16'];

function deviceOf(adapter: GPUAdapter): Promise<GPUDevice> {
  const { maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  return adapter.requestDevice({
    requiredFeatures: WANTED.filter((feature) => adapter.features.has(feature)),
    requiredLimits: { maxStorageBufferBindingSize, maxBufferSize },
  });
}

/** `google swiftshader-device-subzero swiftshader (software)`. */
export const adapterText = ({ name, software }: AdapterTraits): string =>
  software ? `${name} (software)` : name;
