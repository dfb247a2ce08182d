/**
 * Kernels that slide a window over channels-last data channel by channel: depthwise convolution, max and average pooling,
 * of rank 1 to 3.
 *
 * Borders need no padded copy: along each axis the output positions fall into segments that see the same taps, and each
 * combination of segments gets its own code.
 */
import type { Loop } from '#compiler/schedule/loops.ts';
import { i32, op, select, v128 } from '../encoder/index.ts';
import type { MultiplyAdd } from '../engines.ts';
import { addProduct } from '../simd-vector.ts';
import type { Share, Team } from '../team.ts';
import {
  advance,
  advanceBy,
  type Body,
  channelBytes,
  copyOf,
  EpilogueCode,
  type KernelCaller,
  type KernelEpilogue,
  type KernelFamily,
  LANES,
  loadVector,
  nest,
  type Pointer,
  storeLanes,
  suffixOf,
  VECTOR_BYTES,
  type Vector,
} from './family.ts';

/** Output positions side by side on one axis that see the same taps, the same number of bytes from their origin. */
export interface Segment {
  readonly count: number;
  /** Byte offset in the input of the first tap of the first position. */
  readonly start: number;
  readonly firstTap: number;
  readonly taps: number;
  /** Positions that an average divides by, on this axis. */
  readonly divisor: number;
}

export interface WindowAxisPlan {
  readonly segments: readonly Segment[];
  /** Bytes from one output position to the next, in input and output. */
  readonly inputStep: number;
  readonly outputStep: number;
  /** Bytes from one tap to the next in the input. */
  readonly tapStep: number;
  readonly kernel: number;
  /** Bytes that each epilogue operand moves per output position. */
  readonly extraSteps: readonly number[];
}

export interface WindowParams {
  readonly combine: 'multiplyAdd' | 'max' | 'sum';
  /** Batch; steps of [input, output, …epilogue operands]. */
  readonly outer: readonly Loop[];
  /** One to three spatial axes. */
  readonly axes: readonly WindowAxisPlan[];
  readonly channels: number;
  readonly bias: boolean;
  /** Outputs of the innermost axis that are computed together. */
  readonly tile: number;
  /** `separate` unless given. */
  readonly multiplyAdd?: MultiplyAdd;
  readonly epilogue: KernelEpilogue | null;
}

const hasWeights = (p: WindowParams): boolean => p.combine === 'multiplyAdd';

/** Rows, where there is more than one axis. */
const rowsOf = (p: WindowParams): number =>
  p.axes.length > 1 ? (p.axes[0]?.segments.reduce((n, s) => n + s.count, 0) ?? 1) : 1;

export const window: KernelFamily<WindowParams> = {
  name: 'window',
  arguments: (p) => [
    'input',
    ...(hasWeights(p) ? ['weight'] : []),
    ...(p.bias ? ['bias'] : []),
    'output',
    ...(p.epilogue?.operands ?? []).map((_, k) => `extra${k}`),
  ],
  label: (p) => {
    const names = { multiplyAdd: 'dwconv', max: 'maxpool', sum: 'avgpool' } as const;
    const kernel = p.axes.map((a) => a.kernel).join('x');
    const sizes = p.axes.map((a) => a.segments.reduce((n, s) => n + s.count, 0)).join('x');
    return `f32_${names[p.combine]}_${kernel}_${sizes}x${p.channels}${suffixOf(p.multiplyAdd)}`;
  },
  forEngine: (p, { windowTile, multiplyAdd }) =>
    hasWeights(p) ? { ...p, tile: windowTile, multiplyAdd } : p,
  pieces: rowsOf,
  emit: emitWindow,
};

function emitWindow(
  body: Body,
  p: WindowParams,
  args: readonly Pointer[],
  _call: KernelCaller,
  team: Team,
): void {
  if (p.axes.length < 1 || p.axes.length > 3) throw new RangeError(`window over ${p.axes.length} axes`);
  const named = new Map(window.arguments(p).map((name, i) => [name, args[i] as Pointer]));
  const input = named.get('input') as Pointer;
  const output = named.get('output') as Pointer;
  const extras = args.slice(args.length - (p.epilogue?.operands.length ?? 0));
  const epilogue = new EpilogueCode(body, p.epilogue, p.multiplyAdd);
  const share = rowsOf(p) > 1 ? team.share(body, rowsOf(p)) : undefined;
  nest(body, p.outer, [input, output, ...extras], () => {
    const cursor: Cursor = {
      input,
      output: copyOf(body, output),
      extras: extras.map((e) => copyOf(body, e)),
      weight: named.get('weight'),
      bias: named.get('bias'),
    };
    if (share) overRows(body, p, epilogue, cursor, share);
    else overAxes(body, p, epilogue, cursor, []);
  });
}

interface Cursor {
  /** Where the taps of the positions fixed so far begin. */
  readonly input: Pointer;
  readonly output: Pointer;
  readonly extras: readonly Pointer[];
  readonly weight: Pointer | undefined;
  readonly bias: Pointer | undefined;
}

/** A thread's share of the positions on the first axis. */
function overRows(
  body: Body,
  p: WindowParams,
  epilogue: EpilogueCode,
  cursor: Cursor,
  { first, end }: Share,
): void {
  const axis = p.axes[0] as WindowAxisPlan;
  advanceBy(body, cursor.output, first, axis.outputStep);
  cursor.extras.forEach((e, k) => {
    advanceBy(body, e, first, axis.extraSteps[k] ?? 0);
  });
  let begin = 0;
  for (const segment of axis.segments) {
    const [from, to] = [body.local('i32'), body.local('i32')];
    const least = i32(begin);
    const most = i32(begin + segment.count);
    body.set(from, select(first, least, op('i32.gt_s', first, least)));
    body.set(to, select(end, most, op('i32.lt_s', end, most)));
    const input = copyOf(body, cursor.input, segment.start - begin * axis.inputStep);
    advanceBy(body, input, from, axis.inputStep);
    body.count(from, to, 1, () => {
      overAxes(body, p, epilogue, { ...cursor, input }, [segment]);
      advance(body, input, axis.inputStep);
      advance(body, cursor.output, axis.outputStep);
      cursor.extras.forEach((e, k) => {
        advance(body, e, axis.extraSteps[k] ?? 0);
      });
    });
    begin += segment.count;
  }
}

/** Goes through the segments of each axis in turn; output and operands move on as positions are done. */
function overAxes(
  body: Body,
  p: WindowParams,
  epilogue: EpilogueCode,
  cursor: Cursor,
  fixed: readonly Segment[],
): void {
  const axis = p.axes[fixed.length] as WindowAxisPlan;
  const innermost = fixed.length === p.axes.length - 1;
  const total = axis.segments.reduce((n, s) => n + s.count, 0);
  for (const segment of axis.segments) {
    const input = copyOf(body, cursor.input, segment.start);
    const inside = { ...cursor, input };
    const step = (positions: number) => {
      advance(body, input, positions * axis.inputStep);
      advance(body, cursor.output, positions * axis.outputStep);
      cursor.extras.forEach((e, k) => {
        advance(body, e, positions * (axis.extraSteps[k] ?? 0));
      });
    };
    const tile = innermost ? p.tile : 1;
    const run = (positions: number) => {
      if (innermost) emitTile(body, p, epilogue, inside, [...fixed, segment], positions);
      else overAxes(body, p, epilogue, inside, [...fixed, segment]);
      step(positions);
    };
    const full = Math.floor(segment.count / tile);
    if (full > 0) nest(body, [{ count: full, steps: [] }], [], () => run(tile));
    if (segment.count % tile > 0) run(segment.count % tile);
  }
  // leave the output where this axis began: the caller steps over it
  advance(body, cursor.output, -total * axis.outputStep);
  cursor.extras.forEach((e, k) => {
    advance(body, e, -total * (axis.extraSteps[k] ?? 0));
  });
}

/** `positions` neighbouring outputs of the innermost axis, over all channels. */
function emitTile(
  body: Body,
  p: WindowParams,
  epilogue: EpilogueCode,
  cursor: Cursor,
  segments: readonly Segment[],
  positions: number,
): void {
  const input = copyOf(body, cursor.input);
  const output = copyOf(body, cursor.output);
  const weight = cursor.weight
    ? copyOf(body, cursor.weight, firstTap(p, segments) * channelBytes(p.channels))
    : undefined;
  const bias = cursor.bias ? copyOf(body, cursor.bias) : undefined;
  const extras = cursor.extras.map((e, k) => (epilogue.operands[k] === 'vector' ? copyOf(body, e) : e));
  const vector = (lanes: number) => {
    emitVector(body, p, epilogue, { input, output, weight, bias, extras }, segments, positions, lanes);
    for (const pointer of [input, output, weight, bias]) if (pointer) advance(body, pointer, VECTOR_BYTES);
    extras.forEach((e, k) => {
      if (epilogue.operands[k] === 'vector') advance(body, e, VECTOR_BYTES);
    });
  };
  const full = Math.floor(p.channels / LANES);
  if (full > 0) nest(body, [{ count: full, steps: [] }], [], () => vector(LANES));
  if (p.channels % LANES > 0) vector(p.channels % LANES);
}

/** Index of the first tap that the segments see, in the row-major kernel. */
const firstTap = (p: WindowParams, segments: readonly Segment[]): number =>
  segments.reduce((index, s, i) => index * (p.axes[i]?.kernel ?? 1) + s.firstTap, 0);

/** One vector of channels: all taps of a tile. Taps of the innermost axis are unrolled, its inputs loaded once. */
function emitVector(
  body: Body,
  p: WindowParams,
  epilogue: EpilogueCode,
  { input, output, weight, bias, extras }: Cursor,
  segments: readonly Segment[],
  positions: number,
  lanes: number,
): void {
  const axis = p.axes[p.axes.length - 1] as WindowAxisPlan;
  const inner = segments[segments.length - 1] as Segment;
  const acc = body.locals('v128', positions);
  const outerTaps = segments.slice(0, -1).map((s, i) => {
    const own = p.axes[i] as WindowAxisPlan;
    const below = p.axes.slice(i + 1).reduce((n, a) => n * a.kernel, 1);
    return { count: s.taps, steps: [own.tapStep, below * channelBytes(p.channels)] };
  });
  /** All taps, each joined to the sums by `join`; `see` is told of every input once. */
  const overTaps = (join: Join, see: (x: Vector) => void = () => {}): void => {
    const initial: Vector = p.combine === 'max' ? v128('f32x4', ...LOWEST) : v128('f32x4', 0, 0, 0, 0);
    for (let i = 0; i < positions; i++) body.set(acc.at(i), bias ? loadVector(bias) : initial);
    const row = (from: Pointer, weights: Pointer | undefined, offset: number, weightOffset: number) => {
      const taps = new Map<number, Vector>();
      if (weights) {
        for (let t = 0; t < inner.taps; t++) {
          const local = body.local('v128');
          body.set(local, loadVector(weights, weightOffset + t * channelBytes(p.channels)));
          taps.set(t, local);
        }
      }
      for (const [at, users] of inputsOf(axis, inner.taps, positions)) {
        const x = body.local('v128');
        body.set(x, loadVector(from, offset + at));
        see(x);
        for (const { position, tap } of users) {
          const sum = acc.at(position);
          body.set(sum, join(sum, x, taps.get(tap)));
        }
      }
    };
    const rows = outerTaps.reduce((n, loop) => n * loop.count, 1);
    const only = outerTaps[outerTaps.length - 1];
    if (rows === 1) row(input, weight, 0, 0);
    else if (only && rows === only.count && rows <= MAX_UNROLLED_ROWS) {
      for (let y = 0; y < rows; y++) row(input, weight, y * (only.steps[0] ?? 0), y * (only.steps[1] ?? 0));
    } else {
      const from = copyOf(body, input);
      const weights = weight ? copyOf(body, weight) : undefined;
      nest(body, outerTaps, weights ? [from, weights] : [from], () => row(from, weights, 0, 0));
    }
  };
  if (p.combine === 'max') largest(body, overTaps);
  else overTaps((sum, x, w) => (w ? addProduct(p.multiplyAdd, x, w, sum) : op('f32x4.add', sum, x)));
  const divisor = segments.reduce((n, s) => n * s.divisor, 1);
  for (let i = 0; i < positions; i++) {
    const value: Vector =
      p.combine === 'sum'
        ? op('f32x4.mul', acc.at(i), v128('f32x4', 1 / divisor, 1 / divisor, 1 / divisor, 1 / divisor))
        : acc.at(i);
    const operands = extras.map((pointer, k) => ({ pointer, offset: i * (axis.extraSteps[k] ?? 0) }));
    storeLanes(body, output, epilogue.apply(body, value, operands), lanes, i * axis.outputStep);
  }
}

const LOWEST = [
  Number.NEGATIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
] as const;
/** A sum, or a maximum, with one more input and its weight, where there are weights. */
type Join = (sum: Vector, x: Vector, weight: Vector | undefined) => Vector;

/**
 * Maxima by the one instruction that does not see every NaN, with a sum of the inputs beside it, which does; where that is
 * NaN (be it of infinities), once more by the many that f32x4.max takes on x64.
 */
function largest(body: Body, overTaps: (join: Join, see?: (x: Vector) => void) => void): void {
  const sum = body.local('v128');
  body.set(sum, v128('f32x4', 0, 0, 0, 0));
  overTaps(
    (a, x) => op('f32x4.pmax', a, x),
    (x) => body.set(sum, op('f32x4.add', sum, x)),
  );
  body.if(op('v128.any_true', op('f32x4.ne', sum, sum)), () => overTaps((a, x) => op('f32x4.max', a, x)));
}

/** Rows of taps that are written out; more become a loop, so that bodies stay small. */
const MAX_UNROLLED_ROWS = 3;

/** Input offsets that a tile of one axis reads, each with the (output, tap) pairs that use it; in rising order. */
function inputsOf(
  axis: WindowAxisPlan,
  taps: number,
  positions: number,
): Map<number, { position: number; tap: number }[]> {
  const uses: { at: number; position: number; tap: number }[] = [];
  for (let position = 0; position < positions; position++) {
    for (let tap = 0; tap < taps; tap++) {
      uses.push({ at: position * axis.inputStep + tap * axis.tapStep, position, tap });
    }
  }
  uses.sort((a, b) => a.at - b.at || a.position - b.position);
  const result = new Map<number, { position: number; tap: number }[]>();
  for (const { at, position, tap } of uses) {
    const list = result.get(at) ?? [];
    list.push({ position, tap });
    result.set(at, list);
  }
  return result;
}
