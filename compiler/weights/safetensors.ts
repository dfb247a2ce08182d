/**
 * The safetensors format: eight bytes with the length of a JSON header, the header, the data. Tensors do not overlap
 * and fill the data. https://github.com/huggingface/safetensors
 */
import { z } from 'zod';
import { fail } from '#ir/diagnostics.ts';
import { bytesOfData, type Tensor, viewBytes } from '#ir/tensor.ts';
import { byteSize, type DType, elementCount } from '#ir/types.ts';
import { halfToFloat } from '#runtime/stored-weights.ts';

const TYPES: Readonly<Record<string, DType>> = {
  F32: 'f32',
  I8: 'i8',
  U8: 'u8',
  I16: 'i16',
  U16: 'u16',
  I32: 'i32',
  U32: 'u32',
  I64: 'i64',
  U64: 'u64',
  BOOL: 'bool',
};
/** Types that are converted to f32, with their bytes per element. */
const CONVERTED: Readonly<Record<string, number>> = { F16: 2, BF16: 2, F64: 8 };

/** The format's own limit. */
const LONGEST_HEADER = 100_000_000;

const index = z.int().min(0);
const headerSchema = z.record(
  z.string(),
  z.object({ dtype: z.string(), shape: z.array(index), data_offsets: z.tuple([index, index]) }),
);

/** The tensors of a file, by name; they view its bytes where they can. @throws CompileError `weights-invalid` */
export function parseSafetensors(file: Uint8Array, subject = 'the weights'): Map<string, Tensor> {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  const wrong = (message: string): never => fail('weights-invalid', subject, message);
  if (bytes.length < 8) wrong('the file is too short for a safetensors file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > LONGEST_HEADER || 8 + length > bytes.length)
    wrong('this is not a safetensors file, or it is cut off');
  const data = bytes.subarray(8 + length);
  const tensors = new Map<string, Tensor>();
  let end = 0;
  const entries = Object.entries(header(bytes.subarray(8, 8 + length), wrong));
  entries.sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  for (const [name, { dtype, shape, data_offsets: offsets }] of entries) {
    const type = { dtype: TYPES[dtype] ?? 'f32', shape } as const;
    const converted = CONVERTED[dtype];
    if (!TYPES[dtype] && converted === undefined)
      wrong(`"${name}" has element type ${dtype}, which is not supported`);
    const size = converted === undefined ? byteSize(type) : converted * elementCount(shape);
    if (offsets[0] !== end || offsets[1] - offsets[0] !== size)
      wrong(`"${name}" lies at ${offsets.join(' to ')}; ${size} bytes from ${end} were expected`);
    end = offsets[1];
    if (end > data.length)
      wrong(`"${name}" ends at ${end}; the file has ${data.length} bytes of data: it is cut off`);
    const own = data.subarray(...offsets);
    if (converted === undefined) tensors.set(name, { type, data: viewBytes(type.dtype, own) });
    else tensors.set(name, { type, data: toFloats(dtype, own) });
  }
  if (end !== data.length) wrong(`${data.length - end} bytes at the end belong to no tensor`);
  return tensors;
}

function header(bytes: Uint8Array, wrong: (message: string) => never): z.infer<typeof headerSchema> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return wrong('this is not a safetensors file: its header is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return wrong('this is not a safetensors file: its header is not an object');
  const entries = Object.entries(parsed).filter(([name]) => name !== '__metadata__');
  const result = headerSchema.safeParse(Object.fromEntries(entries));
  return result.success ? result.data : wrong('its header does not describe tensors');
}

function toFloats(dtype: string, bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F64')
    return Float32Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const half = view.getUint16(2 * i, true);
    if (dtype === 'F16') return halfToFloat(half);
    bits[0] = half << 16;
    return float[0] as number;
  });
}

/** A file of tensors, in their order; data is aligned to 8 bytes. */
export function formatSafetensors(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const names = Object.fromEntries(Object.entries(TYPES).map(([name, dtype]) => [dtype, name]));
  let end = 0;
  const entries = [...tensors].map(([name, { type }]) => {
    const start = end;
    end += byteSize(type);
    return [name, { dtype: names[type.dtype], shape: type.shape, data_offsets: [start, end] }] as const;
  });
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + length + end).fill(0x20, 8, 8 + length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.set(text, 8);
  let position = 8 + length;
  for (const { data } of tensors.values()) {
    file.set(bytesOfData(data), position);
    position += data.byteLength;
  }
  return file;
}
