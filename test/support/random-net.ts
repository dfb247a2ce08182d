/** A network under construction, with what a random building block may ask of it. */
import { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import type { Random } from './random.ts';

/** Adds something to a network, or nothing where it does not fit. */
export type Block = (net: RandomNet) => void;

/** Larger values are not built on: tests stay quick. */
const LARGEST = 4000;

export class RandomNet {
  readonly b: Builder;
  readonly random: Random;
  /** Spatial axes of the images. */
  readonly rank: number;
  /** Values that blocks may read, the newest last. */
  readonly live: Value[];
  #inputs = 0;

  constructor(random: Random, seed: number) {
    this.random = random;
    this.b = new Builder(`random-${seed}`);
    this.rank = random.pick([1, 2, 2, 2, 3]);
    const sizes = Array.from({ length: this.rank }, () =>
      random.integer(this.rank === 3 ? 2 : 4, 10 - 2 * this.rank),
    );
    this.live = [this.b.input('image', [random.integer(1, 2), random.pick([2, 3, 4, 6]), ...sizes])];
    if (random.flip(0.3)) this.live.push(this.input(this.image().type.shape));
  }

  isImage = (value: Value): boolean => value.type.shape.length === this.rank + 2;

  /** An image, mostly the newest one. */
  image(): Value {
    return this.#choose(this.live.filter(this.isImage));
  }

  /** A value of any rank, mostly the newest one. */
  any(): Value {
    return this.#choose(this.live);
  }

  /** Spatial sizes of an image. */
  spatial = (image: Value): readonly number[] => image.type.shape.slice(2);

  add(...values: readonly Value[]): void {
    this.live.push(...values.filter((v) => elementCount(v.type.shape) <= LARGEST));
  }

  weight(shape: Shape, low = -1, high = 1): Value {
    return this.b.constant('w', this.random.tensor(shape, low, high));
  }

  /** A further input of the network. */
  input(shape: Shape): Value {
    this.#inputs++;
    return this.b.input(`extra${this.#inputs}`, shape);
  }

  /** One number for each axis of a list. */
  each(axes: readonly number[], low: number, high: number | ((size: number) => number)): number[] {
    return axes.map((size) => this.random.integer(low, typeof high === 'number' ? high : high(size)));
  }

  /** A divisor of a number of channels. */
  groups(channels: number): number {
    return this.random.pick([1, 2, 3, channels].filter((g) => channels % g === 0));
  }

  /** A constant that broadcasts along channels only. */
  perChannel(image: Value, low = 0.5, high = 2): Value {
    const channels = image.type.shape[1] ?? 1;
    const ones = this.spatial(image).map(() => 1);
    return this.weight(this.random.pick([[channels, ...ones], [1, channels, ...ones], [], [1]]), low, high);
  }

  finish(): void {
    const { b, random } = this;
    let last = this.any();
    if (random.flip(0.3)) b.output('middle', random.pick(this.live));
    if (random.flip(0.3)) {
      last = this.image();
      const channels = last.type.shape[1] ?? 1;
      const flat = b.op('Flatten', [b.op('GlobalAveragePool', [last], {})], {});
      const product = b.op('MatMul', [flat, this.weight([channels, 3])], {});
      last = b.op('Add', [product, this.weight(random.pick([[3], [1, 3]]))], {});
    }
    b.output('result', last);
    // what an output may be besides the result of a node that nothing else reads
    if (random.flip(0.1)) b.output('again', last);
    if (random.flip(0.1)) b.output('unchanged', random.pick(b.graph.inputs));
    if (random.flip(0.1)) b.output('fixed', this.weight([2, 3]));
  }

  #choose(list: readonly Value[]): Value {
    const newest = list.at(-1);
    return newest && this.random.flip(0.8) ? newest : this.random.pick(list);
  }
}
