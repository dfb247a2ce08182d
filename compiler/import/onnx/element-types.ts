import { fail } from '#ir/diagnostics.ts';
import type { DType, Shape } from '#ir/types.ts';
import { printable } from './text.ts';

/** How an element type of ONNX is stored, and what it becomes. */
export interface ElementType {
  readonly name: string;
  readonly dtype: DType;
  /** Bytes per element in `raw_data`. */
  readonly stored: number;
  /** Is it converted on import? */
  readonly converted?: true;
}

/** By TensorProto.DataType. */
const SUPPORTED: Readonly<Record<number, ElementType>> = {
  1: { name: 'float32', dtype: 'f32', stored: 4 },
  2: { name: 'uint8', dtype: 'u8', stored: 1 },
  3: { name: 'int8', dtype: 'i8', stored: 1 },
  4: { name: 'uint16', dtype: 'u16', stored: 2 },
  5: { name: 'int16', dtype: 'i16', stored: 2 },
  6: { name: 'int32', dtype: 'i32', stored: 4 },
  7: { name: 'int64', dtype: 'i64', stored: 8 },
  9: { name: 'bool', dtype: 'bool', stored: 1 },
  10: { name: 'float16', dtype: 'f32', stored: 2, converted: true },
  11: { name: 'float64', dtype: 'f32', stored: 8, converted: true },
  12: { name: 'uint32', dtype: 'u32', stored: 4 },
  13: { name: 'uint64', dtype: 'u64', stored: 8 },
};

const UNSUPPORTED: Readonly<Record<number, string>> = {
  0: 'undefined',
  8: 'string',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
  24: 'float8e8m0',
  25: 'uint2',
  26: 'int2',
};

/** What TensorProto.DataType `code` becomes. @throws CompileError `dtype-unsupported` */
export function elementType(code: number, subject: string): ElementType {
  const type = SUPPORTED[code];
  if (type) return type;
  fail(
    'dtype-unsupported',
    printable(subject),
    `element type ${UNSUPPORTED[code] ?? `number ${code}`} is not supported`,
  );
}

/** Higher ranks and larger tensors than any network has; sizes up to here are exact in a double. */
const MAX_RANK = 16;
const MAX_ELEMENTS = 2 ** 40;

/** Why no tensor may have this shape, or undefined. */
export function shapeProblem(shape: Shape): string | undefined {
  if (shape.length > MAX_RANK) return `rank ${shape.length} is more than ${MAX_RANK}`;
  const bad = shape.find((size) => !Number.isSafeInteger(size) || size < 0);
  if (bad !== undefined) return `${bad} is not a size`;
  let count = 1;
  for (const size of shape) count *= Math.max(size, 1);
  return count > MAX_ELEMENTS ? `shape [${shape.join(',')}] is too large` : undefined;
}
