/** Moments of layers' patches and outputs on calibration data. */
import { Matrix } from 'ml-matrix';
import { Builder } from '#ir/builder.ts';
import { f32 } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { outputSize } from '#ir/window.ts';
import type { ConvLayer } from '#passes/factorize/layer.ts';
import { type Moments, squares } from '#passes/factorize/moments.ts';
import { randomIntegers } from '#runtime/abi.ts';
import { type Network, runnableNetwork } from './network.ts';

/** Patches per unknown of the least squares, where there is so much data. */
const PATCHES_PER_UNKNOWN = 8;
const LEAST_PATCHES = 4096;
/** Part of a mean square below which a variance is what f32 leaves of equal numbers. */
const ROUNDING = 1e-5;
/** Patches whose products are added up in f32 before they are added in double. */
const CHUNK = 1024;

/** Products of columns, made by the kernels that compiling a matrix product gives. */
export class ProductSums {
  readonly #networks = new Map<number, Promise<Network>>();

  async of(size: number): Promise<Network> {
    const known = this.#networks.get(size) ?? this.#make(size);
    this.#networks.set(size, known);
    return known;
  }

  #make(size: number): Promise<Network> {
    const b = new Builder('products');
    const [rows, columns] = [b.input('rows', [size, CHUNK]), b.input('columns', [CHUNK, size])];
    b.output('sums', b.op('MatMul', [rows, columns], {}));
    return runnableNetwork(b.graph);
  }
}

/** Sums over patches of one layer; what is added is dropped at once. */
export class MomentSums {
  readonly layer: ConvLayer;
  readonly #size: number;
  readonly #outputSizes: readonly number[];
  readonly #perSample: number;
  readonly #products: Network;
  readonly #random: () => number;
  readonly #rows: Float32Array;
  readonly #columns: Float32Array;
  readonly #sums: Float64Array;
  #filled = 0;
  #count = 0;

  private constructor(layer: ConvLayer, samples: number, products: Network) {
    this.layer = layer;
    // a constant 1 beside patch and outputs makes the sums of products hold the sums too
    this.#size = layer.cin * layer.taps + layer.cout + 1;
    this.#products = products;
    this.#outputSizes = layer.axes.map((axis, i) => outputSize(axis, layer.sizes[i] ?? 1));
    const wanted = Math.max(LEAST_PATCHES, PATCHES_PER_UNKNOWN * layer.cin * layer.taps);
    this.#perSample = Math.min(layer.batch * product(this.#outputSizes), Math.ceil(wanted / samples));
    this.#random = randomIntegers(layer.cout);
    this.#rows = new Float32Array(this.#size * CHUNK);
    this.#columns = new Float32Array(this.#size * CHUNK);
    this.#sums = new Float64Array(this.#size ** 2);
  }

  static async of(layer: ConvLayer, samples: number, products: ProductSums): Promise<MomentSums> {
    return new MomentSums(layer, samples, await products.of(layer.cin * layer.taps + layer.cout + 1));
  }

  /** Bytes that sums of a layer take. */
  static bytes = ({ cin, taps, cout }: ConvLayer): number => 8 * (cin * taps + cout + 1) ** 2;

  /** @param x what the layer reads, @param y what it is to give; of one sample */
  add(x: ArrayLike<number>, y: ArrayLike<number>): void {
    const { cin, cout, taps, sizes, batch } = this.layer;
    const positions = product(this.#outputSizes);
    const inputs = product(sizes);
    const every = this.#perSample === batch * positions;
    for (let k = 0; k < this.#perSample; k++) {
      const at = every ? k : this.#random() % (batch * positions);
      const [n, position] = [Math.floor(at / positions), at % positions];
      const offsets = this.#offsets(position);
      const column = this.#filled * this.#size;
      for (let c = 0; c < cin; c++) {
        const plane = (n * cin + c) * inputs;
        for (let t = 0; t < taps; t++) {
          const offset = offsets[t] ?? -1;
          this.#columns[column + c * taps + t] = offset < 0 ? 0 : (x[plane + offset] ?? 0);
        }
      }
      for (let o = 0; o < cout; o++) {
        this.#columns[column + cin * taps + o] = y[(n * cout + o) * positions + position] ?? 0;
      }
      this.#columns[column + this.#size - 1] = 1;
      this.#count++;
      if (++this.#filled === CHUNK) this.#flush();
    }
  }

  /** Where in a plane of the input each tap of an output position lies; −1 where there is padding. */
  #offsets(position: number): readonly number[] {
    const { axes, sizes } = this.layer;
    const place: number[] = [];
    for (let a = axes.length - 1, rest = position; a >= 0; a--) {
      const size = this.#outputSizes[a] ?? 1;
      place.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    let offsets = [0];
    axes.forEach(({ kernel, stride, dilation, padBegin }, a) => {
      const size = sizes[a] ?? 1;
      offsets = offsets.flatMap((offset) =>
        Array.from({ length: kernel }, (_, k) => {
          const at = (place[a] ?? 0) * stride - padBegin + k * dilation;
          return offset < 0 || at < 0 || at >= size ? -1 : offset * size + at;
        }),
      );
    });
    return offsets;
  }

  #flush(): void {
    if (this.#filled === 0) return;
    const size = this.#size;
    this.#columns.fill(0, this.#filled * size);
    for (let i = 0; i < CHUNK; i++) {
      for (let j = 0; j < size; j++) this.#rows[j * CHUNK + i] = this.#columns[i * size + j] ?? 0;
    }
    const [sums] = this.#products.run([f32([size, CHUNK], this.#rows), f32([CHUNK, size], this.#columns)]);
    const data = sums?.data ?? [];
    for (let i = 0; i < this.#sums.length; i++) this.#sums[i] = (this.#sums[i] ?? 0) + Number(data[i] ?? 0);
    this.#filled = 0;
  }

  /**
   * Of all that was added, and of patches that nothing is known of where there are few: in directions in which the data does
   * not vary the layer still matters.
   */
  moments(): Moments {
    this.#flush();
    const { cin, cout, taps, weight } = this.layer;
    const [patch, size, count] = [cin * taps, this.#size, Math.max(1, this.#count)];
    const sum = (i: number, j: number): number => (this.#sums[i * size + j] ?? 0) / count;
    const mean = (i: number): number => sum(i, size - 1);
    const centred = (i: number, j: number): number => sum(i, j) - mean(i) * mean(j);
    const covariance = Matrix.zeros(patch, patch);
    for (let i = 0; i < patch; i++) for (let j = 0; j < patch; j++) covariance.set(i, j, centred(i, j));
    const power = Array.from({ length: patch }, (_, i) => mean(i) ** 2).reduce((a, b) => a + b, 0) / patch;
    const varies = covariance.trace() / patch;
    // what one sample shows, or equal ones, is all mean; what is left of a variance is rounding
    const nothing = count < 2 || varies <= ROUNDING * power;
    const unknown = nothing ? 1 : shrinkage(covariance, count);
    const variance = nothing ? power || 1 : unknown * varies;
    covariance.mul(1 - unknown);
    for (let i = 0; i < patch; i++) covariance.set(i, i, covariance.get(i, i) + variance);
    const cross = Matrix.zeros(cout, patch);
    let energy = 0;
    for (let o = 0; o < cout; o++) {
      energy += (1 - unknown) * centred(patch + o, patch + o);
      for (let j = 0; j < patch; j++) {
        const w = weight[o * patch + j] ?? 0;
        energy += variance * w * w;
        cross.set(o, j, (1 - unknown) * centred(patch + o, j) + variance * w);
      }
    }
    return {
      measured: true,
      covariance,
      cross,
      energy: Math.max(0, energy),
      patchMean: Float64Array.from({ length: patch }, (_, i) => mean(i)),
      outputMean: Float64Array.from({ length: cout }, (_, o) => mean(patch + o)),
    };
  }
}

/**
 * The part of a measured covariance that is replaced by that of independent numbers of its mean variance: the oracle
 * approximating shrinkage (Chen, Wiesel, Eldar and Hero, IEEE Trans. Signal Processing 58, 2010, eq. 23).
 */
function shrinkage(covariance: Matrix, count: number): number {
  const p = covariance.rows;
  const [trace, squared] = [covariance.trace(), squares(covariance)];
  const apart = squared - trace ** 2 / p;
  if (!(apart > 0)) return 1;
  return Math.min(1, ((1 - 2 / p) * squared + trace ** 2) / ((count + 1 - 2 / p) * apart));
}
