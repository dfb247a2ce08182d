/** Four neighbouring elements as an f32x4: the types that vector code computes with as floats. */
import { bytesOf, type DType } from '#ir/types.ts';
import { type Ex, load, op, v128 } from '../encoder/index.ts';
import { type Body, LANES, loadSplat, loadVector, plus, storeLanes, type Vector } from './family.ts';

export const LANE_TYPES = ['f32', 'bool', 'u8', 'i8'] as const satisfies readonly DType[];
export type LaneType = (typeof LANE_TYPES)[number];
export const isLaneType = (dtype: DType): dtype is LaneType =>
  (LANE_TYPES as readonly DType[]).includes(dtype);

/** What vector code reads as floats: an i32 is rounded to the nearest. */
export type ReadType = LaneType | 'i32';

/** Bytes of four elements. */
export const laneBytes = (dtype: ReadType): number => LANES * bytesOf(dtype);

/** Four elements side by side; may read up to three elements beyond the last. */
export function loadLanes(dtype: ReadType, pointer: Ex<'i32'>, offset = 0): Vector {
  if (dtype === 'f32') return loadVector(pointer, offset);
  if (dtype === 'i32') return op('f32x4.convert_i32x4_s', loadVector(pointer, offset));
  const bytes = load('v128.load32_zero', pointer, { offset });
  return dtype === 'i8'
    ? op('f32x4.convert_i32x4_s', op('i32x4.extend_low_i16x8_s', op('i16x8.extend_low_i8x16_s', bytes)))
    : op('f32x4.convert_i32x4_u', op('i32x4.extend_low_i16x8_u', op('i16x8.extend_low_i8x16_u', bytes)));
}

/** One element in all four lanes. */
export function splatLanes(dtype: ReadType, pointer: Ex<'i32'>): Vector {
  if (dtype === 'f32') return loadSplat(pointer);
  if (dtype === 'i32') return op('f32x4.convert_i32x4_s', loadSplat(pointer));
  const value = dtype === 'i8' ? load('i32.load8_s', pointer) : load('i32.load8_u', pointer);
  return op('f32x4.splat', op('f32.convert_i32_s', value));
}

/** Writes the first `lanes` lanes: bytes saturate, bool is `≠ 0`. */
export function storeTyped(
  body: Body,
  dtype: LaneType,
  pointer: Ex<'i32'>,
  value: Vector,
  lanes: number,
  offset = 0,
): void {
  if (dtype === 'f32') {
    storeLanes(body, pointer, value, lanes, offset);
    return;
  }
  const held = body.local('v128');
  const whole =
    dtype === 'bool'
      ? op('v128.and', op('f32x4.ne', value, v128('f32x4', 0, 0, 0, 0)), v128('i32x4', 1, 1, 1, 1))
      : op('i32x4.trunc_sat_f32x4_s', value);
  body.set(held, whole);
  body.set(held, op('i16x8.narrow_i32x4_s', held, held));
  body.set(
    held,
    dtype === 'i8' ? op('i8x16.narrow_i16x8_s', held, held) : op('i8x16.narrow_i16x8_u', held, held),
  );
  if (lanes >= LANES) body.op('v128.store32_lane', pointer, held, 0, { offset });
  else
    for (let lane = 0; lane < lanes; lane++)
      body.op('v128.store8_lane', plus(pointer, lane), held, lane, { offset });
}
