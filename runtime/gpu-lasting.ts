/** A network that outlives its device: one that is lost takes everything with it, and all is made again on a new one. */
import type { OpenDevice } from './gpu-device.ts';
import { lossOf } from './gpu-errors.ts';
import type { GpuNetwork } from './gpu-split.ts';
import type { Runner } from './session.ts';

/** A network on a device. */
export interface Loaded {
  readonly network: GpuNetwork;
  readonly info: Runner['info'];
}

interface Current extends Loaded {
  /** Why the device is gone, once it is. */
  readonly lost: { reason?: string | undefined };
}

/** What a network is made of anew. */
export interface Making {
  /** The device is the caller's. */
  readonly foreign: boolean;
  device(): Promise<OpenDevice | string>;
  network(found: OpenDevice): Promise<Loaded>;
}

export class Lasting {
  readonly #making: Making;
  #current: Current;
  #renewal: Promise<void> | undefined;
  #disposed = false;

  private constructor(making: Making, current: Current) {
    this.#making = making;
    this.#current = current;
  }

  /** Where that fails, a device of its own is gone too. */
  static async on(found: OpenDevice, making: Making): Promise<Lasting> {
    return new Lasting(making, await loadedOn(found, making));
  }

  get network(): GpuNetwork {
    return this.#current.network;
  }

  get info(): Runner['info'] {
    return this.#current.info;
  }

  /**
   * Uses the network, at once unless its device is lost: a frame of a video is only good for as long as nothing is awaited.
   * @param stays what it gives is on the device
   * @throws Error where there is no new device, or the lost one is the caller's; where it is lost, or all disposed of, meanwhile
   */
  async use<T>(run: (network: GpuNetwork) => Promise<T>, stays = false): Promise<T> {
    if (this.#current.lost.reason !== undefined) await this.#renewed(this.#current.lost.reason);
    const { network, lost } = this.#current;
    try {
      const result = await run(network);
      const gone = lost.reason !== undefined || (this.#disposed && !this.#making.foreign);
      if (!stays || !gone) return result;
    } catch (error) {
      lost.reason ??= await lossOf(network.device);
      if (lost.reason === undefined && !this.#disposed) throw error;
    }
    throw new Error(
      this.#disposed
        ? 'the model was disposed of during this run; load it again'
        : `the device was lost during this run (${lost.reason}); ${this.#making.foreign ? ELSEWHERE : 'run again'}`,
    );
  }

  async #renewed(reason: string): Promise<void> {
    this.#renewal ??= this.#renew(reason).finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  async #renew(reason: string): Promise<void> {
    if (this.#making.foreign) throw new Error(`the device was lost (${reason}): ${ELSEWHERE}`);
    const next = await this.#making.device();
    if (typeof next === 'string') throw new Error(`the device was lost (${reason}): ${next}`);
    this.#current = await loadedOn(next, this.#making);
    if (this.#disposed) this.dispose();
  }

  dispose(): void {
    this.#disposed = true;
    this.#current.network.dispose();
    if (!this.#making.foreign) this.#current.network.device.destroy();
  }
}

const ELSEWHERE = 'load the model on a new one';

async function loadedOn(found: OpenDevice, making: Making): Promise<Current> {
  const lost: Current['lost'] = {};
  found.device.lost.then(({ reason, message }) => {
    lost.reason = message || reason;
  });
  try {
    return { ...(await making.network(found)), lost };
  } catch (error) {
    if (!making.foreign) found.device.destroy();
    throw error;
  }
}
