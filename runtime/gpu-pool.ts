/** Buffers for values between parts of a network, kept from run to run. */
import { attempt } from './gpu-errors.ts';

export class BufferPool {
  readonly #device: GPUDevice;
  /** By size. The queue does one thing after the other: a buffer is free once its last reader is submitted. */
  readonly #free = new Map<number, GPUBuffer[]>();
  #disposed = false;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer, and what the device says against it where it is new. */
  take(size: number): readonly [GPUBuffer, Promise<string | undefined>?] {
    const free = this.#free.get(size)?.pop();
    if (free) return [free];
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return attempt(this.#device, () => this.#device.createBuffer({ label: 'between parts', size, usage }));
  }

  give(buffer: GPUBuffer): void {
    if (this.#disposed) buffer.destroy();
    else this.#free.set(buffer.size, [...(this.#free.get(buffer.size) ?? []), buffer]);
  }

  /** Destroys what is free. */
  clear(): void {
    for (const buffer of [...this.#free.values()].flat()) buffer.destroy();
    this.#free.clear();
  }

  dispose(): void {
    this.#disposed = true;
    this.clear();
  }
}
