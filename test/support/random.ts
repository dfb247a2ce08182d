/** Random numbers that a seed repeats. */
import { f32, type Tensor } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';

/** Seeded random numbers (mulberry32). */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  between = (low: number, high: number): number => low + (high - low) * this.unit();
  /** Whole, both ends included. */
  integer = (low: number, high: number): number => low + Math.floor(this.unit() * (high - low + 1));
  flip = (probability = 0.5): boolean => this.unit() < probability;

  /** A new order of a list. */
  shuffled<T>(list: readonly T[]): T[] {
    const keys = list.map((item) => ({ item, key: this.unit() }));
    return keys.sort((a, b) => a.key - b.key).map(({ item }) => item);
  }

  pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.unit() * list.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  tensor = (shape: Shape, low = -1, high = 1): Tensor =>
    f32(
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => this.between(low, high)),
    );
}
