/**
 * What a device can multiply and add at most: sums of products of vectors of four in registers, as in the inner loop of the
 * kernels, eight of them side by side to hide the latency of one.
 */
import { type EncodePass, GpuClock, tooCoarse } from './gpu-clock.ts';
import { probePipeline } from './gpu-probe.ts';
import { medianTold } from './measure.ts';

const SUMS = 8;
const LANES = 4;
const WORKGROUP = 64;
/** Enough for every device to be busy; each stores one vector. */
const INVOCATIONS = 1 << 16;

const names = Array.from({ length: SUMS }, (_, k) => `s${k}`);

/** A sum is a factor of itself, so that no product is the same twice. */
const WGSL = `
@group(0) @binding(0) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(1) var<uniform> given: vec4f;
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = vec4f(given.x);
  let term = vec4f(given.y);
${names.map((s, k) => `  var ${s} = vec4f(f32(id.x & 3u) + ${k}.0);`).join('\n')}
  let passes = i32(given.z);
  for (var k = 0; k < passes; k++) {
${names.map((s) => `    ${s} = fma(${s}, factor, term);`).join('\n')}
  }
  sums[id.x] = ${names.join(' + ')};
}`;

/** So long that a clock tells it well. */
const ENOUGH_MS = 4;
const FIRST_PASSES = 16;
/** A device of 50 TF/s takes 5 ms; more in one dispatch would hold up a screen for seconds on slow ones. */
const MOST_PASSES = 1 << 13;
const TRIES = 3;

export class GpuPeak {
  readonly #device: GPUDevice;
  readonly #clock: GpuClock;
  readonly #sums: GPUBuffer;
  readonly #given: GPUBuffer;
  readonly #encode: EncodePass;
  #passes = FIRST_PASSES;

  private constructor(device: GPUDevice, pipeline: GPUComputePipeline) {
    this.#device = device;
    this.#clock = new GpuClock(device, TRIES);
    this.#sums = device.createBuffer({
      size: INVOCATIONS * LANES * 4,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    this.#given = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: { buffer: this.#sums } },
        { binding: 1, resource: { buffer: this.#given } },
      ],
    });
    this.#encode = (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(INVOCATIONS / WORKGROUP);
    };
  }

  /** The device has to have `timestamp-query`. */
  static async load(device: GPUDevice): Promise<GpuPeak> {
    return new GpuPeak(device, await probePipeline(device, WGSL));
  }

  /**
   * 10⁹ floating-point operations per second, at this moment.
   * @throws CompileError `gpu-refused` where the clock of the device does not tell
   */
  async gflops(): Promise<number> {
    for (;;) {
      this.#give(0.5, 1, this.#passes);
      const ms = medianTold(await this.#clock.time(Array<EncodePass>(TRIES).fill(this.#encode)));
      if ((ms ?? 0) >= ENOUGH_MS || this.#passes >= MOST_PASSES)
        return GpuPeak.flops(this.#passes) / (ms ?? tooCoarse()) / 1e6;
      const wanted = ms === undefined ? 16 : Math.min(16, Math.ceil((1.5 * ENOUGH_MS) / ms));
      this.#passes = Math.min(MOST_PASSES, this.#passes * Math.max(2, wanted));
    }
  }

  /** The sums of `passes` steps with a factor of 1 and a term of 1, of one component each. */
  async run(passes: number): Promise<Float32Array> {
    this.#give(1, 1, passes);
    const bytes = this.#sums.size;
    const read = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    await this.#clock.time([this.#encode]);
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#sums, 0, read, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const all = new Float32Array(read.getMappedRange()).slice();
    read.destroy();
    return all;
  }

  /** What `run` gives, by formula. */
  static expected(passes: number): Float32Array {
    const first = (SUMS * (SUMS - 1)) / 2;
    return Float32Array.from(
      { length: INVOCATIONS * LANES },
      (_, i) => SUMS * ((Math.floor(i / LANES) & 3) + passes) + first,
    );
  }

  static flops(passes: number): number {
    return 2 * passes * SUMS * LANES * INVOCATIONS;
  }

  dispose(): void {
    this.#clock.dispose();
    this.#sums.destroy();
    this.#given.destroy();
  }

  #give(factor: number, term: number, passes: number): void {
    this.#device.queue.writeBuffer(this.#given, 0, new Float32Array([factor, term, passes, 0]));
  }
}
