/** Kernels that read images between their pixels. Positions and weights are doubles, as in the reference. */
import { MOST_SAMPLES } from '#ir/ops/sampling.ts';
import { product, rowMajorStrides } from '#ir/types.ts';
import { type Ex, f64, i32, type Local, load, op, select } from '../encoder/index.ts';
import { advance, type Body, copyOf, type KernelFamily, nest, type Pointer } from './family.ts';
import { loadScalar } from './scalar.ts';

type Double = Ex<'f64'>;

const floats = (at: Ex<'i32'>, offset = 0): Double => op('f64.promote_f32', load('f32.load', at, { offset }));
const add = (a: Double, b: Double | number): Double => op('f64.add', a, b);
const sub = (a: Double | number, b: Double | number): Double => op('f64.sub', a as Double, b);
const mul = (a: Double, b: Double | number): Double => op('f64.mul', a, b);
const and = (a: Ex<'i32'>, b: Ex<'i32'>): Ex<'i32'> => op('i32.and', a, b);

/** Helpers that keep values in locals. */
class Held {
  readonly body: Body;
  constructor(body: Body) {
    this.body = body;
  }
  double(value: Double | number): Local<'f64'> {
    const local = this.body.local('f64');
    this.body.set(local, value);
    return local;
  }
  whole(value: Ex<'i32'>): Local<'i32'> {
    const local = this.body.local('i32');
    this.body.set(local, value);
    return local;
  }
}

/** One pixel of one axis: its byte offset, and its weight, 0 where there is no pixel. */
interface Tap {
  readonly offset: Local<'i32'>;
  readonly weight: Local<'f64'>;
}

/** The sum over all combinations of the axes' taps; what has no weight does not count, whatever it is. */
function weightedSum(held: Held, base: Ex<'i32'>, axes: readonly (readonly Tap[])[]): Local<'f64'> {
  const total = held.double(0);
  const visit = (rest: readonly (readonly Tap[])[], at: Ex<'i32'>, weight: Double | undefined): void => {
    const [taps, ...inner] = rest;
    if (!taps) {
      const w = weight ?? f64(1);
      held.body.set(total, add(total, select(f64(0), mul(w, floats(at)), op('f64.eq', w, 0))));
      return;
    }
    for (const tap of taps) {
      const next = held.whole(op('i32.add', at, tap.offset));
      visit(inner, next, weight ? held.double(mul(weight, tap.weight)) : tap.weight);
    }
  };
  visit(axes, base, undefined);
  return total;
}

export interface GridSampleParams {
  readonly mode: 'linear' | 'nearest' | 'cubic';
  readonly padding: 'zeros' | 'border' | 'reflection';
  readonly alignCorners: boolean;
  readonly batch: number;
  readonly channels: number;
  /** Spatial sizes of the image. */
  readonly sizes: readonly number[];
  /** Sampled positions per image. */
  readonly points: number;
}

/** An image at the positions of a grid; everything row-major. */
export const gridSample: KernelFamily<GridSampleParams> = {
  name: 'gridSample',
  arguments: () => ['input', 'grid', 'output'],
  label: (p) => `f32_grid_${p.mode}_${p.batch * p.channels}x${p.points}`,
  emit(body, p, args) {
    const [input, grid, output] = args as [Pointer, Pointer, Pointer];
    const held = new Held(body);
    const rank = p.sizes.length;
    const strides = rowMajorStrides(p.sizes);
    const plane = product(p.sizes) * 4;
    const image = p.channels * plane;
    const result = p.channels * p.points * 4;
    const at = copyOf(body, grid);
    nest(body, [{ count: p.batch, steps: [image, result] }], [input, output], () => {
      const out = copyOf(body, output);
      nest(body, [{ count: p.points, steps: [4 * rank, 4] }], [at, out], () => {
        const axes = p.sizes.map((size, axis) =>
          tapsAt(held, p, floats(at, (rank - 1 - axis) * 4), size, (strides[axis] ?? 1) * 4),
        );
        const from = copyOf(body, input);
        const to = copyOf(body, out);
        nest(body, [{ count: p.channels, steps: [plane, p.points * 4] }], [from, to], () => {
          body.store('f32.store', to, op('f32.demote_f64', weightedSum(held, from, axes)));
        });
      });
      advance(body, at, 4 * rank * p.points);
    });
  },
};

function tapsAt(held: Held, p: GridSampleParams, value: Double, size: number, stride: number): Tap[] {
  const { alignCorners, padding, mode } = p;
  const exact = alignCorners
    ? mul(op('f64.div', add(value, 1), 2), size - 1)
    : op('f64.div', sub(mul(add(value, 1), size), 1), 2);
  const x = held.double(mode === 'nearest' ? op('f64.nearest', exact) : exact);
  const [low, high] = alignCorners ? [0, size - 1] : [-0.5, size - 0.5];
  if (padding === 'border') {
    const inside = held.whole(and(op('f64.ge', x, low), op('f64.le', x, high)));
    held.body.set(x, select(x as Double, op('f64.max', 0, op('f64.min', x, size - 1)), inside));
  }
  if (padding === 'reflection') held.body.set(x, reflected(held, x, low, high));
  held.body.set(x, select(x as Double, 0, op('f64.eq', x, x)));
  const tap = (position: Double, weight: Double | number): Tap => {
    const at = held.double(position);
    const inside = held.whole(and(op('f64.ge', at, 0), op('f64.lt', at, size)));
    const w = held.double(weight);
    if (padding === 'zeros') held.body.set(w, select(w as Double, 0, inside));
    else {
      const moved = padding === 'border' ? at : held.double(op('f64.trunc', reflected(held, at, low, high)));
      held.body.set(at, select(at as Double, op('f64.max', 0, op('f64.min', moved, size - 1)), inside));
    }
    // what is left outside (or is no number) has no weight
    const valid = held.whole(and(op('f64.ge', at, 0), op('f64.lt', at, size)));
    const index = op('i32.trunc_sat_f64_s', select(at as Double, 0, valid));
    return {
      offset: held.whole(op('i32.mul', index, i32(stride))),
      weight: held.double(select(w as Double, 0, valid)),
    };
  };
  if (mode === 'nearest') return [tap(op('f64.trunc', x), 1)];
  const floor = held.double(op('f64.floor', x));
  const r = held.double(sub(x, floor));
  if (mode === 'linear') return [tap(floor, sub(1, r)), tap(add(floor, 1), r)];
  return cubic(held, r).map((weight, i) => tap(add(floor, i - 1), weight));
}

/** Keys' cubic convolution weights at distances r + 1, r, 1 − r, 2 − r. */
function cubic(held: Held, r: Local<'f64'>): Double[] {
  const a = -0.75;
  const near = (t: Local<'f64'>) => add(mul(mul(sub(mul(t, a + 2), a + 3), t), t), 1);
  const far = (t: Local<'f64'>) => sub(mul(add(mul(sub(mul(t, a), 5 * a), t), 8 * a), t), 4 * a);
  const other = held.double(sub(1, r));
  return [far(held.double(add(r, 1))), near(r), near(other), far(held.double(add(other, 1)))];
}

/** x mirrored at both bounds until it lies between them. */
function reflected(held: Held, x: Local<'f64'>, low: number, high: number): Double {
  const range = high - low;
  if (range <= 0) return f64(low);
  const below = held.whole(op('f64.lt', x, low));
  const beyond = held.whole(op('f64.gt', x, high));
  const distance = held.double(select(sub(low, x), sub(x, high), below));
  const turns = held.double(op('f64.trunc', op('f64.div', distance, range)));
  const rest = held.double(sub(distance, mul(turns, range)));
  const half = op('f64.trunc', op('f64.div', turns, 2));
  const even = op('f64.eq', turns, mul(half, 2));
  const mirrored = select(add(rest, low), sub(high, rest), op('i32.eq', even, below));
  return select(mirrored, x, op('i32.or', below, beyond));
}

export interface RoiAlignParams {
  readonly mode: 'avg' | 'max';
  readonly batches: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly rois: number;
  readonly size: readonly [number, number];
  readonly samples: number;
  readonly scale: number;
  readonly halfPixel: boolean;
  readonly index: 'i32' | 'i64';
}

/** Bins of regions, each the mean or the largest of samples; everything row-major. */
export const roiAlign: KernelFamily<RoiAlignParams> = {
  name: 'roiAlign',
  arguments: () => ['input', 'rois', 'batch', 'output'],
  label: (p) => `f32_roi_${p.mode}_${p.rois}x${p.channels}x${p.size.join('x')}`,
  emit(body, p, args) {
    const [input, rois, batch, output] = args as [Pointer, Pointer, Pointer, Pointer];
    const held = new Held(body);
    const plane = p.height * p.width * 4;
    const to = copyOf(body, output);
    const indexBytes = p.index === 'i64' ? 8 : 4;
    const roi = copyOf(body, rois);
    const image = copyOf(body, batch);
    nest(body, [{ count: p.rois, steps: [16, indexBytes] }], [roi, image], () => {
      const given = body.local('i64');
      body.set(given, loadScalar(p.index, image, 'i64'));
      body.set(given, select(given as Ex<'i64'>, 0n, op('i64.lt_u', given, BigInt(p.batches))));
      const from = held.whole(op('i32.mul', op('i32.wrap_i64', given), i32(p.channels * plane)));
      body.set(from, op('i32.add', from, input));
      const y = extentOf(held, p, floats(roi, 4), floats(roi, 12), p.size[0]);
      const x = extentOf(held, p, floats(roi, 0), floats(roi, 8), p.size[1]);
      nest(body, [{ count: p.channels, steps: [plane] }], [from], () => {
        body.count(0, p.size[0], 1, (py) => {
          body.count(0, p.size[1], 1, (px) => {
            bin(held, p, { from, y, x, py, px, to });
            advance(body, to, 4);
          });
        });
      });
    });
  },
};

interface Extent {
  readonly start: Local<'f64'>;
  readonly bin: Local<'f64'>;
  readonly count: Local<'i32'>;
}

function extentOf(held: Held, p: RoiAlignParams, low: Double, high: Double, bins: number): Extent {
  const shift = p.halfPixel ? 0.5 : 0;
  const start = held.double(sub(mul(low, p.scale), shift));
  const length = held.double(sub(sub(mul(high, p.scale), shift), start));
  const size = held.double(op('f64.div', p.halfPixel ? length : op('f64.max', length, 1), bins));
  if (p.samples > 0) return { start, bin: size, count: held.whole(i32(p.samples)) };
  const wanted = op('f64.max', 0, op('f64.min', MOST_SAMPLES, op('f64.ceil', size)));
  return { start, bin: size, count: held.whole(op('i32.trunc_sat_f64_s', wanted)) };
}

/** Where between two rows (or columns) a sample lies, and whether it lies in the image at all. */
function between(held: Held, extent: Extent, index: Local<'i32'>, i: Local<'i32'>, length: number) {
  const within = op(
    'f64.div',
    mul(add(op('f64.convert_i32_s', i), 0.5), extent.bin),
    op('f64.convert_i32_s', extent.count),
  );
  const at = held.double(add(add(extent.start, mul(op('f64.convert_i32_s', index), extent.bin)), within));
  const inside = held.whole(and(op('f64.ge', at, -1), op('f64.le', at, length)));
  held.body.set(at, op('f64.max', 0, at));
  const whole = held.whole(op('i32.trunc_sat_f64_s', at));
  const last = held.whole(op('i32.ge_s', whole, i32(length - 1)));
  const low = held.whole(select(i32(length - 1), whole, last));
  const high = held.whole(op('i32.add', low, op('i32.eqz', last)));
  const r = held.double(select(f64(0), sub(at, op('f64.convert_i32_s', low)), last));
  return { inside, low, high, r };
}

interface BinPlace {
  readonly from: Local<'i32'>;
  readonly y: Extent;
  readonly x: Extent;
  readonly py: Local<'i32'>;
  readonly px: Local<'i32'>;
  readonly to: Pointer;
}

function bin(held: Held, p: RoiAlignParams, { from, y, x, py, px, to }: BinPlace): void {
  const { body } = held;
  const total = held.double(p.mode === 'avg' ? 0 : Number.NEGATIVE_INFINITY);
  const collect = (value: Double) =>
    body.set(total, p.mode === 'avg' ? add(total, value) : op('f64.max', total, value));
  body.count(0, y.count, 1, (iy) => {
    const v = between(held, y, py, iy, p.height);
    body.count(0, x.count, 1, (ix) => {
      const h = between(held, x, px, ix, p.width);
      body.if(
        and(v.inside, h.inside),
        () => {
          const corner = (row: Local<'i32'>, column: Local<'i32'>, weight: Double) => {
            const pixel = op('i32.add', op('i32.mul', row, i32(p.width)), column);
            return mul(weight, floats(op('i32.add', from, op('i32.shl', pixel, i32(2)))));
          };
          const [v0, h0] = [held.double(sub(1, v.r)), held.double(sub(1, h.r))];
          collect(corner(v.low, h.low, mul(v0, h0)));
          collect(corner(v.low, h.high, mul(v0, h.r)));
          collect(corner(v.high, h.low, mul(v.r, h0)));
          collect(corner(v.high, h.high, mul(v.r, h.r)));
        },
        () => collect(f64(0)),
      );
    });
  });
  const count = held.whole(op('i32.mul', y.count, x.count));
  const none = op('i32.eqz', count);
  const value =
    p.mode === 'avg'
      ? op('f64.div', total, op('f64.convert_i32_s', select(i32(1), count, none)))
      : select(f64(0), total, none);
  body.store('f32.store', to, op('f32.demote_f64', value));
}

export interface DeformParams {
  readonly channels: number;
  readonly offsetGroups: number;
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly pads: readonly [number, number];
  readonly masked: boolean;
}

/** Of one image, what each tap of a deformable convolution sees, as a matrix [channels·taps, positions]. */
export const deform: KernelFamily<DeformParams> = {
  name: 'deform',
  arguments: (p) => ['input', 'offset', ...(p.masked ? ['mask'] : []), 'output'],
  label: (p) => `f32_deform_${p.channels}x${p.kernel.join('x')}x${p.output.join('x')}`,
  emit(body, p, args) {
    const [input, offset] = args as [Pointer, Pointer];
    const mask = p.masked ? (args[2] as Pointer) : undefined;
    const to = copyOf(body, args[args.length - 1] as Pointer);
    const held = new Held(body);
    const [h, w] = p.input;
    const points = p.output[0] * p.output[1] * 4;
    const group = p.channels / p.offsetGroups;
    const from = copyOf(body, input);
    const shifts = copyOf(body, offset);
    const masks = mask && copyOf(body, mask);
    const taps = p.kernel[0] * p.kernel[1];
    const perGroup = (channel: () => void) =>
      body.count(0, p.offsetGroups, 1, () => {
        body.count(0, group, 1, () => {
          channel();
          advance(body, from, h * w * 4);
        });
        advance(body, shifts, 2 * taps * points);
        if (masks) advance(body, masks, taps * points);
      });
    perGroup(() => {
      const dy = copyOf(body, shifts);
      const m = masks && copyOf(body, masks);
      const position = (axis: 0 | 1, o: Local<'i32'>, k: Local<'i32'>, shift: Double) => {
        const whole = op(
          'i32.add',
          op('i32.mul', o, i32(p.strides[axis])),
          op('i32.sub', op('i32.mul', k, i32(p.dilations[axis])), i32(p.pads[axis])),
        );
        return held.double(add(op('f64.convert_i32_s', whole), shift));
      };
      body.count(0, p.kernel[0], 1, (ky) => {
        body.count(0, p.kernel[1], 1, (kx) => {
          body.count(0, p.output[0], 1, (oy) => {
            body.count(0, p.output[1], 1, (ox) => {
              const y = position(0, oy, ky, floats(dy));
              const x = position(1, ox, kx, floats(dy, points));
              const axes = [bilinear(held, y, h, w * 4), bilinear(held, x, w, 4)];
              const value = weightedSum(held, from, axes);
              if (m) body.set(value, mul(value, floats(m)));
              body.store('f32.store', to, op('f32.demote_f64', value));
              advance(body, to, 4);
              advance(body, dy, 4);
              if (m) advance(body, m, 4);
            });
          });
          advance(body, dy, points);
        });
      });
    });
  },
};

/** The two pixels around a position; those outside have no weight. */
function bilinear(held: Held, x: Local<'f64'>, size: number, stride: number): Tap[] {
  const floor = held.double(op('f64.floor', x));
  const r = held.double(sub(x, floor));
  const tap = (position: Double, weight: Double): Tap => {
    const at = held.double(position);
    const valid = held.whole(and(op('f64.ge', at, 0), op('f64.lt', at, size)));
    const index = op('i32.trunc_sat_f64_s', select(at as Double, 0, valid));
    return {
      offset: held.whole(op('i32.mul', index, i32(stride))),
      weight: held.double(select(weight, 0, valid)),
    };
  };
  return [tap(floor, sub(1, r)), tap(add(floor, 1), r)];
}
