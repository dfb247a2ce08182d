/**
 * What the engine can multiply and add at most: the inner loop of the gemm family on the register tile that suits it best,
 * over data that stays in the first-level cache. Unrolled it is slower: V8 schedules a block's loads first, and spills them.
 */
import { InternalError } from '#ir/diagnostics.ts';
import type { EngineName } from '#runtime/engines.ts';
import { type Ex, ModuleBuilder, type Operand, op } from '../targets/wasm/encoder/index.ts';
import { ENGINES } from '../targets/wasm/engines.ts';
import { advance, LANES, loadSplat, loadVector, VECTOR_BYTES } from '../targets/wasm/kernels/family.ts';
import { addProduct } from '../targets/wasm/simd-vector.ts';
import type { Clock } from './measure.ts';

/** The widest tile whose accumulators, vectors and splat the engine keeps in 15 registers; eight hide the latency of addition. */
const ROWS: Readonly<Record<EngineName, number>> = { simd: 4, relaxed: 6 };
const VECTORS = 2;
const DEPTH = 64;

const B = 0;
const A = DEPTH * VECTORS * VECTOR_BYTES;
const ROW_BYTES = DEPTH * 4;
const RESULT = A + Math.max(...Object.values(ROWS)) * ROW_BYTES;

const ZERO: Operand<'v128'> = op('v128.const', new Array<number>(16).fill(0));

function probeModule(engine: EngineName): Uint8Array<ArrayBuffer> {
  const rows = ROWS[engine];
  const how = ENGINES[engine].multiplyAdd;
  const module = new ModuleBuilder();
  module.memory({ initial: 1, maximum: 1, export: 'memory' });
  module.func(
    { name: 'probe', params: { passes: 'i32' }, results: [], export: 'probe' },
    (body, { passes }) => {
      const sums = body.locals('v128', rows * VECTORS);
      const columns = body.locals('v128', VECTORS);
      const splat = body.local('v128');
      const a = body.local('i32');
      const b = body.local('i32');
      for (let i = 0; i < rows * VECTORS; i++) body.set(sums.at(i), ZERO);
      body.count(0, passes, 1, () => {
        body.set(a, A);
        body.set(b, B);
        body.loop((again) => {
          for (let v = 0; v < VECTORS; v++) body.set(columns.at(v), loadVector(b, v * VECTOR_BYTES));
          for (let m = 0; m < rows; m++) {
            body.set(splat, loadSplat(a, m * ROW_BYTES));
            for (let v = 0; v < VECTORS; v++) {
              const sum = sums.at(m * VECTORS + v);
              body.set(sum, addProduct(how, splat, columns.at(v), sum));
            }
          }
          advance(body, b, VECTORS * VECTOR_BYTES);
          advance(body, a, 4);
          body.brIf(again, op('i32.ne', a as Ex<'i32'>, A + ROW_BYTES));
        });
      });
      for (let i = 0; i < rows * VECTORS; i++)
        body.store('v128.store', RESULT, sums.at(i), { offset: i * VECTOR_BYTES });
    },
  );
  return module.build();
}

/** Short enough that another process seldom gets between; the best of a few is free of it. */
const PASSES = 2048;
const TRIES = 3;

export class PeakProbe {
  readonly #rows: number;
  readonly #memory: WebAssembly.Memory;
  readonly #probe: (passes: number) => void;

  private constructor({ memory, probe }: WebAssembly.Exports, rows: number) {
    if (!(memory instanceof WebAssembly.Memory) || typeof probe !== 'function')
      throw new InternalError('the probe lacks its exports');
    this.#rows = rows;
    this.#memory = memory;
    this.#probe = probe as (passes: number) => void;
    // small halves, of which all sums are exact: row m is m + 1, column n of step k is n + k mod 4
    const columns = VECTORS * LANES;
    const data = new Float32Array(memory.buffer);
    for (let k = 0; k < DEPTH; k++) {
      for (let n = 0; n < columns; n++) data[B / 4 + k * columns + n] = n + (k % 4);
      for (let m = 0; m < rows; m++) data[A / 4 + m * DEPTH + k] = m + 1;
    }
  }

  /** With the instructions that the kernels for an engine have. */
  static async load(engine: EngineName): Promise<PeakProbe> {
    const { instance } = await WebAssembly.instantiate(probeModule(engine), {});
    return new PeakProbe(instance.exports, ROWS[engine]);
  }

  /** The sums of `passes` products. */
  run(passes: number): Float32Array {
    this.#probe(passes);
    return new Float32Array(this.#memory.buffer, RESULT, this.#rows * VECTORS * LANES);
  }

  /** What `run` gives, by formula. */
  expected(passes: number): Float32Array {
    const columns = VECTORS * LANES;
    return Float32Array.from(
      { length: this.#rows * columns },
      (_, i) => passes * DEPTH * (Math.floor(i / columns) + 1) * ((i % columns) + 1.5),
    );
  }

  flops(passes: number): number {
    return 2 * passes * DEPTH * this.#rows * VECTORS * LANES;
  }

  /** 10⁹ floating-point operations per second, at this moment. */
  gflops(clock: Clock): number {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < TRIES; i++) {
      const start = clock();
      this.#probe(PASSES);
      best = Math.min(best, clock() - start);
    }
    return this.flops(PASSES) / best / 1e6;
  }
}
