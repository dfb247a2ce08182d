/** Outputs that stay on the device, in buffers of the caller. */
import { ARRAYS, type ElementType, type TensorArray } from './abi.ts';
import { counted, type ShapedOutput } from './counted.ts';
import type { GpuCount } from './gpu-plan.ts';
import type { DeviceTensor } from './model-types.ts';

/** An input or output, dense and row-major. */
export interface GpuTensor {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

/** The word that holds an element. */
export const wordOf = (dtype: ElementType): DeviceTensor<unknown>['word'] =>
  dtype === 'f32' ? 'f32' : dtype === 'u32' || dtype === 'u64' ? 'u32' : 'i32';

export const wordBytes = ({ shape }: GpuTensor): number => 4 * shape.reduce((a, b) => a * b, 1);

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

/** Elements of an output in an array of their own. */
function elementsOf({ dtype }: GpuTensor, words: Int32Array<ArrayBuffer>): TensorArray {
  if (dtype === 'f32') return new Float32Array(words.buffer, words.byteOffset, words.length).slice();
  if (dtype === 'i64') return BigInt64Array.from(words, BigInt);
  if (dtype === 'u64') return BigUint64Array.from(words, (word) => BigInt(word >>> 0));
  return new ARRAYS[dtype](words);
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
      const staging = device.createBuffer({
        label: 'reading',
        size: Math.max(4, size),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      try {
        const encoder = device.createCommandEncoder();
        if (size > 0) encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
        const error = await refusal(device, () => device.queue.submit([encoder.finish()]));
        if (error !== undefined) throw new Error(`this output cannot be read: ${error}`);
        await staging.mapAsync(GPUMapMode.READ);
        return readOutput(tensor, count, staging.getMappedRange(), 0);
      } finally {
        staging.destroy();
      }
    },
    destroy: () => buffer.destroy(),
  };
}

/** What a device says against what it is told to do; nothing is awaited before all of it is. */
export async function refusal(device: GPUDevice, work: () => void): Promise<string | undefined> {
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  let thrown: string | undefined;
  try {
    work();
  } catch (error) {
    thrown = (error as Error).message;
  }
  const found = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  return thrown ?? found.find((error) => error !== null)?.message;
}

/** Buffers for outputs, those of the caller where there are some. @throws Error for one that does not do */
export function outputBuffers(
  device: GPUDevice,
  tensors: readonly GpuTensor[],
  counts: readonly (GpuCount | null)[],
  into: readonly unknown[],
): GPUBuffer[] {
  into.forEach((given, k) => {
    const tensor = tensors[k];
    if (given === undefined || !tensor) return;
    const { size, usage } = given as Partial<GPUBuffer>;
    const bytes = outputBytes(tensor, counts[k]);
    const problem =
      typeof size !== 'number' || typeof usage !== 'number'
        ? 'is no GPUBuffer'
        : size < bytes
          ? `has ${size} bytes, and the output ${bytes}`
          : (usage & GPUBufferUsage.COPY_DST) === 0
            ? 'lacks the usage COPY_DST'
            : undefined;
    if (problem) throw new Error(`into ${JSON.stringify(tensor.name)}: what was given ${problem}`);
  });
  return tensors.map(
    (tensor, k) =>
      (into[k] as GPUBuffer | undefined) ??
      device.createBuffer({
        label: `output ${tensor.name}`,
        size: Math.max(4, outputBytes(tensor, counts[k])),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      }),
  );
}
