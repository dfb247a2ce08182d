/** Outputs that stay on the device, in buffers of the caller. */
import { counted, type ShapedOutput } from './counted.ts';
import { attempt, lossOf } from './gpu-errors.ts';
import type { GpuCount } from './gpu-plan.ts';
import { elementsOf, type GpuTensor, wordBytes, wordOf } from './gpu-words.ts';
import type { DeviceTensor } from './model-types.ts';

/** Of an output, with a word behind its elements for how many positions count. */
export const outputBytes = (tensor: GpuTensor, count: GpuCount | null | undefined): number =>
  wordBytes(tensor) + (count ? 4 : 0);

/** An output as it lies in memory that was read back. */
export function readOutput(
  tensor: GpuTensor,
  count: GpuCount | null | undefined,
  memory: ArrayBuffer,
  from: number,
): ShapedOutput {
  const words = new Int32Array(memory, from, wordBytes(tensor) / 4);
  const whole = { data: elementsOf(tensor, words), shape: [...tensor.shape] };
  if (!count) return whole;
  return counted(whole, count.axis, new Int32Array(memory, from + words.byteLength, 1)[0] ?? 0);
}

export function deviceTensor(
  device: GPUDevice,
  tensor: GpuTensor,
  count: GpuCount | null | undefined,
  buffer: GPUBuffer,
): DeviceTensor<ShapedOutput> {
  const { dtype, shape } = tensor;
  return {
    buffer,
    dtype,
    word: wordOf(dtype),
    shape: [...shape],
    ...(count ? { count: { axis: count.axis, offset: wordBytes(tensor) } } : {}),
    async read() {
      const size = outputBytes(tensor, count);
      const [{ staging, mapped }, problem] = attempt(device, () => copied(device, buffer, size));
      try {
        const said = await problem;
        if (said !== undefined) throw new Error(said);
        await mapped;
        return readOutput(tensor, count, staging.getMappedRange(), 0);
      } catch (error) {
        const loss = await lossOf(device);
        const why = loss === undefined ? (error as Error).message : `the device was lost (${loss})`;
        throw new Error(`this output cannot be read: ${why}`);
      } finally {
        staging.destroy();
      }
    },
    destroy: () => buffer.destroy(),
  };
}

/** A copy on its way to be read. */
function copied(device: GPUDevice, buffer: GPUBuffer, size: number) {
  const staging = device.createBuffer({
    label: 'reading',
    size: Math.max(4, size),
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  if (size > 0) encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  const mapped = staging.mapAsync(GPUMapMode.READ);
  mapped.catch(() => {});
  return { staging, mapped };
}

/** @throws Error for buffers of the caller that cannot take their outputs */
export function checkInto(
  tensors: readonly GpuTensor[],
  counts: readonly (GpuCount | null)[],
  into: readonly unknown[],
): void {
  tensors.forEach((tensor, k) => {
    const given = into[k];
    if (given === undefined) return;
    const { size, usage } = (given ?? {}) as Partial<GPUBuffer>;
    const bytes = outputBytes(tensor, counts[k]);
    const first = into.indexOf(given);
    const problem =
      typeof size !== 'number' || typeof usage !== 'number'
        ? 'is no GPUBuffer'
        : size < bytes
          ? `has ${size} bytes, and the output ${bytes}`
          : (usage & GPUBufferUsage.COPY_DST) === 0
            ? 'lacks the usage COPY_DST'
            : first < k
              ? `is also for the output ${JSON.stringify(tensors[first]?.name)}`
              : undefined;
    if (problem) throw new Error(`into ${JSON.stringify(tensor.name)}: what was given ${problem}`);
  });
}

/** A buffer for each output: that of the caller, or a new one. */
export const outputBuffers = (
  device: GPUDevice,
  tensors: readonly GpuTensor[],
  counts: readonly (GpuCount | null)[],
  into: readonly unknown[],
): GPUBuffer[] =>
  tensors.map(
    (tensor, k) =>
      (into[k] as GPUBuffer | undefined) ??
      device.createBuffer({
        label: `output ${tensor.name}`,
        size: Math.max(4, outputBytes(tensor, counts[k])),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      }),
  );

/**
 * Outputs in buffers of their own, or in those of the caller, which are all that is left where the run fails.
 * @param run fills the buffers. @param made tells what the device says against them
 */
export async function intoBuffers(
  device: GPUDevice,
  tensors: readonly GpuTensor[],
  counts: readonly (GpuCount | null)[],
  into: readonly unknown[],
  run: (buffers: readonly GPUBuffer[], made: Promise<string | undefined>) => Promise<void>,
): Promise<DeviceTensor<ShapedOutput>[]> {
  checkInto(tensors, counts, into);
  const [buffers, made] = attempt(device, () => outputBuffers(device, tensors, counts, into));
  try {
    await run(buffers, made);
  } catch (error) {
    buffers.forEach((buffer, k) => {
      if (into[k] === undefined) buffer.destroy();
    });
    throw error;
  }
  return buffers.map((buffer, k) => deviceTensor(device, tensors[k] as GpuTensor, counts[k], buffer));
}
