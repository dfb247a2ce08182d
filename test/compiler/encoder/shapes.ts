/** How the bytes of a value are read: `i32` is one lane, `u16x8` eight unsigned ones. Integer lanes are bigints. */
export type IntegerShape = `${'i' | 'u'}${'8x16' | '16x8' | '32x4' | '64x2' | '32' | '64'}`;
export type FloatShape = 'f32' | 'f64' | 'f32x4' | 'f64x2';
export type Shape = IntegerShape | FloatShape;
export type LaneOf<S extends Shape> = S extends FloatShape ? number : bigint;
export type Lane = number | bigint;

export function laneBits(shape: Shape): 8 | 16 | 32 | 64 {
  return Number(/\d+/.exec(shape)?.[0]) as 8 | 16 | 32 | 64;
}

export function laneCount(shape: Shape): number {
  return Number(/x(\d+)/.exec(shape)?.[1] ?? 1);
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
  const bits = laneBits(shape);
  if (shape.startsWith('f')) return bits === 32 ? view.getFloat32(at, true) : view.getFloat64(at, true);
  let value = 0n;
  for (let byte = bits / 8 - 1; byte >= 0; byte -= 1)
    value = (value << 8n) | BigInt(view.getUint8(at + byte));
  return shape.startsWith('i') ? BigInt.asIntN(bits, value) : value;
}

function writeInteger(view: DataView, at: number, bits: number, value: bigint): void {
  for (let byte = 0; byte < bits / 8; byte += 1)
    view.setUint8(at + byte, Number((value >> BigInt(8 * byte)) & 0xffn));
}
