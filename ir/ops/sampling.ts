/** Ops that read an image between its pixels, at positions that are computed. */
import { attr } from '../attrs.ts';
import { arg, binary, compileExpr, constant, type Expr, select, unary } from '../expr.ts';
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

const between = (x: Expr, low: number, high: number, inside: Expr, outside: Expr): Expr =>
  select(binary('ge', x, low), select(binary('le', x, high), inside, outside), outside);

/** x mirrored at both bounds until it lies between them. */
function reflected(x: Expr, low: number, high: number): Expr {
  const range = high - low;
  if (range <= 0) return constant(low);
  const below = binary('lt', x, low);
  const distance = select(below, binary('sub', low, x), binary('sub', x, high));
  const turns = unary('trunc', binary('div', distance, range));
  const rest = binary('sub', distance, binary('mul', turns, range));
  const even = binary('eq', turns, binary('mul', 2, unary('trunc', binary('div', turns, 2))));
  const mirrored = select(binary('eq', even, below), binary('add', rest, low), binary('sub', high, rest));
  return between(x, low, high, x, mirrored);
}

export interface GridAttrs {
  readonly mode: 'linear' | 'nearest' | 'cubic';
  readonly padding: Padding;
  readonly alignCorners: boolean;
}

/** Where the first and last pixels of an axis are mirrored. */
const bounds = ({ alignCorners }: GridAttrs, size: number): readonly [number, number] =>
  alignCorners ? [0, size - 1] : [-0.5, size - 0.5];

const clamped = (x: Expr, size: number): Expr => binary('max', 0, binary('min', size - 1, x));

/** The position along an axis, in pixels, that a number of the grid names; what is no number names the first. */
export function gridPosition(attrs: GridAttrs, size: number): Expr {
  const given = binary('add', arg(0), 1);
  const exact = attrs.alignCorners
    ? binary('mul', binary('div', given, 2), size - 1)
    : binary('div', binary('sub', binary('mul', given, size), 1), 2);
  const at = attrs.mode === 'nearest' ? unary('round', exact) : exact;
  const [low, high] = bounds(attrs, size);
  const moved = {
    zeros: () => at,
    border: () => between(at, low, high, at, clamped(at, size)),
    reflection: () => reflected(at, low, high),
  }[attrs.padding]();
  // bounds may lose what is no number, and mirrors may find it
  return select(unary('isnan', attrs.padding === 'reflection' ? moved : at), 0, moved);
}

/** The pixel that a whole position of an axis reads; −1 for a zero. */
export function gridPixel(attrs: GridAttrs, size: number): Expr {
  const at = arg(0);
  const mirrored = attrs.padding === 'border' ? at : reflected(at, ...bounds(attrs, size));
  const outside = attrs.padding === 'zeros' ? constant(-1) : clamped(unary('trunc', mirrored), size);
  return between(at, 0, size - 1, at, outside);
}

/** Of cubic sampling. */
export const GRID_CUBIC = -0.75;

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

function gridElement(context: EvalContext<GridAttrs>): (index: number) => number {
  const { attrs } = context;
  const { mode } = attrs;
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
  const positions = sizes.map((size) => compileExpr(gridPosition(attrs, size)));
  const pixels = sizes.map((size) => compileExpr(gridPixel(attrs, size)));
  const cubic = cubicWeights(GRID_CUBIC);
  return (index) => {
    const n = Math.floor(index / (points * channels));
    const base = Math.floor(index / points) * plane;
    const first = (n * points + (index % points)) * rank;
    const sum = (axis: number, offset: number): number => {
      const [position, pixelAt] = [positions[axis], pixels[axis]];
      if (!position || !pixelAt) return data[base + offset] as number;
      const at = position([grid[first + rank - 1 - axis] as number]);
      const tap = (whole: number, weight: number): number => {
        const pixel = pixelAt([whole]);
        return pixel < 0 || weight === 0
          ? 0
          : weight * sum(axis + 1, offset + pixel * (strides[axis] as number));
      };
      if (mode === 'nearest') return tap(Math.trunc(at), 1);
      const floor = Math.floor(at);
      const r = at - floor;
      if (mode === 'linear') return tap(floor, 1 - r) + tap(floor + 1, r);
      return cubic(r).reduce((total, weight, i) => total + tap(floor - 1 + i, weight), 0);
    };
    return sum(0, 0);
  };
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

export interface RoiAttrs {
  readonly mode: 'avg' | 'max';
  readonly size: readonly number[];
  readonly samples: number;
  readonly scale: number;
  readonly halfPixel: boolean;
}

/** Of a region from x0 to x1 along an axis of `bins`: where it starts, how long it is, and the size of a bin. */
export function roiExtent(
  { scale, halfPixel }: RoiAttrs,
  bins: number,
): Record<'start' | 'length' | 'bin', Expr> {
  const shift = halfPixel ? 0.5 : 0;
  const end = (k: number) => binary('sub', binary('mul', arg(k), scale), shift);
  const start = end(0);
  const exact = binary('sub', end(1), start);
  const length = halfPixel ? exact : binary('max', exact, 1);
  return { start, length, bin: binary('div', length, bins) };
}

/** Samples along an axis of a bin of size x0. */
export const roiSamples = ({ samples }: RoiAttrs): Expr =>
  samples > 0
    ? constant(samples)
    : select(unary('isnan', arg(0)), 0, binary('max', 0, binary('min', MOST_SAMPLES, unary('ceil', arg(0)))));

/** Of a position x0 along an axis: does it lie in the image, the pixel before it, that behind it, and how far it is between. */
export function roiTaps(length: number): Record<'inside' | 'low' | 'high' | 'r', Expr> {
  const at = binary('max', 0, arg(0));
  const low = binary('min', unary('trunc', at), length - 1);
  const last = binary('eq', low, length - 1);
  return {
    inside: between(arg(0), -1, length, constant(1), constant(0)),
    low,
    high: select(last, low, binary('add', low, 1)),
    r: select(last, 0, binary('sub', at, low)),
  };
}

const compileAll = <K extends string>(expressions: Record<K, Expr>) =>
  Object.fromEntries(
    Object.entries<Expr>(expressions).map(([name, expr]) => [name, compileExpr(expr)]),
  ) as Record<K, ReturnType<typeof compileExpr>>;

function roiElement(context: EvalContext<RoiAttrs>): (index: number) => number {
  const { mode, size } = context.attrs;
  const [batches = 1, channels = 1, height = 1, width = 1] = inputType(context, 0).shape;
  const data = inputData(context, 0) as Float32Array;
  const rois = inputData(context, 1) as Float32Array;
  const batch = inputData(context, 2);
  const shape = outputType(context).shape;
  const samples = compileExpr(roiSamples(context.attrs));
  const axes = [height, width].map((length, axis) => ({
    extent: compileAll(roiExtent(context.attrs, size[axis] ?? 1)),
    taps: compileAll(roiTaps(length)),
  }));
  /** Where the samples of bin `p` along an axis lie, from `low` to `high`. */
  const samplesOf = (axis: 0 | 1, low: number, high: number, p: number) => {
    const { extent, taps } = axes[axis] as (typeof axes)[number];
    const [start, bin] = [extent.start([low, high]), extent.bin([low, high])];
    const count = samples([bin]);
    return Array.from({ length: count }, (_, k) => {
      const at = [start + p * bin + ((k + 0.5) * bin) / count];
      return taps.inside(at) === 0 ? undefined : { low: taps.low(at), high: taps.high(at), r: taps.r(at) };
    });
  };
  return (index) => {
    const [r = 0, c = 0, py = 0, px = 0] = unravel(index, shape);
    const [x1, y1, x2, y2] = [0, 1, 2, 3].map((i) => rois[r * 4 + i] as number) as [
      number,
      number,
      number,
      number,
    ];
    const y = samplesOf(0, y1, y2, py);
    const x = samplesOf(1, x1, x2, px);
    const given = read(batch, r);
    const image = given >= 0 && given < batches ? given : 0;
    const plane = (image * channels + c) * height * width;
    let total = 0;
    let largest = Number.NEGATIVE_INFINITY;
    for (const v of y) {
      for (const h of x) {
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
    if (mode === 'avg') return total / Math.max(1, y.length * x.length);
    return y.length * x.length === 0 ? 0 : largest;
  };
}

export const SAMPLERS = { GridSample, RoiAlign } as const;
