/** How fast memory is read, by how much of it is read again and again. */
import { InternalError } from '#ir/diagnostics.ts';
import { ModuleBuilder, type Operand, op } from '../../targets/wasm/encoder/index.ts';
import { advance, loadVector, VECTOR_BYTES } from '../../targets/wasm/kernels/family.ts';
import type { Probe } from './least.ts';

const MOST_BYTES = 64 * 1024 * 1024;
/** Vectors that one turn of the loop reads. */
const VECTORS = 8;
const SUMS = 4;
/** A run reads at least so many bytes, so that calling it does not count. */
const LEAST_READ = 1 << 18;

const ZERO: Operand<'v128'> = op('v128.const', new Array<number>(16).fill(0));

/** `read(bytes, passes)` reads the first bytes of memory, whole turns of the loop. */
function readingModule(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const pages = MOST_BYTES / 65536;
  module.memory({ initial: pages, maximum: pages, export: 'memory' });
  module.func(
    { name: 'read', params: { bytes: 'i32', passes: 'i32' }, results: [], export: 'read' },
    (body, { bytes, passes }) => {
      const sums = body.locals('v128', SUMS);
      const at = body.local('i32');
      for (let i = 0; i < SUMS; i++) body.set(sums.at(i), ZERO);
      body.count(0, passes, 1, () => {
        body.set(at, op('i32.const', 0));
        body.loop((again) => {
          for (let v = 0; v < VECTORS; v++) {
            const sum = sums.at(v % SUMS);
            body.set(sum, op('v128.xor', sum, loadVector(at, v * VECTOR_BYTES)));
          }
          advance(body, at, VECTORS * VECTOR_BYTES);
          body.brIf(again, op('i32.ne', at, bytes));
        });
      });
      // in the first line, so that nothing is left out as unused
      for (let i = 0; i < SUMS; i++) body.store('v128.store', 0, sums.at(i), { offset: i * VECTOR_BYTES });
    },
  );
  return module.build();
}

export class BandwidthProbe {
  readonly #read: (bytes: number, passes: number) => void;

  private constructor(read: (bytes: number, passes: number) => void) {
    this.#read = read;
  }

  static async load(): Promise<BandwidthProbe> {
    const { instance } = await WebAssembly.instantiate(readingModule(), {});
    const { read, memory } = instance.exports;
    if (typeof read !== 'function' || !(memory instanceof WebAssembly.Memory))
      throw new InternalError('the probe lacks its exports');
    // pages that nothing was written to may all be one
    const bytes = new Uint8Array(memory.buffer);
    for (let i = 0; i < bytes.length; i += 4096) bytes[i] = 1;
    return new BandwidthProbe(read as (bytes: number, passes: number) => void);
  }

  reading(bytes: number): Probe {
    const passes = passesOf(bytes);
    return { run: () => this.#read(bytes, passes) };
  }

  /** By one run. */
  bytesRead(bytes: number): number {
    return bytes * passesOf(bytes);
  }
}

const passesOf = (bytes: number): number => Math.max(1, LEAST_READ / bytes);
