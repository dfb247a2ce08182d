/** A compiled program on a WebGPU device: buffers and pipelines made once, one submission per run. */
import { ARRAYS, type ElementType, type TensorArray } from './abi.ts';
import type { GpuPlan } from './gpu-plan.ts';

/** An input or output, dense and row-major. */
export interface GpuTensor {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

export interface GpuContent {
  readonly plan: GpuPlan;
  readonly wgsl: string;
  /** The bytes of each bank of constants. */
  readonly banks: readonly Uint8Array<ArrayBuffer>[];
  readonly inputs: readonly GpuTensor[];
  readonly outputs: readonly GpuTensor[];
}

/** The arguments of a call stand in so many bytes, which dynamic offsets must be multiples of. */
const CALL_BYTES = 256;

export class GpuProgram {
  readonly device: GPUDevice;
  readonly #content: Omit<GpuContent, 'banks' | 'wgsl'>;
  readonly #arena: GPUBuffer;
  readonly #staging: GPUBuffer;
  readonly #buffers: readonly GPUBuffer[];
  readonly #pipelines: readonly GPUComputePipeline[];
  readonly #groups: readonly GPUBindGroup[];
  #last: Promise<unknown> = Promise.resolve();
  #disposed = false;

  private constructor(
    device: GPUDevice,
    content: GpuContent,
    pipelines: readonly GPUComputePipeline[],
    layout: GPUBindGroupLayout,
  ) {
    const { plan, banks, inputs, outputs } = content;
    this.device = device;
    this.#content = { plan, inputs, outputs };
    this.#pipelines = pipelines;
    this.#arena = device.createBuffer({
      label: 'arena',
      size: Math.max(16, roundUp(plan.arenaBytes, 16)),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
    const constants = (banks.length > 0 ? banks : [new Uint8Array(16)]).map((bytes, k) => {
      const buffer = device.createBuffer({
        label: `constants ${k}`,
        size: Math.max(16, roundUp(bytes.byteLength, 16)),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      });
      if (bytes.byteLength > 0) device.queue.writeBuffer(buffer, 0, bytes);
      return buffer;
    });
    const places = new Uint32Array((Math.max(1, plan.calls.length) * CALL_BYTES) / 4);
    plan.calls.forEach(([, , , , ...offsets], k) => {
      places.set(offsets, (k * CALL_BYTES) / 4);
    });
    const uniform = device.createBuffer({
      label: 'arguments',
      size: places.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(uniform, 0, places);
    this.#groups = constants.map((buffer) =>
      device.createBindGroup({
        layout,
        entries: [
          { binding: 0, resource: { buffer: this.#arena } },
          { binding: 1, resource: { buffer } },
          { binding: 2, resource: { buffer: uniform, size: CALL_BYTES } },
        ],
      }),
    );
    this.#staging = device.createBuffer({
      label: 'outputs',
      size: Math.max(
        4,
        outputs.reduce((bytes, output) => bytes + wordBytes(output), 0),
      ),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.#buffers = [this.#arena, ...constants, uniform, this.#staging];
  }

  /**
   * Uploads the constants and compiles every kernel, without blocking.
   * @throws Error where the device is too small, or refuses a kernel
   */
  static async create(device: GPUDevice, content: GpuContent): Promise<GpuProgram> {
    const { plan, wgsl } = content;
    const largest = Math.max(plan.arenaBytes, ...plan.banks);
    const { maxStorageBufferBindingSize: most, maxBufferSize } = device.limits;
    const limit = Math.min(most, maxBufferSize);
    if (largest > limit) {
      throw new Error(`the network needs a buffer of ${largest} bytes; the device binds at most ${limit}`);
    }
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    const layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } },
        { binding: 1, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'read-only-storage' } },
        {
          binding: 2,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: CALL_BYTES },
        },
      ],
    });
    const module = device.createShaderModule({ code: wgsl });
    const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
    const pipelines = await Promise.all(
      plan.kernels.map((entryPoint) =>
        device.createComputePipelineAsync({
          label: entryPoint,
          layout: pipelineLayout,
          compute: { module, entryPoint },
        }),
      ),
    );
    const program = new GpuProgram(device, content, pipelines, layout);
    const [invalid, memory] = [await device.popErrorScope(), await device.popErrorScope()];
    const error = invalid ?? memory;
    if (error) {
      program.dispose();
      throw new Error(`the device refuses the network: ${error.message}`);
    }
    return program;
  }

  /** The outputs on given inputs, in order. Runs that overlap are done one after the other. */
  run(inputs: readonly TensorArray[]): Promise<TensorArray[]> {
    const next = this.#last.then(() => this.#run(inputs));
    this.#last = next.catch(() => {});
    return next;
  }

  async #run(given: readonly TensorArray[]): Promise<TensorArray[]> {
    if (this.#disposed) throw new Error('the program was disposed of; load it again');
    const { plan, inputs, outputs } = this.#content;
    inputs.forEach((tensor, k) => {
      const data = given[k];
      const words = data && wordsOf(tensor.name, data);
      if (words && words.length > 0)
        this.device.queue.writeBuffer(this.#arena, 4 * (plan.inputs[k] ?? 0), words);
    });
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    plan.calls.forEach(([kernel = 0, bank = 0, x = 1, y = 1], k) => {
      pass.setPipeline(this.#pipelines[kernel] as GPUComputePipeline);
      pass.setBindGroup(0, this.#groups[bank] as GPUBindGroup, [k * CALL_BYTES]);
      pass.dispatchWorkgroups(x, y);
    });
    pass.end();
    let at = 0;
    outputs.forEach((output, k) => {
      const bytes = wordBytes(output);
      if (bytes > 0)
        encoder.copyBufferToBuffer(this.#arena, 4 * (plan.outputs[k] ?? 0), this.#staging, at, bytes);
      at += bytes;
    });
    this.device.queue.submit([encoder.finish()]);
    await this.#staging.mapAsync(GPUMapMode.READ);
    const read = this.#staging.getMappedRange();
    let from = 0;
    const results = outputs.map((output) => {
      const words = new Int32Array(read, from, wordBytes(output) / 4);
      from += wordBytes(output);
      return elementsOf(output, words);
    });
    this.#staging.unmap();
    return results;
  }

  /** Gives the device's memory back. */
  dispose(): void {
    this.#disposed = true;
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

const roundUp = (bytes: number, multiple: number): number => Math.ceil(bytes / multiple) * multiple;

const wordBytes = ({ shape }: GpuTensor): number => 4 * shape.reduce((a, b) => a * b, 1);

/** One word for each element. @throws Error for integers that need more */
function wordsOf(name: string, data: TensorArray): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  if (data instanceof Float32Array) return new Float32Array(data);
  const words = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const number = Number(data[i]);
    words[i] = number;
    if (number !== words[i] && number !== (words[i] as number) >>> 0)
      throw new Error(`input ${JSON.stringify(name)}: ${String(data[i])} does not fit the 32 bits of a GPU`);
  }
  return words;
}

/** Elements of an output in an array of their own. */
function elementsOf({ dtype }: GpuTensor, words: Int32Array<ArrayBuffer>): TensorArray {
  if (dtype === 'f32') return new Float32Array(words.buffer, words.byteOffset, words.length).slice();
  if (dtype === 'i64') return BigInt64Array.from(words, BigInt);
  if (dtype === 'u64') return BigUint64Array.from(words, (word) => BigInt(word >>> 0));
  return new ARRAYS[dtype](words);
}
