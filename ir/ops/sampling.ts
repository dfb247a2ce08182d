/** Ops that read an image between its pixels, at positions that are computed. */
import { attr } from '../attrs.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  OpError,
  outputType,
} from '../op.ts';
import { read } from '../tensor.ts';
import { elementCount, formatShape, product, rowMajorStrides } from '../types.ts';
import { axisField, unravel } from './common.ts';
import { checkedShape, checkLength } from './offsets.ts';
import { cubicWeights } from './resize.ts';

export const WHOLE: AxisField = { kind: 'whole' };
export const NONE: AxisField = { kind: 'none' };

export function requireFloats(types: readonly ({ readonly dtype: string } | undefined)[]): void {
  for (const type of types)
    if (type && type.dtype !== 'f32') throw new OpError(`${type.dtype} is not sampled, f32 is`);
}

const PADDINGS = ['zeros', 'border', 'reflection'] as const;
type Padding = (typeof PADDINGS)[number];

/** Mirrors x at both bounds until it lies between them. */
export function reflect(x: number, low: number, high: number): number {
  const range = high - low;
  if (range <= 0) return low;
  const distance = x < low ? low - x : x > high ? x - high : -1;
  if (distance < 0) return x;
  const turns = Math.trunc(distance / range);
  const rest = distance - turns * range;
  return (turns % 2 === 0) === x < low ? low + rest : high - rest;
}

/** The pixel that position `at` of an axis reads; −1 for a zero. */
function padded(at: number, size: number, padding: Padding, alignCorners: boolean): number {
  if (at >= 0 && at < size) return at;
  if (padding === 'zeros' || Number.isNaN(at)) return -1;
  const mirrored =
    padding === 'border' ? at : alignCorners ? reflect(at, 0, size - 1) : reflect(at, -0.5, size - 0.5);
  return Math.max(0, Math.min(size - 1, Math.trunc(mirrored)));
}

/**
 * x [N, C, d…], grid [N, o…, rank] → [N, C, o…]: the image at the positions of the grid, where −1 and 1 are the first and
 * last pixel's centres (`alignCorners`) or outer borders. The last axis of the grid lists the innermost axis first.
 */
export const GridSample = defineOp({
  name: 'GridSample',
  attrs: {
    mode: attr.word('linear', 'nearest', 'cubic'),
    padding: attr.word(...PADDINGS),
    alignCorners: attr.bool(false),
  },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'grid', role: 'data' },
  ],
  traits: { layout: 'rowMajor' },
  infer({ attrs, inputs }) {
    const x = inputType({ inputs }, 0).shape;
    const grid = inputType({ inputs }, 1).shape;
    const rank = x.length - 2;
    requireFloats(inputs);
    if (rank < 1 || rank > 3) throw new OpError(`the image has ${rank} spatial axes; 1 to 3 are supported`);
    if (attrs.mode === 'cubic' && rank > 2) throw new OpError('cubic sampling of volumes is not defined');
    if (grid.length !== x.length || grid.at(-1) !== rank || grid[0] !== x[0])
      throw new OpError(`a grid of ${formatShape(grid)} for an image of ${formatShape(x)}`);
    if (x.slice(2).some((size) => size < 1)) throw new OpError('the image has no pixels');
    return [{ dtype: 'f32', shape: checkedShape([...x.slice(0, 2), ...grid.slice(1, -1)]) }];
  },
  cost({ attrs, inputs, outputs }) {
    const taps =
      { nearest: 1, linear: 2, cubic: 4 }[attrs.mode] ** (inputType({ inputs }, 0).shape.length - 2);
    return { macs: 0, otherOps: (taps === 1 ? 0 : 2 * taps) * elementCount(outputType({ outputs }).shape) };
  },
  field: ({ outputs }, _output, input) =>
    outputType({ outputs }).shape.map((_, axis): AxisField => {
      if (input === 0) return axis < 2 ? axisField(axis) : WHOLE;
      return axis === 1 ? NONE : axisField(axis === 0 ? 0 : axis - 1);
    }),
  reference: { kind: 'element', element: gridElement },
});

function gridElement(
  context: EvalContext<{
    readonly mode: 'linear' | 'nearest' | 'cubic';
    readonly padding: Padding;
    readonly alignCorners: boolean;
  }>,
): (index: number) => number {
  const { mode, padding, alignCorners } = context.attrs;
  const { shape } = inputType(context, 0);
  const data = inputData(context, 0) as Float32Array;
  const grid = inputData(context, 1) as Float32Array;
  const sizes = shape.slice(2);
  const rank = sizes.length;
  const strides = rowMajorStrides(sizes);
  const plane = product(sizes);
  const out = outputType(context).shape;
  const points = product(out.slice(2));
  const channels = out[1] ?? 1;
  const coordinate = (value: number, size: number): number => {
    const exact = alignCorners ? ((value + 1) / 2) * (size - 1) : ((value + 1) * size - 1) / 2;
    const at = mode === 'nearest' ? roundEven(exact) : exact;
    const [low, high] = alignCorners ? [0, size - 1] : [-0.5, size - 0.5];
    const inside = padding === 'zeros' || (at >= low && at <= high);
    const moved = inside
      ? at
      : padding === 'border'
        ? Math.max(0, Math.min(size - 1, at))
        : reflect(at, low, high);
    return Number.isNaN(moved) ? 0 : moved;
  };
  return (index) => {
    const n = Math.floor(index / (points * channels));
    const base = Math.floor(index / points) * plane;
    const first = (n * points + (index % points)) * rank;
    const sum = (axis: number, offset: number): number => {
      if (axis === rank) return data[base + offset] as number;
      const size = sizes[axis] as number;
      const at = coordinate(grid[first + rank - 1 - axis] as number, size);
      const tap = (position: number, weight: number): number => {
        const pixel = padded(position, size, padding, alignCorners);
        return pixel < 0 || weight === 0
          ? 0
          : weight * sum(axis + 1, offset + pixel * (strides[axis] as number));
      };
      if (mode === 'nearest') return tap(Math.trunc(at), 1);
      const floor = Math.floor(at);
      const r = at - floor;
      if (mode === 'linear') return tap(floor, 1 - r) + tap(floor + 1, r);
      return cubicWeights(r, -0.75).reduce((total, weight, i) => total + tap(floor - 1 + i, weight), 0);
    };
    return sum(0, 0);
  };
}

function roundEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** More samples than this along one axis of a bin add nothing; a hostile box must not keep the kernel busy. */
export const MOST_SAMPLES = 256;

/**
 * Pools the regions rois [R, 4] (x₁, y₁, x₂, y₂) of the images that batchIndices [R] name: x [N, C, H, W] → [R, C, size…].
 * Each bin is the mean or largest of samples on a grid (He et al., Mask R-CNN, 2017); 0 samples mean one per pixel.
 */
export const RoiAlign = defineOp({
  name: 'RoiAlign',
  attrs: {
    mode: attr.word('avg', 'max'),
    size: attr.ints(),
    samples: attr.int(0),
    scale: attr.float(1),
    halfPixel: attr.bool(true),
  },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'rois', role: 'data' },
    { name: 'batchIndices', role: 'data' },
  ],
  traits: { layout: 'rowMajor' },
  infer({ attrs, inputs }) {
    const x = inputType({ inputs }, 0).shape;
    const rois = inputType({ inputs }, 1).shape;
    const batch = inputType({ inputs }, 2);
    requireFloats(inputs.slice(0, 2));
    checkLength('size', attrs.size, 2);
    if (x.length !== 4 || rois.length !== 2 || rois[1] !== 4 || batch.shape[0] !== rois[0])
      throw new OpError(`regions of ${formatShape(rois)} in images of ${formatShape(x)}`);
    if (batch.dtype !== 'i64' && batch.dtype !== 'i32') throw new OpError(`batch indices are ${batch.dtype}`);
    if (elementCount(x) === 0 || attrs.size.some((s) => s < 1))
      throw new OpError('there are no pixels to pool');
    if (attrs.samples < 0 || attrs.samples > MOST_SAMPLES)
      throw new OpError(`sampling_ratio is ${attrs.samples}`);
    return [{ dtype: 'f32', shape: checkedShape([rois[0] ?? 0, x[1] ?? 0, ...attrs.size]) }];
  },
  cost: ({ attrs, outputs }) => ({
    macs: 0,
    otherOps: 8 * Math.max(1, attrs.samples) ** 2 * elementCount(outputType({ outputs }).shape),
  }),
  field: (_, _output, input) =>
    input === 0 ? [WHOLE, axisField(1), WHOLE, WHOLE] : [axisField(0), NONE, NONE, NONE],
  checkData(context) {
    const [images = 0] = inputType(context, 0).shape;
    inputData(context, 2).forEach((index: number | bigint) => {
      if (index < 0 || index >= images)
        throw new OpError(
          `batch index ${index} is outside a batch of ${images}`,
          `batch indices run from 0 to ${images - 1}: correct the input that they come from`,
        );
    });
  },
  reference: { kind: 'element', element: roiElement },
});

interface RoiAttrs {
  readonly mode: 'avg' | 'max';
  readonly size: readonly number[];
  readonly samples: number;
  readonly scale: number;
  readonly halfPixel: boolean;
}

function roiElement(context: EvalContext<RoiAttrs>): (index: number) => number {
  const { mode, size, samples, scale, halfPixel } = context.attrs;
  const [batches = 1, channels = 1, height = 1, width = 1] = inputType(context, 0).shape;
  const data = inputData(context, 0) as Float32Array;
  const rois = inputData(context, 1) as Float32Array;
  const batch = inputData(context, 2);
  const shape = outputType(context).shape;
  /** Start, bin size and number of samples along one axis. */
  const extent = (low: number, high: number, bins: number) => {
    const start = low * scale - (halfPixel ? 0.5 : 0);
    const length = high * scale - (halfPixel ? 0.5 : 0) - start;
    const bin = (halfPixel ? length : Math.max(length, 1)) / bins;
    const wanted = Number.isNaN(bin) ? 0 : Math.max(0, Math.min(MOST_SAMPLES, Math.ceil(bin)));
    return { start, bin, count: samples > 0 ? samples : wanted };
  };
  const between = (position: number, length: number) => {
    if (!(position >= -1 && position <= length)) return undefined;
    const at = Math.max(0, position);
    const low = Math.min(Math.trunc(at), length - 1);
    return low === length - 1 ? { low, high: low, r: 0 } : { low, high: low + 1, r: at - low };
  };
  return (index) => {
    const [r = 0, c = 0, py = 0, px = 0] = unravel(index, shape);
    const [x1, y1, x2, y2] = [0, 1, 2, 3].map((i) => rois[r * 4 + i] as number) as [
      number,
      number,
      number,
      number,
    ];
    const y = extent(y1, y2, size[0] ?? 1);
    const x = extent(x1, x2, size[1] ?? 1);
    const given = read(batch, r);
    const image = given >= 0 && given < batches ? given : 0;
    const plane = (image * channels + c) * height * width;
    let total = 0;
    let largest = Number.NEGATIVE_INFINITY;
    for (let iy = 0; iy < y.count; iy++) {
      const v = between(y.start + py * y.bin + ((iy + 0.5) * y.bin) / y.count, height);
      for (let ix = 0; ix < x.count; ix++) {
        const h = between(x.start + px * x.bin + ((ix + 0.5) * x.bin) / x.count, width);
        const corner = (row: number, column: number, weight: number): number =>
          weight * (data[plane + row * width + column] as number);
        const terms =
          v && h
            ? [
                corner(v.low, h.low, (1 - v.r) * (1 - h.r)),
                corner(v.low, h.high, (1 - v.r) * h.r),
                corner(v.high, h.low, v.r * (1 - h.r)),
                corner(v.high, h.high, v.r * h.r),
              ]
            : [0];
        total += terms.reduce((a, b) => a + b, 0);
        largest = Math.max(largest, ...terms);
      }
    }
    if (mode === 'avg') return total / Math.max(1, y.count * x.count);
    return y.count * x.count === 0 ? 0 : largest;
  };
}

export const SAMPLERS = { GridSample, RoiAlign } as const;
