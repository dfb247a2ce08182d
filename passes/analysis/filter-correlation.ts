/**
 * How strongly each output channel of a convolution depends on each channel that it reads: the correlation between the
 * filters of adjacent layers, whose block-diagonal structure Ioannou et al. take as the mark of filter groups
 * ("Deep Roots: Improving CNN Efficiency with Hierarchical Filter Groups", CVPR 2017).
 *
 * By weights alone, W [Cout, Cin, taps] of the layer and P [Cin, …] of the convolution that makes its input, for an input
 * of that convolution whose elements are uncorrelated and of one variance. Its channels then have the covariance
 * Σ = s·P·Pᵀ·s, s being what batch norm multiplies them by, and output i at tap t has with channel j the covariance
 * (W_t·Σ)[i, j]. What is given is √(Σ_t (W_t·Σ)[i, j]² / (σ_i²·Σ[j, j])), σ_i² = Σ_t (W_t·Σ·W_tᵀ)[i, i]: the correlation,
 * its squares added up over the taps. Activations and pooling between the two count as linear, and positions as
 * uncorrelated. Where no convolution makes the input, or P is not there, Σ is taken as 1: ‖W[i, j]‖ / ‖W[i]‖.
 *
 * By responses, Pearson's correlation, without its sign, between channel j of what the layer reads and channel i of its
 * result, over samples and positions; an input position belongs to the output whose window has it in the middle.
 */
import { fail } from '#ir/diagnostics.ts';
import { constantOf, isOp, type Node, operand, producer, result, tensorOf, type Value } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { elementsOf, type Tensor } from '#ir/tensor.ts';
import { elementCount, product, type Shape } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import type { DenseMatrix } from './block-diagonal.ts';
import { dataOperands, isChannelwise } from './paths.ts';

export type StandardConv = Node<'Conv'>;

/** What a correlation comes from. */
export type CorrelationBasis =
  | { readonly kind: 'responses'; readonly samples: number }
  /** Both layers' weights. */
  | { readonly kind: 'filters'; readonly producer: Node }
  /** The layer's own weights, and why no others. */
  | { readonly kind: 'kernels'; readonly because: string };

export interface FilterCorrelation {
  /** [Cout, Cin], from 0 to 1. */
  readonly matrix: DenseMatrix;
  readonly basis: CorrelationBasis;
}

/** @throws CompileError where the node has no correlation to show: it is no convolution, or has groups already */
export function standardConv(node: Node): StandardConv {
  if (!isOp(node, 'Conv')) {
    const hint = 'name a layer of the op Conv: convolith audit MODEL lists them';
    return fail('usage-invalid', node.name, `this is a ${node.op}, not a convolution`, hint);
  }
  const { group } = node.attrs;
  if (group > 1) {
    const hint = 'name one without groups, whose channels could still be divided';
    fail('usage-invalid', node.name, `this convolution has ${group} groups already`, hint);
  }
  return node;
}

/** By weights alone. @throws CompileError `weights-missing` for those of the layer itself */
export function correlationOfWeights(conv: StandardConv): FilterCorrelation {
  const weight = kernelsOf(conv);
  const source = sourceOf(operand(conv as Node, 0));
  if (typeof source === 'string')
    return { matrix: norms(weight), basis: { kind: 'kernels', because: source } };
  const sigma = covariance(source, weight);
  if (typeof sigma === 'string') return { matrix: norms(weight), basis: { kind: 'kernels', because: sigma } };
  return { matrix: weighted(weight, sigma), basis: { kind: 'filters', producer: source.conv } };
}

/** Adds up what the layer reads and makes, sample by sample. */
export class ResponseCorrelation {
  readonly #conv: StandardConv;
  readonly #pairs: readonly (readonly [x: number, y: number])[];
  readonly #x: Moments;
  readonly #y: Moments;
  readonly #products: Float64Array;
  #count = 0;
  #samples = 0;

  constructor(conv: StandardConv) {
    this.#conv = conv;
    this.#pairs = alignedPositions(conv);
    const [cout, cin] = [channelsOf(result(conv as Node)), channelsOf(operand(conv as Node, 0))];
    this.#x = moments(cin);
    this.#y = moments(cout);
    this.#products = new Float64Array(cout * cin);
  }

  /** What the layer read and what it made of it, each [N, C, …]. */
  add(x: Tensor, y: Tensor): void {
    const [batch = 1] = x.type.shape;
    const [cin, cout] = [this.#x.sums.length, this.#y.sums.length];
    const length = this.#pairs.length;
    for (let n = 0; n < batch; n++) {
      const read = gathered(
        x,
        n,
        this.#pairs.map(([at]) => at),
      );
      const made = gathered(
        y,
        n,
        this.#pairs.map(([, at]) => at),
      );
      note(this.#x, read, length);
      note(this.#y, made, length);
      for (let i = 0; i < cout; i++) {
        for (let j = 0; j < cin; j++) {
          const at = i * cin + j;
          this.#products[at] = (this.#products[at] ?? 0) + dot(made, i * length, read, j * length, length);
        }
      }
      this.#samples++;
      this.#count += length;
    }
  }

  /** A channel that never changes correlates with none. */
  correlation(): FilterCorrelation {
    const [rows, columns] = [this.#y.sums.length, this.#x.sums.length];
    const n = Math.max(1, this.#count);
    const deviation = ({ sums, squares }: Moments, k: number) => {
      const square = (squares[k] ?? 0) / n;
      const variance = square - ((sums[k] ?? 0) / n) ** 2;
      // what is left of rounding is no variance
      return variance > 1e-10 * square ? Math.sqrt(variance) : 0;
    };
    const [ofRows, ofColumns] = [this.#y, this.#x].map((m) =>
      Float64Array.from(m.sums, (_, k) => deviation(m, k)),
    );
    const data = new Float64Array(rows * columns);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const scale = (ofRows?.[i] ?? 0) * (ofColumns?.[j] ?? 0);
        const shared = ((this.#y.sums[i] ?? 0) / n) * ((this.#x.sums[j] ?? 0) / n);
        const covariance = (this.#products[i * columns + j] ?? 0) / n - shared;
        data[i * columns + j] = scale === 0 ? 0 : Math.min(1, Math.abs(covariance / scale));
      }
    }
    return { matrix: { rows, columns, data }, basis: { kind: 'responses', samples: this.#samples } };
  }

  /** The values that `add` takes. */
  get values(): readonly [read: Value, made: Value] {
    return [operand(this.#conv as Node, 0), result(this.#conv as Node)];
  }
}

interface Kernels {
  readonly cout: number;
  readonly cin: number;
  readonly taps: number;
  /** [Cout, Cin, taps] */
  readonly data: Float32Array;
}

function kernelsOf(conv: StandardConv): Kernels {
  const value = operand(conv as Node, 1);
  const constant = constantOf(value);
  if (!constant) {
    const hint = 'name a convolution whose weights are constants';
    return fail('usage-invalid', conv.name, 'its weights are computed by the network', hint);
  }
  if (constant.data === null) return fail('weights-missing', value.name, constant.missing);
  const [cout = 1, cin = 1, ...kernel] = value.type.shape;
  return { cout, cin, taps: product(kernel), data: constant.data as Float32Array };
}

interface Origin {
  readonly conv: StandardConv;
  /** By what batch norm multiplies each channel on the way. */
  readonly slopes: Float64Array;
}

/** The convolution whose channels these are, through what keeps channels apart; else why there is none. */
function sourceOf(start: Value): Origin | string {
  const slopes = new Float64Array(channelsOf(start)).fill(1);
  for (let value = start; ; ) {
    const node = producer(value);
    if (!node) return 'it reads an input of the network';
    if (isOp(node, 'Conv')) return { conv: node, slopes };
    if (isOp(node, 'BatchNormalization')) {
      const by = batchNormSlopes(node as Node);
      if (!by) return `values of ${node.name} are missing`;
      by.forEach((slope, c) => {
        slopes[c] = (slopes[c] ?? 0) * slope;
      });
    }
    const before = sourceOfChannels(node);
    if (!before) return `it reads the result of a ${node.op}`;
    value = before;
  }
}

/** Where the channels of a node's result come from, if each comes from the same one of a single value. */
function sourceOfChannels(node: Node): Value | undefined {
  if (isOp(node, 'MaxPool') || isOp(node, 'AveragePool')) return operand(node as Node, 0);
  if (isChannelwise(node)) return dataOperands(node)[0];
  if (!isOp(node, 'Mul')) return undefined;
  // x·f(x)
  const [a, b] = node.operands;
  return [
    [a, b],
    [b, a],
  ].flatMap(([x, gate]) => (x && gate && leadsTo(gate, x) ? [x] : []))[0];
}

function leadsTo(end: Value, start: Value): boolean {
  for (let value: Value | undefined = end; value; ) {
    if (value === start) return true;
    const node = producer(value);
    value = node && isChannelwise(node) ? dataOperands(node)[0] : undefined;
  }
  return false;
}

function batchNormSlopes(node: Node): Float64Array | undefined {
  if (!isOp(node, 'BatchNormalization')) return undefined;
  const [scale, variance] = [1, 4].map((slot) => tensorOf(node.operands[slot]));
  if (!scale || !variance) return undefined;
  const [s, v] = [scale, variance].map((t) => t.data as Float32Array);
  return Float64Array.from(s ?? [], (x, c) => x / Math.sqrt((v?.[c] ?? 0) + node.attrs.epsilon));
}

const channelsOf = (value: Value): number => value.type.shape[1] ?? 1;

/** Products that a covariance may take: seconds. */
const WORK = 8e9;

/** Σ = s·P·Pᵀ·s; filters of different groups read different inputs, which are uncorrelated. Else why it is not known. */
function covariance({ conv, slopes }: Origin, { cout, cin, taps }: Kernels): Float64Array | string {
  const tensor = tensorOf(operand(conv as Node, 1));
  if (!tensor) return `the weights of ${conv.name} are missing`;
  const size = elementCount(tensor.type.shape) / cin;
  if ((cin * cin * size) / 2 + cout * cin * cin * taps > WORK) return 'its covariance would take too long';
  const filters = Float64Array.from(elementsOf(tensor, 0, cin * size) as Float32Array);
  const perGroup = cin / conv.attrs.group;
  const sigma = new Float64Array(cin * cin);
  for (let i = 0; i < cin; i++) {
    const first = Math.floor(i / perGroup) * perGroup;
    for (let j = first; j <= i; j++) {
      const value = dot(filters, i * size, filters, j * size, size) * (slopes[i] ?? 0) * (slopes[j] ?? 0);
      sigma[i * cin + j] = value;
      sigma[j * cin + i] = value;
    }
  }
  return sigma;
}

/** ‖W[i, j]‖ / ‖W[i]‖. */
function norms({ cout, cin, taps, data }: Kernels): DenseMatrix {
  const out = new Float64Array(cout * cin);
  for (let i = 0; i < cout; i++) {
    let total = 0;
    for (let j = 0; j < cin; j++) {
      const at = (i * cin + j) * taps;
      const square = dot(data, at, data, at, taps);
      out[i * cin + j] = square;
      total += square;
    }
    for (let j = 0; j < cin; j++) {
      const at = i * cin + j;
      out[at] = total === 0 ? 0 : Math.sqrt((out[at] ?? 0) / total);
    }
  }
  return { rows: cout, columns: cin, data: out };
}

function weighted({ cout, cin, taps, data }: Kernels, sigma: Float64Array): DenseMatrix {
  const out = new Float64Array(cout * cin);
  const row = new Float64Array(cin);
  for (let i = 0; i < cout; i++) {
    let variance = 0;
    for (let t = 0; t < taps; t++) {
      row.fill(0);
      for (let k = 0; k < cin; k++) {
        const w = data[(i * cin + k) * taps + t] ?? 0;
        if (w === 0) continue;
        for (let j = 0, at = k * cin; j < cin; j++, at++) row[j] = (row[j] ?? 0) + w * (sigma[at] ?? 0);
      }
      for (let j = 0; j < cin; j++) {
        const x = row[j] ?? 0;
        variance += (data[(i * cin + j) * taps + t] ?? 0) * x;
        out[i * cin + j] = (out[i * cin + j] ?? 0) + x * x;
      }
    }
    for (let j = 0; j < cin; j++) {
      const scale = variance * (sigma[j * cin + j] ?? 0);
      out[i * cin + j] = scale > 0 ? Math.min(1, Math.sqrt((out[i * cin + j] ?? 0) / scale)) : 0;
    }
  }
  return { rows: cout, columns: cin, data: out };
}

type Numbers = Float32Array | Float64Array;

function dot(a: Numbers, aAt: number, b: Numbers, bAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[aAt + i] ?? 0) * (b[bAt + i] ?? 0);
  return sum;
}

interface Moments {
  readonly sums: Float64Array;
  readonly squares: Float64Array;
}

const moments = (channels: number): Moments => ({
  sums: new Float64Array(channels),
  squares: new Float64Array(channels),
});

function note({ sums, squares }: Moments, values: Float64Array, length: number): void {
  for (let c = 0; c < sums.length; c++) {
    for (let i = 0, at = c * length; i < length; i++, at++) {
      const x = values[at] ?? 0;
      sums[c] = (sums[c] ?? 0) + x;
      squares[c] = (squares[c] ?? 0) + x * x;
    }
  }
}

/** Of one sample, [C, positions]. */
function gathered({ type, data }: Tensor, sample: number, positions: readonly number[]): Float64Array {
  const [, channels = 1, ...spatial] = type.shape;
  const plane = product(spatial);
  const out = new Float64Array(channels * positions.length);
  for (let c = 0, at = 0; c < channels; c++) {
    const start = (sample * channels + c) * plane;
    for (const p of positions) out[at++] = Number(data[start + p]);
  }
  return out;
}

/** For each output position whose window has its middle inside the image, that position and this one. */
function alignedPositions(conv: StandardConv): readonly (readonly [x: number, y: number])[] {
  const spatial = (shape: Shape) => shape.slice(2);
  const inputs = spatial(operand(conv as Node, 0).type.shape);
  const outputs = spatial(result(conv as Node).type.shape);
  const axes = windowAxes(convWindow(conv.attrs, operand(conv as Node, 1).type.shape));
  let pairs: readonly (readonly [x: number, y: number])[] = [[0, 0]];
  axes.forEach(({ kernel, stride, dilation, padBegin }, axis) => {
    const [input = 1, output = 1] = [inputs[axis], outputs[axis]];
    const along = Array.from({ length: output }, (_, o) => ({
      x: o * stride + Math.floor((kernel - 1) / 2) * dilation - padBegin,
      y: o,
    })).filter(({ x }) => x >= 0 && x < input);
    pairs = pairs.flatMap(([x, y]) => along.map((p) => [x * input + p.x, y * output + p.y] as const));
  });
  return pairs;
}
