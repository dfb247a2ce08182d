/** A compiled program on a WebGPU device: buffers and pipelines made once, one submission per run. */
import type { TensorArray } from './abi.ts';
import type { ShapedOutput } from './counted.ts';
import type { DeviceSource } from './gpu-inputs.ts';
import {
  deviceTensor,
  type GpuTensor,
  outputBuffers,
  outputBytes,
  readOutput,
  refusal,
  wordBytes,
} from './gpu-outputs.ts';
import { PictureReader } from './gpu-pictures.ts';
import { type GpuCount, type GpuPlan, MODULE_BREAK } from './gpu-plan.ts';
import type { DeviceTensor } from './model-types.ts';

export type { GpuTensor } from './gpu-outputs.ts';

export interface GpuContent {
  readonly plan: GpuPlan;
  /** The module of the kernels, then those that read pictures. */
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
  /** For outputs that are read back; runs that overlap have further ones. */
  #staging: GPUBuffer | undefined;
  readonly #picture: PictureReader | undefined;
  readonly #buffers: readonly GPUBuffer[];
  readonly #pipelines: readonly GPUComputePipeline[];
  readonly #groups: readonly GPUBindGroup[];
  #disposed = false;

  private constructor(
    device: GPUDevice,
    content: GpuContent,
    pipelines: readonly GPUComputePipeline[],
    layout: GPUBindGroupLayout,
  ) {
    const { plan, banks, inputs, outputs, wgsl } = content;
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
    this.#picture =
      plan.picture && new PictureReader(device, plan.picture, modulesOf(wgsl).slice(1), this.#arena);
    this.#buffers = [this.#arena, ...halves, ...constants, uniform];
    this.#staging = this.#newStaging();
  }

  #newStaging(): GPUBuffer {
    const { outputs } = this.#content;
    return this.device.createBuffer({
      label: 'outputs',
      size: Math.max(
        4,
        outputs.reduce((bytes, output, k) => bytes + outputBytes(output, this.#count(k)), 0),
      ),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  #count(output: number): GpuCount | null {
    return this.#content.plan.counts?.[output] ?? null;
  }

  /**
   * Uploads the constants and compiles every kernel, without blocking.
   * @throws Error where the device is too small, or refuses a kernel
   */
  static async create(device: GPUDevice, content: GpuContent): Promise<GpuProgram> {
    const { plan } = content;
    const half = device.features.has('shader-f16');
    const [code = ''] = modulesOf(content.wgsl);
    const wgsl = half || plan.halves === undefined ? code : withoutHalves(code);
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
  wordsOf(given: readonly (TensorArray | DeviceSource)[]): GpuInput[] {
    return this.#content.inputs.map((tensor, k) => {
      const input = given[k] ?? new Float32Array();
      return 'kind' in input ? input : wordsOf(tensor, input);
    });
  }

  /** Everything is submitted before anything is awaited. */
  async runWords(given: readonly GpuInput[]): Promise<ShapedOutput[]> {
    const { outputs } = this.#content;
    const staging = this.#staging ?? this.#newStaging();
    this.#staging = undefined;
    try {
      let from = 0;
      const places = outputs.map((output, k) => {
        from += outputBytes(output, this.#count(k));
        return { buffer: staging, offset: from - outputBytes(output, this.#count(k)) };
      });
      await this.#submit(given, places);
      await staging.mapAsync(GPUMapMode.READ).catch((error: Error) => {
        throw this.#disposed ? new Error(DISPOSED) : error;
      });
      const memory = staging.getMappedRange();
      const results = outputs.map((output, k) =>
        readOutput(output, this.#count(k), memory, places[k]?.offset ?? 0),
      );
      staging.unmap();
      return results;
    } finally {
      if (this.#staging || this.#disposed) staging.destroy();
      else this.#staging = staging;
    }
  }

  /** The outputs in buffers of their own, or in those of the caller, which are the caller's. */
  async runOnDevice(
    given: readonly GpuInput[],
    into: readonly unknown[] = [],
  ): Promise<DeviceTensor<ShapedOutput>[]> {
    const { outputs } = this.#content;
    const counts = outputs.map((_, k) => this.#count(k));
    const buffers = outputBuffers(this.device, outputs, counts, into);
    try {
      await this.#submit(
        given,
        buffers.map((buffer) => ({ buffer, offset: 0 })),
        true,
      );
    } catch (error) {
      buffers.forEach((buffer, k) => {
        if (into[k] === undefined) buffer.destroy();
      });
      throw error;
    }
    return outputs.map((output, k) => deviceTensor(this.device, output, counts[k], buffers[k] as GPUBuffer));
  }

  /** The device is asked whether it refuses a run where buffers or pictures of the caller are part of it. */
  async #submit(given: readonly GpuInput[], places: readonly Place[], ask = false): Promise<void> {
    if (this.#disposed) throw new Error(DISPOSED);
    const foreign = this.#content.inputs.flatMap(({ name }, k) => {
      const input = given[k];
      return input && 'kind' in input ? [JSON.stringify(name)] : [];
    });
    const work = () => {
      const encoder = this.device.createCommandEncoder();
      this.write(given, encoder);
      const pass = encoder.beginComputePass();
      this.#content.plan.calls.forEach((_, k) => {
        this.dispatch(pass, k);
      });
      pass.end();
      this.#copyOutputs(encoder, places);
      this.device.queue.submit([encoder.finish()]);
    };
    if (!ask && foreign.length === 0) return work();
    const problem = await refusal(this.device, work);
    if (problem === undefined) return;
    const which = foreign.length > 0 ? `, which reads ${foreign.join(', ')} on the device` : '';
    throw new Error(`the device refuses this run${which}: ${problem}`);
  }

  /** Puts inputs where the kernels read them; what is on the device, with the encoder. */
  write(given: readonly GpuInput[], encoder: GPUCommandEncoder): void {
    const { inputs, plan } = this.#content;
    given.forEach((input, k) => {
      const at = 4 * (plan.inputs[k] ?? 0);
      const tensor = inputs[k];
      if (!('kind' in input)) {
        if (input.length > 0) this.device.queue.writeBuffer(this.#arena, at, input);
      } else if (input.kind !== 'buffer') {
        this.#picture?.encode(encoder, input);
      } else if (tensor && wordBytes(tensor) > 0) {
        encoder.copyBufferToBuffer(input.source, input.offset, this.#arena, at, wordBytes(tensor));
      }
    });
  }

  /** Puts one call of the plan into a pass. */
  dispatch(pass: GPUComputePassEncoder, call: number): void {
    const [kernel = 0, bank = 0, x = 1, y = 1] = this.#content.plan.calls[call] ?? [];
    pass.setPipeline(this.#pipelines[kernel] as GPUComputePipeline);
    pass.setBindGroup(0, this.#groups[bank] as GPUBindGroup, [call * CALL_BYTES]);
    pass.dispatchWorkgroups(x, y);
  }

  #copyOutputs(encoder: GPUCommandEncoder, places: readonly Place[]): void {
    const { plan, outputs } = this.#content;
    outputs.forEach((output, k) => {
      const { buffer, offset } = places[k] as Place;
      const bytes = wordBytes(output);
      if (bytes > 0)
        encoder.copyBufferToBuffer(this.#arena, 4 * (plan.outputs[k] ?? 0), buffer, offset, bytes);
      const count = this.#count(k);
      if (count) encoder.copyBufferToBuffer(this.#arena, 4 * count.at, buffer, offset + bytes, 4);
    });
  }

  /** Gives the device's memory back. */
  dispose(): void {
    this.#disposed = true;
    this.#picture?.dispose();
    this.#staging?.destroy();
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

const DISPOSED = 'the program was disposed of; load it again';

/** Where an output goes. */
interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

const modulesOf = (wgsl: string): string[] => wgsl.split(MODULE_BREAK);

/** The elements of an input as a device takes them. */
export type GpuWords = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** An input as a run takes it. */
export type GpuInput = GpuWords | DeviceSource;

/** Bytes of the buffer of halves, which are whole floats on a device without them. */
const halvesBytes = ({ halves }: GpuPlan, half: boolean): number =>
  halves === undefined ? 0 : roundUp(Math.max(8, halves) * (half ? 2 : 4), 16);

/** Bytes of the largest buffer. */
export const largestBuffer = (plan: GpuPlan, half: boolean): number =>
  Math.max(plan.arenaBytes, halvesBytes(plan, half), ...plan.banks);

/** The same kernels for a device without halves: what they keep in half precision is then whole. */
const withoutHalves = (wgsl: string): string => wgsl.replace('enable f16;', '').replaceAll('f16', 'f32');

const roundUp = (bytes: number, multiple: number): number => Math.ceil(bytes / multiple) * multiple;

/** One word for each element, in memory of its own. @throws Error for integers that need more */
export function wordsOf(
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
