/** Passes timed by the clock of a device. */

/** What a pass does. */
export type EncodePass = (pass: GPUComputePassEncoder) => void;

/** Of one set of queries (WebGPU, createQuerySet), two for each pass. */
const MOST_PASSES = 2048;
const QUERY_BYTES = 8;

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

  /** Milliseconds of each pass; they run one after the other. */
  async time(passes: readonly EncodePass[]): Promise<number[]> {
    const times: number[] = [];
    for (let first = 0; first < passes.length; first += this.#room)
      times.push(...(await this.#submit(passes.slice(first, first + this.#room))));
    return times;
  }

  async #submit(passes: readonly EncodePass[]): Promise<number[]> {
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
      // a clock that was set anew between two stamps says nothing
      return passes.map((_, k) =>
        Math.max(0, Number((stamps[2 * k + 1] ?? 0n) - (stamps[2 * k] ?? 0n)) / 1e6),
      );
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
