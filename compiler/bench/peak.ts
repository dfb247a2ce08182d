/**
 * What the engine can multiply and add at most: the inner loop of the gemm family on the register tile that suits it best,
 * over data that stays in the first-level cache. Unrolled it is slower: V8 schedules a block's loads first, and spills them.
 */
import { InternalError } from '#ir/diagnostics.ts';
import { type Ex, ModuleBuilder, type Operand, op } from '../targets/wasm/encoder/index.ts';
import { advance, LANES, loadSplat, loadVector, VECTOR_BYTES } from '../targets/wasm/kernels/family.ts';
import type { Clock } from './measure.ts';

/** Eight accumulators hide the latency of addition; with the vectors and the splats they fit in 15 registers. */
const ROWS = 4;
const VECTORS = 2;
const DEPTH = 64;

const B = 0;
const A = DEPTH * VECTORS * VECTOR_BYTES;
const ROW_BYTES = DEPTH * 4;
const RESULT = A + ROWS * ROW_BYTES;

const ZERO: Operand<'v128'> = op('v128.const', new Array<number>(16).fill(0));

function probeModule(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.memory({ initial: 1, maximum: 1, export: 'memory' });
  module.func(
    { name: 'probe', params: { passes: 'i32' }, results: [], export: 'probe' },
    (body, { passes }) => {
      const sums = body.locals('v128', ROWS * VECTORS);
      const columns = body.locals('v128', VECTORS);
      const splat = body.local('v128');
      const a = body.local('i32');
      const b = body.local('i32');
      for (let i = 0; i < ROWS * VECTORS; i++) body.set(sums.at(i), ZERO);
      body.count(0, passes, 1, () => {
        body.set(a, A);
        body.set(b, B);
        body.loop((again) => {
          for (let v = 0; v < VECTORS; v++) body.set(columns.at(v), loadVector(b, v * VECTOR_BYTES));
          for (let m = 0; m < ROWS; m++) {
            body.set(splat, loadSplat(a, m * ROW_BYTES));
            for (let v = 0; v < VECTORS; v++) {
              const sum = sums.at(m * VECTORS + v);
              body.set(sum, op('f32x4.add', sum, op('f32x4.mul', splat, columns.at(v))));
            }
          }
          advance(body, b, VECTORS * VECTOR_BYTES);
          advance(body, a, 4);
          body.brIf(again, op('i32.ne', a as Ex<'i32'>, A + ROW_BYTES));
        });
      });
      for (let i = 0; i < ROWS * VECTORS; i++)
        body.store('v128.store', RESULT, sums.at(i), { offset: i * VECTOR_BYTES });
    },
  );
  return module.build();
}

/** Short enough that another process seldom gets between; the best of a few is free of it. */
const PASSES = 2048;
const TRIES = 3;

export class PeakProbe {
  readonly #memory: WebAssembly.Memory;
  readonly #probe: (passes: number) => void;

  private constructor({ memory, probe }: WebAssembly.Exports) {
    if (!(memory instanceof WebAssembly.Memory) || typeof probe !== 'function')
      throw new InternalError('the probe lacks its exports');
    this.#memory = memory;
    this.#probe = probe as (passes: number) => void;
    // small halves, of which all sums are exact: row m is m + 1, column n of step k is n + k mod 4
    const columns = VECTORS * LANES;
    const data = new Float32Array(memory.buffer);
    for (let k = 0; k < DEPTH; k++) {
      for (let n = 0; n < columns; n++) data[B / 4 + k * columns + n] = n + (k % 4);
      for (let m = 0; m < ROWS; m++) data[A / 4 + m * DEPTH + k] = m + 1;
    }
  }

  static async load(): Promise<PeakProbe> {
    return new PeakProbe((await WebAssembly.instantiate(probeModule(), {})).instance.exports);
  }

  /** The sums of `passes` products. */
  run(passes: number): Float32Array {
    this.#probe(passes);
    return new Float32Array(this.#memory.buffer, RESULT, ROWS * VECTORS * LANES);
  }

  /** What `run` gives, by formula. */
  static expected(passes: number): Float32Array {
    const columns = VECTORS * LANES;
    return Float32Array.from(
      { length: ROWS * columns },
      (_, i) => passes * DEPTH * (Math.floor(i / columns) + 1) * ((i % columns) + 1.5),
    );
  }

  static flops = (passes: number): number => 2 * passes * DEPTH * ROWS * VECTORS * LANES;

  /** 10⁹ floating-point operations per second, at this moment. */
  gflops(clock: Clock): number {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < TRIES; i++) {
      const start = clock();
      this.#probe(PASSES);
      best = Math.min(best, clock() - start);
    }
    return PeakProbe.flops(PASSES) / best / 1e6;
  }
}
