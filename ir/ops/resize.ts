import { attr } from '../attrs.ts';
import { arg, binary, compileExpr, type Expr } from '../expr.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  OpError,
  outputType,
} from '../op.ts';
import { elementCount, isWide, product, rowMajorStrides } from '../types.ts';
import { IDENTITY_MAP, type PositionMap } from '../window.ts';
import { axisField } from './common.ts';
import { checkedShape, checkLength } from './offsets.ts';

export interface ResizeAttrs {
  readonly mode: 'nearest' | 'linear' | 'cubic';
  readonly coordinates:
    | 'half_pixel'
    | 'asymmetric'
    | 'align_corners'
    | 'pytorch_half_pixel'
    | 'half_pixel_symmetric'
    | 'tf_crop_and_resize';
  readonly nearestMode: 'round_prefer_floor' | 'round_prefer_ceil' | 'floor' | 'ceil';
  readonly cubicA: number;
  readonly excludeOutside: boolean;
  /** Where an axis shrinks, is its filter stretched over all the input positions that become one? */
  readonly antialias?: boolean;
  /** Of a crop: where each axis starts, then where each ends, in parts of the input's size. Empty for all of it. */
  readonly roi?: readonly number[];
  /** Output size over input size, per axis; sizes are scales·input rounded down, or given. */
  readonly scales: readonly number[];
  readonly sizes: readonly number[];
}

/** One input position that an output position reads, and its weight. */
export interface ResizeTap {
  readonly index: number;
  readonly weight: number;
}

/**
 * What each output position of one axis reads: at least one tap, indices ascending and inside the input, weights that
 * add up to 1, or to 0 where a crop reaches out of the input. The result of the op is the product of its axes.
 */
export function resizeAxis(attrs: ResizeAttrs, axis: number, inputSize: number): ResizeTap[][] {
  return rawTaps(attrs, axis, inputSize).map((taps) => {
    const merged = new Map<number, number>();
    for (const { index, weight } of taps) {
      const inside = Math.max(0, Math.min(inputSize - 1, index));
      merged.set(inside, (merged.get(inside) ?? 0) + weight);
    }
    return merged.size === 0 ? [NOTHING] : [...merged].map(([index, weight]) => ({ index, weight }));
  });
}

const NOTHING: ResizeTap = { index: 0, weight: 0 };

/** Start and end of the crop of an axis. */
const cropOf = ({ roi = [], sizes }: ResizeAttrs, axis: number): readonly [number, number] =>
  roi.length === 0 ? [0, 1] : [roi[axis] ?? 0, roi[sizes.length + axis] ?? 1];

/** Half positions decide between neighbours, and must not be missed by the rounding of a division. */
function snapToHalves(x: number): number {
  const half = Math.round(2 * x) / 2;
  return Math.abs(x - half) < 1e-9 ? half : x;
}

/** Where output position `x` lies on the input axis, in input positions (ONNX Resize, coordinate_transformation_mode). */
function originalCoordinate(attrs: ResizeAttrs, axis: number, inputSize: number, x: number): number {
  const scale = attrs.scales[axis] ?? 1;
  const outputSize = attrs.sizes[axis] ?? 1;
  switch (attrs.coordinates) {
    case 'half_pixel':
      return (x + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return outputSize > 1 ? (x + 0.5) / scale - 0.5 : 0;
    case 'asymmetric':
      return x / scale;
    case 'align_corners':
      return outputSize > 1 ? (x * (inputSize - 1)) / (outputSize - 1) : 0;
    case 'tf_crop_and_resize': {
      const [start, end] = cropOf(attrs, axis);
      const last = inputSize - 1;
      if (outputSize === 1) return ((start + end) * last) / 2;
      return start * last + (x * (end - start) * last) / (outputSize - 1);
    }
    case 'half_pixel_symmetric': {
      const adjustment = outputSize / (scale * inputSize);
      return (inputSize / 2) * (1 - adjustment) + (x + 0.5) / scale - 0.5;
    }
  }
}

function nearestIndex(mode: ResizeAttrs['nearestMode'], x: number): number {
  switch (mode) {
    case 'round_prefer_floor':
      return Math.ceil(x - 0.5);
    case 'round_prefer_ceil':
      return Math.floor(x + 0.5);
    case 'floor':
      return Math.floor(x);
    case 'ceil':
      return Math.ceil(x);
  }
}

/** Keys' cubic convolution kernel with parameter `a`, at distances r + 1, r, 1 − r and 2 − r, as expressions of r. */
export function cubicWeightsOf(a: number): readonly Expr[] {
  const mul = (x: Expr, y: Expr | number) => binary('mul', x, y);
  const near = (t: Expr) => binary('add', mul(mul(binary('sub', mul(t, a + 2), a + 3), t), t), 1);
  const far = (t: Expr) =>
    binary('sub', mul(binary('add', mul(binary('sub', mul(t, a), 5 * a), t), 8 * a), t), 4 * a);
  const r = arg(0);
  return [far(binary('add', r, 1)), near(r), near(binary('sub', 1, r)), far(binary('sub', 2, r))];
}

/** The same as numbers. */
export function cubicWeights(a: number): (r: number) => number[] {
  const weights = cubicWeightsOf(a).map(compileExpr);
  return (r) => weights.map((weight) => weight([r]));
}

/** Of a filter stretched by 1/scale, the weights around input position floor + r, and the index of the first less floor. */
function antialiasedWeights(
  { mode, cubicA }: ResizeAttrs,
  r: number,
  scale: number,
): { readonly first: number; readonly weights: readonly number[] } {
  const reach = mode === 'linear' ? 1 : 2;
  const first = Math.floor(-reach / scale) + 1;
  const filter = (distance: number): number => {
    if (distance >= reach) return 0;
    if (mode === 'linear') return 1 - distance;
    return cubicWeights(cubicA)(distance % 1)[distance < 1 ? 1 : 0] ?? 0;
  };
  const weights = Array.from({ length: 2 - 2 * first }, (_, i) => filter(Math.abs(first + i - r) * scale));
  const total = weights.reduce((sum, w) => sum + w, 0);
  return { first, weights: weights.map((w) => w / total) };
}

function weightsAround(attrs: ResizeAttrs, r: number, scale: number): ReturnType<typeof antialiasedWeights> {
  if (attrs.antialias && scale < 1) return antialiasedWeights(attrs, r, scale);
  return attrs.mode === 'linear'
    ? { first: 0, weights: [1 - r, r] }
    : { first: -1, weights: cubicWeights(attrs.cubicA)(r) };
}

/** The taps before they are clamped to the input; taps without weight are left out. */
function rawTaps(attrs: ResizeAttrs, axis: number, inputSize: number): ResizeTap[][] {
  return Array.from({ length: attrs.sizes[axis] ?? 1 }, (_, x) => {
    const at = snapToHalves(originalCoordinate(attrs, axis, inputSize, x));
    if (attrs.coordinates === 'tf_crop_and_resize' && (at < 0 || at > inputSize - 1)) return [];
    if (attrs.mode === 'nearest') return [{ index: nearestIndex(attrs.nearestMode, at), weight: 1 }];
    const floor = Math.floor(at);
    const r = at - floor;
    const { first, weights } = weightsAround(attrs, r, attrs.scales[axis] ?? 1);
    const taps = weights
      .map((weight, i) => ({ index: floor + first + i, weight }))
      .filter((t) => t.weight !== 0);
    if (!attrs.excludeOutside) return taps;
    const inside = taps.filter((t) => t.index >= 0 && t.index < inputSize);
    const total = inside.reduce((sum, t) => sum + t.weight, 0);
    return inside.length === 0 || total === 0
      ? taps
      : inside.map((t) => ({ ...t, weight: t.weight / total }));
  });
}

/** Does the axis pass through unchanged? */
export function isKept(attrs: ResizeAttrs, axis: number, inputSize: number): boolean {
  if (attrs.sizes[axis] !== inputSize) return false;
  if (attrs.coordinates !== 'tf_crop_and_resize') return attrs.scales[axis] === 1;
  const [start, end] = cropOf(attrs, axis);
  return start === 0 && end === 1;
}

/** How far the input position moves from one output position to the next. */
const stepOf = (attrs: ResizeAttrs, axis: number, inputSize: number): number => {
  const outputSize = attrs.sizes[axis] ?? 1;
  if (attrs.coordinates === 'align_corners' && outputSize > 1) return (inputSize - 1) / (outputSize - 1);
  if (attrs.coordinates === 'tf_crop_and_resize') {
    const [start, end] = cropOf(attrs, axis);
    return ((end - start) * (inputSize - 1)) / Math.max(1, outputSize - 1);
  }
  return 1 / (attrs.scales[axis] ?? 1);
};

/**
 * The positions that each output position sees, as the shortest period after which they repeat; undefined where they
 * do not repeat within the output.
 */
export function resizeMap(attrs: ResizeAttrs, axis: number, inputSize: number): PositionMap | undefined {
  if (isKept(attrs, axis, inputSize)) return IDENTITY_MAP;
  const seen = rawTaps({ ...attrs, excludeOutside: false }, axis, inputSize).map((taps) => {
    const start = taps[0]?.index ?? 0;
    return { start, size: (taps.at(-1)?.index ?? start) - start + 1 };
  });
  const step = stepOf(attrs, axis, inputSize);
  for (let period = 1; period <= seen.length; period++) {
    const advance = Math.round(period * step);
    // scales are stored as single-precision floats
    if (advance < 1 || Math.abs(period * step - advance) > 1e-6 * advance) continue;
    const repeats = seen.every((now, o) => {
      const next = seen[o + period];
      return !next || (next.start === now.start + advance && next.size === now.size);
    });
    if (repeats) return { advance, phases: seen.slice(0, period) };
  }
  return undefined;
}

/**
 * Interpolates along every axis in turn (ONNX Resize, any rank). x [d…] → [sizes…]. Taps outside the input read its
 * border, or with `excludeOutside` count nothing while the others share their weight.
 */
export const Resize = defineOp({
  name: 'Resize',
  attrs: {
    mode: attr.word('nearest', 'linear', 'cubic'),
    coordinates: attr.word(
      'half_pixel',
      'asymmetric',
      'align_corners',
      'pytorch_half_pixel',
      'half_pixel_symmetric',
      'tf_crop_and_resize',
    ),
    nearestMode: attr.word('round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'),
    cubicA: attr.float(-0.75),
    excludeOutside: attr.bool(false),
    antialias: attr.bool(false),
    roi: attr.floats([]),
    scales: attr.floats(),
    sizes: attr.ints(),
  },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'spatial', epilogue: true },
  infer({ attrs, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    if (isWide(dtype)) throw new OpError(`resizing of ${dtype} is not supported`);
    checkLength('scales', attrs.scales, shape.length);
    checkLength('sizes', attrs.sizes, shape.length);
    if (attrs.roi.length > 0) checkLength('roi', attrs.roi, 2 * shape.length);
    if (!attrs.roi.every(Number.isFinite)) throw new OpError('the region is not finite');
    if (attrs.scales.some((s) => !(s > 0 && Number.isFinite(s))))
      throw new OpError('scales must be positive');
    if (attrs.sizes.some((s) => s < 1)) throw new OpError(`output would be ${attrs.sizes.join('×')}`);
    if (shape.some((s) => s < 1)) throw new OpError('the input has no elements');
    return [{ dtype, shape: checkedShape(attrs.sizes) }];
  },
  /** A multiplication and an addition per tap; nearest only copies. */
  cost({ attrs, inputs, outputs }) {
    const taps = { nearest: 0, linear: 2, cubic: 4 }[attrs.mode];
    if (attrs.antialias && taps > 0) {
      const reads = inputType({ inputs }, 0).shape.map((size, axis) =>
        isKept(attrs, axis, size) ? size : rawTaps(attrs, axis, size).flat().length,
      );
      return { macs: 0, otherOps: 2 * product(reads) };
    }
    const resized = inputType({ inputs }, 0).shape.filter((size, axis) => !isKept(attrs, axis, size)).length;
    return {
      macs: 0,
      otherOps: taps === 0 ? 0 : 2 * taps ** resized * elementCount(outputType({ outputs }).shape),
    };
  },
  field: ({ attrs, inputs }) =>
    inputType({ inputs }, 0).shape.map((size, axis): AxisField => {
      const map = resizeMap(attrs, axis, size);
      return map ? axisField(axis, map, 'edge') : { kind: 'whole' };
    }),
  reference: { kind: 'element', element: resizeElement },
});

/** The taps of an axis, flattened: position o has those from starts[o] to starts[o + 1]. */
interface PackedTaps {
  readonly size: number;
  readonly starts: Int32Array;
  readonly offsets: Int32Array;
  readonly weights: Float64Array;
}

function packTaps(taps: readonly (readonly ResizeTap[])[], stride: number): PackedTaps {
  const starts = new Int32Array(taps.length + 1);
  taps.forEach((list, o) => {
    starts[o + 1] = (starts[o] as number) + list.length;
  });
  const flat = taps.flat();
  return {
    size: taps.length,
    starts,
    offsets: Int32Array.from(flat, (t) => t.index * stride),
    weights: Float64Array.from(flat, (t) => t.weight),
  };
}

function resizeElement(context: EvalContext<ResizeAttrs>): (index: number) => number {
  const { shape } = inputType(context, 0);
  const data = inputData(context, 0) as Float32Array;
  const strides = rowMajorStrides(shape);
  // leading axes that pass through only choose where to start
  const lead = shape.findIndex((size, axis) => !isKept(context.attrs, axis, size));
  if (lead < 0) return (index) => data[index] as number;
  const axes = shape
    .slice(lead)
    .map((size, i) => packTaps(resizeAxis(context.attrs, lead + i, size), strides[lead + i] ?? 1));
  const block = product(shape.slice(lead));
  const outBlock = product(outputType(context).shape.slice(lead));
  const at = new Int32Array(axes.length);
  const sum = (axis: number, base: number): number => {
    const taps = axes[axis];
    if (!taps) return data[base] as number;
    const position = at[axis] as number;
    const end = taps.starts[position + 1] as number;
    let total = 0;
    for (let k = taps.starts[position] as number; k < end; k++) {
      total += (taps.weights[k] as number) * sum(axis + 1, base + (taps.offsets[k] as number));
    }
    return total;
  };
  return (index) => {
    const outer = Math.floor(index / outBlock);
    let rest = index - outer * outBlock;
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      const size = axes[axis]?.size ?? 1;
      at[axis] = rest % size;
      rest = Math.floor(rest / size);
    }
    return sum(0, outer * block);
  };
}
