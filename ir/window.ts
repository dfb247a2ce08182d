/**
 * Geometry of kernels that slide over spatial axes, of any rank, once: output size, taps, halo, receptive field.
 */
export interface Window {
  /** Taps per spatial axis. */
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** As in ONNX: all begins, then all ends. */
  readonly pads: readonly number[];
}

/** One axis of a window. */
export interface WindowAxis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padBegin: number;
  readonly padEnd: number;
}

export const spatialRank = (w: Window): number => w.kernel.length;

export const windowAxis = (w: Window, axis: number): WindowAxis => ({
  kernel: w.kernel[axis] ?? 1,
  stride: w.strides[axis] ?? 1,
  dilation: w.dilations[axis] ?? 1,
  padBegin: w.pads[axis] ?? 0,
  padEnd: w.pads[w.kernel.length + axis] ?? 0,
});

export const windowAxes = (w: Window): WindowAxis[] => w.kernel.map((_, axis) => windowAxis(w, axis));

/** Input positions from a window's first tap to its last. */
export const extent = (a: WindowAxis): number => (a.kernel - 1) * a.dilation + 1;

/** Output size of a convolution or pooling: ⌊(in + pads − extent) / stride⌋ + 1. */
export const outputSize = (a: WindowAxis, input: number): number =>
  Math.floor((input + a.padBegin + a.padEnd - extent(a)) / a.stride) + 1;

/** Output size with ceil mode; a last window that would start in the end padding is dropped (as PyTorch and ONNX ≥ 19). */
export function ceilOutputSize(a: WindowAxis, input: number): number {
  const size = Math.ceil((input + a.padBegin + a.padEnd - extent(a)) / a.stride) + 1;
  return (size - 1) * a.stride >= input + a.padBegin ? size - 1 : size;
}

/** Output size of a transposed convolution: (in − 1)·stride + extent + outputPadding − pads. */
export const transposedOutputSize = (a: WindowAxis, input: number, outputPadding: number): number =>
  (input - 1) * a.stride + extent(a) + outputPadding - a.padBegin - a.padEnd;

/** Begin and end padding of SAME on one axis; the odd one goes where `upper` says. */
export function samePadding(a: WindowAxis, input: number, upper: boolean): readonly [number, number] {
  const output = Math.ceil(input / a.stride);
  const total = Math.max(0, (output - 1) * a.stride + extent(a) - input);
  const small = Math.floor(total / 2);
  return upper ? [small, total - small] : [total - small, small];
}

/** First and past-the-last tap whose input position lies inside [0, input), for output position `o`. */
export function tapRange(a: WindowAxis, o: number, input: number): readonly [number, number] {
  const origin = o * a.stride - a.padBegin;
  const first = Math.max(0, Math.ceil(-origin / a.dilation));
  const end = Math.min(a.kernel, Math.ceil((input - origin) / a.dilation));
  return [first, Math.max(first, end)];
}

/**
 * Which input positions an output position sees on one axis, where this repeats: output q·P + r sees the interval
 * [q·advance + start_r, q·advance + start_r + size_r), with P = phases.length. A size of 0 sees nothing.
 */
export interface PositionMap {
  readonly advance: number;
  readonly phases: readonly { readonly start: number; readonly size: number }[];
}

export const IDENTITY_MAP: PositionMap = { advance: 1, phases: [{ start: 0, size: 1 }] };

/** Convolution and pooling: output o sees o·stride − padBegin + [0, extent). */
export const windowMap = (a: WindowAxis): PositionMap =>
  extent(a) === 1 && a.stride === 1 && a.padBegin === 0
    ? IDENTITY_MAP
    : { advance: a.stride, phases: [{ start: -a.padBegin, size: extent(a) }] };

/** Transposed convolution: input i reaches outputs i·stride + t·dilation − padBegin, so the map has `stride` phases. */
export function transposedMap(a: WindowAxis): PositionMap {
  const phases = [];
  for (let r = 0; r < a.stride; r++) {
    const seen: number[] = [];
    for (let t = 0; t < a.kernel; t++) {
      const position = r + a.padBegin - t * a.dilation;
      if (position % a.stride === 0) seen.push(position / a.stride);
    }
    const start = seen.length === 0 ? 0 : Math.min(...seen);
    phases.push({ start, size: seen.length === 0 ? 0 : Math.max(...seen) - start + 1 });
  }
  return { advance: 1, phases };
}

/** The interval that output position `o` sees, as [start, size]. */
export function mapAt(map: PositionMap, o: number): readonly [number, number] {
  const period = map.phases.length;
  const q = Math.floor(o / period);
  const phase = map.phases[o - q * period];
  return phase ? [q * map.advance + phase.start, phase.size] : [0, 0];
}

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

/** The map of `outer` followed back through `inner`: output → middle → input. */
export function composeMaps(outer: PositionMap, inner: PositionMap): PositionMap {
  if (outer === IDENTITY_MAP) return inner;
  const middlePeriod = inner.phases.length;
  const repeats = middlePeriod / gcd(outer.advance, middlePeriod);
  const period = outer.phases.length * repeats;
  const phases = [];
  for (let o = 0; o < period; o++) {
    const [start, size] = mapAt(outer, o);
    phases.push(hullOf(inner, start, size));
  }
  return { advance: ((outer.advance * repeats) / middlePeriod) * inner.advance, phases };
}

/** Smallest interval that holds what the positions [start, start + size) see. */
export function hullOf(map: PositionMap, start: number, size: number): { start: number; size: number } {
  const [only, more] = map.phases;
  if (only && !more && only.size > 0 && size > 0)
    return { start: start * map.advance + only.start, size: (size - 1) * map.advance + only.size };
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  const period = map.phases.length;
  const look = (o: number) => {
    const [s, n] = mapAt(map, o);
    if (n === 0) return;
    low = Math.min(low, s);
    high = Math.max(high, s + n);
  };
  // advance ≥ 0: the lowest start lies in the first period, the highest end in the last
  for (let i = 0; i < Math.min(size, period); i++) look(start + i);
  for (let i = Math.max(0, size - period); i < size; i++) look(start + i);
  return low > high ? { start: 0, size: 0 } : { start: low, size: high - low };
}

/** Smallest map that holds both; undefined where their effective strides differ. */
export function unionMaps(a: PositionMap, b: PositionMap): PositionMap | undefined {
  if (a === b) return a;
  const pa = a.phases.length;
  const pb = b.phases.length;
  if (a.advance * pb !== b.advance * pa) return undefined;
  const period = (pa * pb) / gcd(pa, pb);
  const phases = [];
  for (let o = 0; o < period; o++) {
    const [sa, na] = mapAt(a, o);
    const [sb, nb] = mapAt(b, o);
    if (na === 0 || nb === 0) {
      phases.push(na === 0 ? { start: sb, size: nb } : { start: sa, size: na });
      continue;
    }
    const start = Math.min(sa, sb);
    phases.push({ start, size: Math.max(sa + na, sb + nb) - start });
  }
  return { advance: (a.advance * period) / pa, phases };
}

/** Size, effective stride and effective padding of the tightest affine interval that holds every phase. */
export interface FieldEnvelope {
  readonly size: number;
  readonly stride: number;
  readonly padding: number;
  readonly period: number;
}

export function envelope(map: PositionMap): FieldEnvelope {
  const period = map.phases.length;
  const stride = map.advance / period;
  const [only, more] = map.phases;
  if (only && !more && only.size > 0) {
    return { size: only.size, stride, padding: only.start === 0 ? 0 : -only.start, period };
  }
  const seen = map.phases.flatMap((p, r) => (p.size > 0 ? [{ ...p, offset: r * stride }] : []));
  if (seen.length === 0) return { size: 0, stride, padding: 0, period };
  const start = Math.min(...seen.map((p) => p.start - p.offset));
  const end = Math.max(...seen.map((p) => p.start + p.size - p.offset));
  return { size: end - start, stride, padding: start === 0 ? 0 : -start, period };
}
