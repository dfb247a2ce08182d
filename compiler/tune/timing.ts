/** Which of several ways is the fastest: timed in turn, with caches as they are between other layers. */
import type { Node } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { seededInput } from '#runtime/abi.ts';
import { type Clock, median, settle } from '../bench/measure.ts';
import { Stepper } from '../check/stepper.ts';
import type { Engine, WasmProgram } from '../targets/wasm/index.ts';

/** Something whose speed is compared. */
export interface Timed {
  /** Runs it over and over, for engines to optimise it. */
  warm(): void;
  /** Milliseconds of one run. */
  time(): number;
}

/** Milliseconds of each, in order. */
export type Stopwatch = (sides: readonly Timed[], usual: number) => Promise<readonly number[]>;

export interface StopwatchOptions {
  readonly clock: Clock;
  /** Called between measurements; may throw to end them. */
  readonly between?: (() => Promise<void>) | undefined;
  /** No further round is begun after this long, in milliseconds. */
  readonly limitMs?: number | undefined;
}

/** A layer that is faster by less than this part stays as it is. */
export const LEAST_GAIN = 0.03;

/** The fastest, if it is faster than the usual by enough; what has no time above 0 was not measured. */
export function fastest(times: readonly (number | undefined)[], usual: number): number {
  const told = times.map((time) => (time !== undefined && time > 0 ? time : Number.POSITIVE_INFINITY));
  const best = told.indexOf(Math.min(...told));
  const [least = 0, own = 0] = [told[best], told[usual]];
  return Number.isFinite(own) && least <= (1 - LEAST_GAIN) * own ? best : usual;
}

const WARM = { batchMs: 15, within: 0.15, limitMs: 400 } as const;
/** Each phase times those that are not slower than the best so far by more than a part. */
const PHASES = [
  { rounds: 3, within: Number.POSITIVE_INFINITY },
  { rounds: 5, within: 0.25 },
  { rounds: 7, within: 0.08 },
  // the winner of many by chance does not win again
  { rounds: 11, within: 0 },
] as const;
const LIMIT_MS = 10_000;
/** A time is the least of a few runs, which fill so many milliseconds; never of one, which anything may have held up. */
const LEAST_RUNS = 2;
const MOST_RUNS = 5;
const RUNS_MS = 3;

/**
 * Times sides in turn, round by round, until but the best and the usual are left; noise of other processes hits all alike,
 * or single runs, of which the least counts. What is said of a side is the median of the last rounds that it took part in.
 */
export const stopwatch =
  ({ clock, between, limitMs = LIMIT_MS }: StopwatchOptions): Stopwatch =>
  async (sides, usual) => {
    const start = clock();
    for (const side of sides) {
      await settle(() => side.warm(), { ...WARM, clock, ...(between && { between }) });
    }
    const times = sides.map(() => Number.POSITIVE_INFINITY);
    for (const [phase, { rounds, within }] of PHASES.entries()) {
      const best = Math.min(...times);
      const racing = sides.flatMap((_, i) =>
        phase === 0 || i === usual || (times[i] ?? 0) <= best * (1 + within) ? [i] : [],
      );
      if (racing.length === 1 && phase > 0) break;
      const found = new Map<number, number[]>(racing.map((i) => [i, []]));
      for (let round = 0; round < rounds; round++) {
        if (round > 0 && clock() - start > limitMs) break;
        for (const [i, list] of found) list.push(leastTime(sides[i] as Timed));
        await between?.();
      }
      for (const [i, list] of found) times[i] = median(list);
    }
    return times;
  };

function leastTime(side: Timed): number {
  let least = side.time();
  let sum = least;
  for (let run = 1; run < LEAST_RUNS || (run < MOST_RUNS && sum < RUNS_MS); run++) {
    const time = side.time();
    sum += time;
    least = Math.min(least, time);
  }
  return least;
}

/** Floats that fill a second-level cache. */
const OTHERS = 1 << 20;
const LINE = 16;

/** Reads so much else that nothing of a layer is left in the nearer caches. */
export class CacheSweep {
  readonly #data = new Float32Array(OTHERS).fill(1);
  /** Kept, so that the reading is not optimised away. */
  sum = 0;

  run(): void {
    let sum = 0;
    for (let i = 0; i < OTHERS; i += LINE) sum += this.#data[i] as number;
    this.sum += sum;
  }
}

/**
 * A layer in a program of its own. Before each run the caches are swept, then the nodes before it put its operands into
 * memory: weights come from afar, and inputs from near, as they do within a network.
 */
export async function timedLayer(
  program: WasmProgram,
  node: Node,
  options: { readonly engine: Engine; readonly clock: Clock; readonly sweep: CacheSweep },
): Promise<Timed> {
  const { engine, clock, sweep } = options;
  const stepper = await Stepper.load(program, { engine });
  const inputs = new Map<string, Tensor>(
    program.inputs.map(({ name, type }, i) => [name, { type, data: seededInput(type, 1, i) }]),
  );
  const own = program.steps.filter((step) => step.node === node);
  const before = program.steps.filter((step) => step.node !== node);
  const run = () => {
    for (const step of own) stepper.runNode(step);
  };
  const operands = () => {
    for (const step of before) stepper.runNode(step);
  };
  return {
    warm() {
      // the memory of inputs and operands is used again once they have been read
      stepper.setInputs(inputs);
      operands();
      run();
    },
    time() {
      stepper.setInputs(inputs);
      sweep.run();
      operands();
      const start = clock();
      run();
      return clock() - start;
    },
  };
}
