/** Passes timed by the clock of a device. */
import { fail } from '#ir/diagnostics.ts';

/** What a pass does. */
export type EncodePass = (pass: GPUComputePassEncoder) => void;

/** Of one set of queries (WebGPU, createQuerySet), two for each pass. */
const MOST_PASSES = 2048;
const QUERY_BYTES = 8;

/** @throws CompileError `gpu-refused`, always */
export const tooCoarse = (): never =>
  fail(
    'gpu-refused',
    'webgpu',
    'the clock of the device is too coarse: no kernel of a probe has two stamps that differ',
    'measure on another adapter, or predict by a data sheet: audit --device NAME',
  );

export class GpuClock {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #read: GPUBuffer;
  readonly #room: number;

  /** For lists of up to `passes`; longer ones take several submissions. The device has to have `timestamp-query`. */
  constructor(device: GPUDevice, passes: number) {
    this.#device = device;
    this.#room = Math.min(MOST_PASSES, Math.max(1, passes));
    const count = 2 * this.#room;
    const size = count * QUERY_BYTES;
    this.#queries = device.createQuerySet({ type: 'timestamp', count });
    this.#resolved = device.createBuffer({
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#read = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }

  /**
   * Milliseconds of each pass, which run one after the other; undefined where two stamps are the same, or the clock was set anew.
   * @throws CompileError `gpu-refused` where the device fails
   */
  async time(passes: readonly EncodePass[]): Promise<(number | undefined)[]> {
    const times: (number | undefined)[] = [];
    try {
      for (let first = 0; first < passes.length; first += this.#room)
        times.push(...(await this.#submit(passes.slice(first, first + this.#room))));
    } catch (error) {
      fail('gpu-refused', 'webgpu', error instanceof Error ? error.message : String(error));
    }
    return times;
  }

  async #submit(passes: readonly EncodePass[]): Promise<(number | undefined)[]> {
    const encoder = this.#device.createCommandEncoder();
    passes.forEach((encode, k) => {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet: this.#queries,
          beginningOfPassWriteIndex: 2 * k,
          endOfPassWriteIndex: 2 * k + 1,
        },
      });
      encode(pass);
      pass.end();
    });
    const count = 2 * passes.length;
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#read, 0, count * QUERY_BYTES);
    this.#device.queue.submit([encoder.finish()]);
    await this.#read.mapAsync(GPUMapMode.READ, 0, count * QUERY_BYTES);
    try {
      const stamps = new BigUint64Array(this.#read.getMappedRange(0, count * QUERY_BYTES));
      return passes.map((_, k) => {
        const ns = Number((stamps[2 * k + 1] ?? 0n) - (stamps[2 * k] ?? 0n));
        return ns > 0 ? ns / 1e6 : undefined;
      });
    } finally {
      this.#read.unmap();
    }
  }

  dispose(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#read.destroy();
  }
}
