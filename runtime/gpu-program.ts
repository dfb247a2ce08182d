/** A compiled program on a WebGPU device: buffers and pipelines made once, one submission per run. */
import type { TensorArray } from './abi.ts';
import type { ShapedOutput } from './counted.ts';
import { attempt } from './gpu-errors.ts';
import type { DeviceSource } from './gpu-inputs.ts';
import { halvesBytes, hasHalves, roundUp, tooLarge } from './gpu-memory.ts';
import { intoBuffers, outputBytes, readOutput } from './gpu-outputs.ts';
import { PictureReader } from './gpu-pictures.ts';
import { type GpuCount, type GpuPlan, MODULE_BREAK } from './gpu-plan.ts';
import { type GpuTensor, type GpuWords, wordBytes, wordsOf } from './gpu-words.ts';
import type { DeviceTensor } from './model-types.ts';

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
    const size = halvesBytes(plan, device);
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
    const problem = tooLarge([plan], device, 'the device');
    if (problem) throw new Error(problem);
    const [code = ''] = modulesOf(content.wgsl);
    const wgsl = plan.halves === undefined || hasHalves(device) ? code : withoutHalves(code);
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
    const [program, refused] = attempt(device, () => new GpuProgram(device, content, pipelines, layout));
    const why = await refused;
    if (why === undefined) return program;
    program.dispose();
    throw new Error(`the device refuses the network: ${why}`);
  }

  /** The outputs on given inputs, which are read at once. Runs that overlap are done one after the other. */
  run(inputs: readonly TensorArray[]): Promise<ShapedOutput[]> {
    return this.runAndRead(this.readInputs(inputs));
  }

  /** What is written for given inputs. @param what they are. @throws Error for integers that need more than 32 bits */
  readInputs(given: readonly (TensorArray | DeviceSource)[], what = 'input'): GpuInput[] {
    return this.#content.inputs.map((tensor, k) => {
      const input = given[k] ?? new Float32Array();
      return 'kind' in input ? input : wordsOf(what, tensor, input);
    });
  }

  /** Everything is submitted before anything is awaited. */
  async runAndRead(given: readonly GpuInput[]): Promise<ShapedOutput[]> {
    const kept = this.#staging;
    this.#staging = undefined;
    const [staging, made] = kept ? [kept] : attempt(this.device, () => this.#newStaging());
    let from = 0;
    const places = this.#content.outputs.map((output, k) => {
      from += outputBytes(output, this.#count(k));
      return { buffer: staging, offset: from - outputBytes(output, this.#count(k)) };
    });
    try {
      await this.submit(given, places, made);
      await staging.mapAsync(GPUMapMode.READ);
      const memory = staging.getMappedRange();
      const results = this.#content.outputs.map((output, k) =>
        readOutput(output, this.#count(k), memory, places[k]?.offset ?? 0),
      );
      staging.unmap();
      if (!this.#staging && !this.#disposed) this.#staging = staging;
      return results;
    } finally {
      if (this.#staging !== staging) staging.destroy();
    }
  }

  /** The outputs in buffers of their own, or in those of the caller, which are the caller's. */
  runOnDevice(
    given: readonly GpuInput[],
    into: readonly unknown[] = [],
  ): Promise<DeviceTensor<ShapedOutput>[]> {
    const { outputs } = this.#content;
    const counts = outputs.map((_, k) => this.#count(k));
    return intoBuffers(this.device, outputs, counts, into, (buffers, made) =>
      this.submit(
        given,
        buffers.map((buffer) => ({ buffer, offset: 0 })),
        made,
      ),
    );
  }

  /**
   * One run, submitted at once. The device is asked whether it refuses it where buffers or pictures of the caller are part of it.
   * @param made what the device says against the buffers of outputs, where they are new or the caller's
   */
  async submit(
    given: readonly GpuInput[],
    places: readonly Place[],
    made?: Promise<string | undefined>,
  ): Promise<void> {
    if (this.#disposed) throw new Error('the program was disposed of; load it again');
    const foreign = this.#content.inputs.flatMap(({ name }, k) => {
      const input = given[k];
      return input && 'kind' in input ? [JSON.stringify(name)] : [];
    });
    let problem: string | undefined;
    try {
      const work = () => this.#encode(given, places);
      if (!made && foreign.length === 0) return work();
      const [, submitted] = attempt(this.device, work);
      problem = (await made) ?? (await submitted);
    } catch (error) {
      problem = (error as Error).message;
    }
    if (problem === undefined) return;
    const which = foreign.length > 0 ? `, which reads ${foreign.join(', ')} on the device` : '';
    throw new Error(`the device refuses this run${which}: ${problem}`);
  }

  #encode(given: readonly GpuInput[], places: readonly Place[]): void {
    const encoder = this.device.createCommandEncoder();
    this.write(given, encoder);
    const pass = encoder.beginComputePass();
    this.#content.plan.calls.forEach((_, k) => {
      this.dispatch(pass, k);
    });
    pass.end();
    this.#copyOutputs(encoder, places);
    this.device.queue.submit([encoder.finish()]);
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

/** Where an output goes. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

const modulesOf = (wgsl: string): string[] => wgsl.split(MODULE_BREAK);

/** An input as a run takes it. */
export type GpuInput = GpuWords | DeviceSource;

/** The same kernels for a device without halves: what they keep in half precision is then whole. */
const withoutHalves = (wgsl: string): string => wgsl.replace('enable f16;', '').replaceAll('f16', 'f32');
