/** How the bytes of a value are read: `i32` is one lane, `u16x8` eight unsigned ones. Integer lanes are bigints. */
export type IntegerShape = `${'i' | 'u'}${'8x16' | '16x8' | '32x4' | '64x2' | '32' | '64'}`;
export type FloatShape = 'f32' | 'f64' | 'f32x4' | 'f64x2';
export type Shape = IntegerShape | FloatShape;
export type LaneOf<S extends Shape> = S extends FloatShape ? number : bigint;
export type Lane = number | bigint;

interface Geometry {
  readonly bits: 8 | 16 | 32 | 64;
  readonly count: number;
  readonly kind: 'i' | 'u' | 'f';
}

/** Parsed once for each shape: the tests read millions of lanes. */
const GEOMETRY = new Map<Shape, Geometry>();

function geometry(shape: Shape): Geometry {
  const known = GEOMETRY.get(shape);
  if (known !== undefined) return known;
  const [, kind, bits, count = 1] = /^([iuf])(\d+)(?:x(\d+))?$/.exec(shape) ?? [];
  const parsed = { kind, bits: Number(bits), count: Number(count) } as Geometry;
  GEOMETRY.set(shape, parsed);
  return parsed;
}

export function laneBits(shape: Shape): 8 | 16 | 32 | 64 {
  return geometry(shape).bits;
}

export function laneCount(shape: Shape): number {
  return geometry(shape).count;
}

export function isVector(shape: Shape): boolean {
  return shape.includes('x');
}

/** The same lanes read as signed or unsigned integers. */
export const signed = (shape: Shape): IntegerShape => shape.replace(/^./, 'i') as IntegerShape;
export const unsigned = (shape: Shape): IntegerShape => shape.replace(/^./, 'u') as IntegerShape;

export function readLanes<S extends Shape>(shape: S, bytes: Uint8Array): LaneOf<S>[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bits = laneBits(shape);
  return Array.from({ length: laneCount(shape) }, (_, lane) =>
    readLane(view, (lane * bits) / 8, shape),
  ) as LaneOf<S>[];
}

/** Integers wrap to the lane, floats round to it. */
export function writeLanes(shape: Shape, lanes: readonly Lane[]): Uint8Array {
  const bits = laneBits(shape);
  const bytes = new Uint8Array((lanes.length * bits) / 8);
  const view = new DataView(bytes.buffer);
  lanes.forEach((lane, index) => {
    const at = (index * bits) / 8;
    if (shape.startsWith('f')) {
      if (bits === 32) view.setFloat32(at, Number(lane), true);
      else view.setFloat64(at, Number(lane), true);
    } else {
      writeInteger(view, at, bits, BigInt(lane));
    }
  });
  return bytes;
}

function readLane(view: DataView, at: number, shape: Shape): Lane {
  const { kind, bits } = geometry(shape);
  if (kind === 'f') return bits === 32 ? view.getFloat32(at, true) : view.getFloat64(at, true);
  switch (bits) {
    case 8:
      return BigInt(kind === 'i' ? view.getInt8(at) : view.getUint8(at));
    case 16:
      return BigInt(kind === 'i' ? view.getInt16(at, true) : view.getUint16(at, true));
    case 32:
      return BigInt(kind === 'i' ? view.getInt32(at, true) : view.getUint32(at, true));
    case 64:
      return kind === 'i' ? view.getBigInt64(at, true) : view.getBigUint64(at, true);
  }
}

function writeInteger(view: DataView, at: number, bits: 8 | 16 | 32 | 64, value: bigint): void {
  const unsigned = BigInt.asUintN(bits, value);
  if (bits === 64) view.setBigUint64(at, unsigned, true);
  else if (bits === 32) view.setUint32(at, Number(unsigned), true);
  else if (bits === 16) view.setUint16(at, Number(unsigned), true);
  else view.setUint8(at, Number(unsigned));
}
