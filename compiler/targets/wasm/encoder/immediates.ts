import { f32Bytes, f64Bytes, i32Leb, i64Leb, unsignedLeb } from './bytes.ts';
import { EncoderError } from './error.ts';
import type { ImmediateSpec, InstructionName, InstructionTable } from './instructions.ts';

/** Where a memory access lands relative to its address operand. */
export interface MemArg {
  /** Bytes added to the address, without wrapping. Default 0. */
  readonly offset?: number;
  /** Promised alignment in bytes; at most the natural one, which is the default. Only a hint. */
  readonly align?: number;
}

/** The arguments that follow the operands in `op`, for each kind of immediate. */
interface ImmediateArguments {
  i32: [value: number];
  i64: [value: bigint];
  f32: [value: number];
  f64: [value: number];
  v128: [bytes: ArrayLike<number>];
  memory: [];
  'memory+memory': [];
  fence: [];
  shuffle: [lanes: readonly number[]];
  memarg: [memarg?: MemArg];
  atomic: [memarg?: Omit<MemArg, 'align'>];
  lane: [lane: number];
  'memarg+lane': [lane: number, memarg?: MemArg];
}

export type Immediates<N extends InstructionName> = InstructionTable[N] extends {
  readonly immediate: infer Kind extends keyof ImmediateArguments;
}
  ? ImmediateArguments[Kind]
  : [];

/** The bytes after the opcode. Throws when `values` does not fit `spec`. */
export function encodeImmediates(spec: ImmediateSpec, values: readonly unknown[]): readonly number[] {
  const [first, second] = values;
  const most = spec.immediate === undefined ? 0 : MOST_ARGUMENTS[spec.immediate];
  if (values.length > most)
    throw new EncoderError(`expected at most ${most} immediates, got ${values.length}`);
  if (spec.immediate === undefined) return [];
  switch (spec.immediate) {
    case 'i32':
      return i32Leb(numberOf(first));
    case 'i64':
      if (typeof first !== 'bigint') throw new EncoderError(`expected a bigint, got ${typeof first}`);
      return i64Leb(first);
    case 'f32':
      return f32Bytes(numberOf(first));
    case 'f64':
      return f64Bytes(numberOf(first));
    case 'v128':
      return bytesOf(first, 0xff);
    case 'shuffle':
      return bytesOf(first, 31);
    case 'memory':
    case 'fence':
      return [0];
    case 'memory+memory':
      return [0, 0];
    case 'memarg':
      return memargBytes(spec.align, first);
    case 'atomic':
      return memargBytes(spec.align, first, true);
    case 'lane':
      return [laneOf(spec.lanes, first)];
    case 'memarg+lane':
      return [...memargBytes(spec.align, second), laneOf(spec.lanes, first)];
  }
}

const MOST_ARGUMENTS = {
  i32: 1,
  i64: 1,
  f32: 1,
  f64: 1,
  v128: 1,
  memory: 0,
  'memory+memory': 0,
  fence: 0,
  shuffle: 1,
  memarg: 1,
  atomic: 1,
  lane: 1,
  'memarg+lane': 2,
} as const satisfies { [K in keyof ImmediateArguments]: number };

function memargBytes(natural: number, memarg: unknown, exact = false): number[] {
  if (memarg !== undefined && (typeof memarg !== 'object' || memarg === null)) {
    throw new EncoderError(`expected { offset, align }, got ${String(memarg)}`);
  }
  const { offset = 0, align = natural }: MemArg = memarg ?? {};
  const log2 = Math.log2(align);
  if (!Number.isInteger(log2) || log2 < 0 || align > natural || (exact && align !== natural)) {
    throw new EncoderError(`alignment ${align} is not allowed where the natural alignment is ${natural}`);
  }
  return [...unsignedLeb(log2), ...unsignedLeb(offset)];
}

function laneOf(lanes: number, lane: unknown): number {
  const index = numberOf(lane);
  if (!Number.isInteger(index) || index < 0 || index >= lanes) {
    throw new EncoderError(`lane ${index} is outside 0..${lanes - 1}`);
  }
  return index;
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new EncoderError(`expected a number, got ${typeof value}`);
  return value;
}

function bytesOf(value: unknown, most: number): number[] {
  if (typeof value !== 'object' || value === null || !('length' in value)) {
    throw new EncoderError(`expected 16 bytes, got ${typeof value}`);
  }
  const bytes: unknown[] = Array.from(value as ArrayLike<unknown>);
  if (bytes.length !== 16) throw new EncoderError(`expected 16 bytes, got ${bytes.length}`);
  return bytes.map((byte) => laneOf(most + 1, byte));
}
