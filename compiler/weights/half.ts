/** Half-precision floats (IEEE 754 binary16). */

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** The bits of the nearest half, ties to even; beyond 65,504 infinity. */
export function floatToHalf(value: number): number {
  FLOAT[0] = value;
  const bits = BITS[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65,520 is half way to the next after the largest
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | roundedShift(magnitude - 0x38000000, 13);
  // below 2⁻¹⁴ halves are multiples of 2⁻²⁴; far below, all bits are shifted out
  const shift = 126 - (magnitude >>> 23);
  return sign | (shift > 24 ? 0 : roundedShift(0x800000 | (magnitude & 0x7fffff), shift));
}

/** bits / 2^shift, ties to even. */
function roundedShift(bits: number, shift: number): number {
  const down = bits >>> shift;
  const rest = bits & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return rest > tie || (rest === tie && down & 1) ? down + 1 : down;
}
