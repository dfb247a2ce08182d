/** How fast a device reads memory, by how much of it is read again and again. */
import { type EncodePass, GpuClock, tooCoarse } from '../../bench/gpu-clock.ts';
import { probePipeline } from '../../bench/gpu-probe.ts';
import { medianTold } from '../../bench/measure.ts';

const WORKGROUP = 64;
const INVOCATIONS = 1 << 14;
const VECTOR_BYTES = 16;
const VECTORS = 4;
/** A run reads at least so many bytes: a device of 1 TB/s takes a quarter of a millisecond. */
const LEAST_READ = 1 << 28;
/** As many on the processor, where that takes long. */
const LEAST_SOFTWARE = 1 << 26;
const TRIES = 5;

/** Of one turn. */
const WINDOW = VECTORS * INVOCATIONS;
/** An odd number of workgroups: within a turn an invocation reads what others had before, on other cores. */
const STRIDE = 37 * WORKGROUP;

/**
 * All invocations together read one window after the other, which is one of the smallest set again and again: there each turn an
 * invocation has another part of it.
 */
const WGSL = `
@group(0) @binding(0) var<storage, read_write> sums: array<vec4u>;
@group(0) @binding(1) var<storage, read> data: array<vec4u>;
@group(0) @binding(2) var<uniform> given: vec4u;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let mask = given.x;
  let turns = given.y;
  var first = id.x;
  var window = 0u;
  var sum = vec4u();
  for (var k = 0u; k < turns; k++) {
${Array.from({ length: VECTORS }, (_, v) => `    sum += data[(window + first + ${v * INVOCATIONS}u) & mask];`).join('\n')}
    first = (first + ${STRIDE}u) & ${INVOCATIONS - 1}u;
    window += ${WINDOW}u;
  }
  sums[id.x] = sum;
}`;

export class GpuBandwidth {
  readonly #device: GPUDevice;
  readonly #pipeline: GPUComputePipeline;
  readonly #clock: GpuClock;
  readonly #leastRead: number;

  private constructor(device: GPUDevice, pipeline: GPUComputePipeline, software: boolean) {
    this.#device = device;
    this.#pipeline = pipeline;
    this.#clock = new GpuClock(device, TRIES);
    this.#leastRead = software ? LEAST_SOFTWARE : LEAST_READ;
  }

  /** The device has to have `timestamp-query`. */
  static async load(device: GPUDevice, software: boolean): Promise<GpuBandwidth> {
    return new GpuBandwidth(device, await probePipeline(device, WGSL), software);
  }

  /**
   * 10⁹ bytes per second, over so many bytes: a power of two, at least 1 MiB.
   * @throws CompileError `gpu-refused` where the clock of the device does not tell
   */
  async gigabytesPerSecond(bytes: number): Promise<number> {
    const probe = this.#probe(bytes);
    try {
      const ms = medianTold(await this.#clock.time(Array<EncodePass>(TRIES).fill(probe.encode)));
      return probe.read / (ms ?? tooCoarse()) / 1e6;
    } finally {
      probe.dispose();
    }
  }

  /** What the invocations sum over data of which vector `i` is all `i`, of one component each. */
  async sums(bytes: number): Promise<Uint32Array> {
    const probe = this.#probe(bytes);
    const vectors = bytes / VECTOR_BYTES;
    this.#device.queue.writeBuffer(
      probe.data,
      0,
      Uint32Array.from({ length: 4 * vectors }, (_, i) => i >> 2),
    );
    await this.#clock.time([probe.encode]);
    const read = this.#device.createBuffer({
      size: probe.sums.size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(probe.sums, 0, read, 0, read.size);
    this.#device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const all = new Uint32Array(read.getMappedRange()).filter((_, i) => i % 4 === 0);
    read.destroy();
    probe.dispose();
    return all;
  }

  /** What `sums` gives, by formula. */
  expected(bytes: number): Uint32Array {
    const vectors = bytes / VECTOR_BYTES;
    const turns = this.#turns(bytes);
    return Uint32Array.from({ length: INVOCATIONS }, (_, id) => {
      let sum = 0;
      for (let k = 0; k < turns; k++) {
        const from = k * WINDOW + ((id + k * STRIDE) % INVOCATIONS);
        for (let v = 0; v < VECTORS; v++) sum = (sum + ((from + v * INVOCATIONS) % vectors)) >>> 0;
      }
      return sum;
    });
  }

  dispose(): void {
    this.#clock.dispose();
  }

  #turns(bytes: number): number {
    return Math.max(bytes, this.#leastRead) / (WINDOW * VECTOR_BYTES);
  }

  #probe(bytes: number) {
    const device = this.#device;
    const turns = this.#turns(bytes);
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const sums = device.createBuffer({ size: INVOCATIONS * VECTOR_BYTES, usage: storage });
    const data = device.createBuffer({ size: bytes, usage: storage });
    const given = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(given, 0, new Uint32Array([bytes / VECTOR_BYTES - 1, turns, 0, 0]));
    const group = device.createBindGroup({
      layout: this.#pipeline.getBindGroupLayout(0),
      entries: [sums, data, given].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const encode: EncodePass = (pass) => {
      pass.setPipeline(this.#pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(INVOCATIONS / WORKGROUP);
    };
    return {
      encode,
      sums,
      data,
      read: turns * WINDOW * VECTOR_BYTES,
      dispose: () => {
        for (const buffer of [sums, data, given]) buffer.destroy();
      },
    };
  }
}
