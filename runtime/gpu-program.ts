/** A compiled program on a WebGPU device: buffers and pipelines made once, one submission per run. */
import { ARRAYS, type ElementType, type TensorArray } from './abi.ts';
import { counted, type ShapedOutput } from './counted.ts';
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
    const size = halvesBytes(plan, device.features.has('shader-f16'));
    const halves =
      size === 0 ? [] : [device.createBuffer({ label: 'halves', size, usage: GPUBufferUsage.STORAGE })];
    this.#groups = constants.map((buffer) =>
      device.createBindGroup({
        layout,
        entries: [
          ...halves.map((kept) => ({ binding: 3, resource: { buffer: kept } })),
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
        outputs.reduce((bytes, output, k) => bytes + wordBytes(output) + (plan.counts?.[k] ? 4 : 0), 0),
      ),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.#buffers = [this.#arena, ...halves, ...constants, uniform, this.#staging];
  }

  /**
   * Uploads the constants and compiles every kernel, without blocking.
   * @throws Error where the device is too small, or refuses a kernel
   */
  static async create(device: GPUDevice, content: GpuContent): Promise<GpuProgram> {
    const { plan } = content;
    const half = device.features.has('shader-f16');
    const wgsl = half || plan.halves === undefined ? content.wgsl : withoutHalves(content.wgsl);
    const largest = largestBuffer(plan, half);
    const { maxStorageBufferBindingSize: most, maxBufferSize } = device.limits;
    const limit = Math.min(most, maxBufferSize);
    if (largest > limit) {
      throw new Error(`the network needs a buffer of ${largest} bytes; the device binds at most ${limit}`);
    }
    const storage = { visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } } as const;
    const layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, ...storage },
        { binding: 1, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'read-only-storage' } },
        {
          binding: 2,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: CALL_BYTES },
        },
        ...(plan.halves === undefined ? [] : [{ binding: 3, ...storage }]),
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
    ).catch(async (error: Error) => {
      const { messages } = await module.getCompilationInfo();
      const first = messages.find(({ type }) => type === 'error');
      throw new Error(
        `the device refuses a kernel: ${first ? `${first.lineNum}: ${first.message}` : error.message}`,
      );
    });
    // between these nothing is awaited: another load on the device has scopes of its own
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    const program = new GpuProgram(device, content, pipelines, layout);
    const popped = [device.popErrorScope(), device.popErrorScope()];
    try {
      const error = (await Promise.all(popped)).find((one) => one !== null);
      if (error) throw new Error(`the device refuses the network: ${error.message}`);
    } catch (error) {
      program.dispose();
      throw error;
    }
    return program;
  }

  /** The outputs on given inputs, which are read at once. Runs that overlap are done one after the other. */
  run(inputs: readonly TensorArray[]): Promise<ShapedOutput[]> {
    return this.runWords(this.wordsOf(inputs));
  }

  /** What is written for given inputs. @throws Error for integers that need more than 32 bits */
  wordsOf(given: readonly TensorArray[]): GpuWords[] {
    return this.#content.inputs.map((tensor, k) => wordsOf(tensor, given[k] ?? new Float32Array()));
  }

  runWords(words: readonly GpuWords[]): Promise<ShapedOutput[]> {
    const next = this.#last.then(() => this.#run(words));
    this.#last = next.catch(() => {});
    return next;
  }

  /** Puts inputs into the memory of the device. */
  write(given: readonly GpuWords[]): void {
    const { inputs } = this.#content.plan;
    given.forEach((words, k) => {
      if (words.length > 0) this.device.queue.writeBuffer(this.#arena, 4 * (inputs[k] ?? 0), words);
    });
  }

  /** Puts one call of the plan into a pass. */
  dispatch(pass: GPUComputePassEncoder, call: number): void {
    const [kernel = 0, bank = 0, x = 1, y = 1] = this.#content.plan.calls[call] ?? [];
    pass.setPipeline(this.#pipelines[kernel] as GPUComputePipeline);
    pass.setBindGroup(0, this.#groups[bank] as GPUBindGroup, [call * CALL_BYTES]);
    pass.dispatchWorkgroups(x, y);
  }

  async #run(given: readonly GpuWords[]): Promise<ShapedOutput[]> {
    if (this.#disposed) throw new Error('the program was disposed of; load it again');
    const { plan, outputs } = this.#content;
    this.write(given);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    plan.calls.forEach((_, k) => {
      this.dispatch(pass, k);
    });
    pass.end();
    let to = 0;
    const copy = (at: number, bytes: number) => {
      if (bytes > 0) encoder.copyBufferToBuffer(this.#arena, 4 * at, this.#staging, to, bytes);
      to += bytes;
    };
    outputs.forEach((output, k) => {
      copy(plan.outputs[k] ?? 0, wordBytes(output));
      const count = plan.counts?.[k];
      if (count) copy(count.at, 4);
    });
    this.device.queue.submit([encoder.finish()]);
    await this.#staging.mapAsync(GPUMapMode.READ);
    try {
      const read = this.#staging.getMappedRange();
      let from = 0;
      return outputs.map((output, k) => {
        const words = new Int32Array(read, from, wordBytes(output) / 4);
        from += wordBytes(output);
        const whole = { data: elementsOf(output, words), shape: [...output.shape] };
        const count = plan.counts?.[k];
        if (!count) return whole;
        from += 4;
        return counted(whole, count.axis, new Int32Array(read, from - 4, 1)[0] ?? 0);
      });
    } finally {
      this.#staging.unmap();
    }
  }

  /** Gives the device's memory back. */
  dispose(): void {
    this.#disposed = true;
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

/** The elements of an input as a device takes them. */
export type GpuWords = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** Bytes of the buffer of halves, which are whole floats on a device without them. */
const halvesBytes = ({ halves }: GpuPlan, half: boolean): number =>
  halves === undefined ? 0 : roundUp(Math.max(8, halves) * (half ? 2 : 4), 16);

/** Bytes of the largest buffer. */
export const largestBuffer = (plan: GpuPlan, half: boolean): number =>
  Math.max(plan.arenaBytes, halvesBytes(plan, half), ...plan.banks);

/** The same kernels for a device without halves: what they keep in half precision is then whole. */
const withoutHalves = (wgsl: string): string => wgsl.replace('enable f16;', '').replaceAll('f16', 'f32');

const roundUp = (bytes: number, multiple: number): number => Math.ceil(bytes / multiple) * multiple;

const wordBytes = ({ shape }: GpuTensor): number => 4 * shape.reduce((a, b) => a * b, 1);

/** One word for each element, in memory of its own. @throws Error for integers that need more */
function wordsOf(
  { name, dtype }: GpuTensor,
  data: TensorArray,
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  if (data instanceof Float32Array) return new Float32Array(data);
  const unsigned = dtype === 'u32' || dtype === 'u64';
  const words = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const number = Number(data[i]);
    words[i] = number;
    const kept = words[i] as number;
    if (number !== (unsigned ? kept >>> 0 : kept))
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
