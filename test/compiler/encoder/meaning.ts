import { isVector, type Lane, type LaneOf, readLanes, type Shape, signed, writeLanes } from './shapes.ts';

/** Thrown by a meaning where the engine must trap. */
export class Trap extends Error {}

/** The memory that a meaning reads and writes, and the immediates as given to `op`. */
export interface Context {
  memory: Uint8Array;
  readonly immediates: readonly unknown[];
}

/** What an instruction may push: for each lane, its value or the allowed values. A NaN stands for any NaN. */
export interface Outcome {
  readonly shape: Shape;
  readonly lanes: readonly (Lane | readonly Lane[])[];
}

/** What an instruction does with its operands, given as bytes. */
export type Meaning = (operands: readonly Uint8Array[], context: Context) => Outcome | undefined;

type Answer = Lane | readonly Lane[];

/** `f` on each lane: operands are read as `shape`, the result is written as `out`. */
export function each<S extends Shape>(
  shape: S,
  f: (...lanes: LaneOf<S>[]) => Answer,
  out: Shape = shape,
): Meaning {
  return whole(
    shape,
    (...operands) => operands[0]?.map((_, lane) => f(...operands.map((o) => at(o, lane)))) ?? [],
    out,
  );
}

/** `f` on all lanes of the operands at once, all read as `shape`. */
export function whole<S extends Shape>(
  shape: S,
  f: (...operands: LaneOf<S>[][]) => Answer[],
  out: Shape = shape,
): Meaning {
  return (operands) => ({ shape: out, lanes: f(...operands.map((bytes) => readLanes(shape, bytes))) });
}

/** A comparison: 1 or 0 for a number, all ones or zeros in each lane of a vector. */
export function test<S extends Shape>(shape: S, f: (...lanes: LaneOf<S>[]) => boolean): Meaning {
  const yes = isVector(shape) ? -1n : 1n;
  return each(shape, (...lanes) => (f(...lanes) ? yes : 0n), isVector(shape) ? signed(shape) : 'i32');
}

/** A vector and an i32: `f` gets each lane and the number. */
export function withCount<S extends Shape>(shape: S, f: (lane: LaneOf<S>, count: bigint) => Lane): Meaning {
  return ([vector, count]) => {
    const [by = 0n] = readLanes('i32', bytesOf(count));
    return { shape, lanes: readLanes(shape, bytesOf(vector)).map((lane) => f(lane, by)) };
  };
}

export function at<T>(items: ArrayLike<T>, index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`no item ${index}`);
  return item;
}

export function bytesOf(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) throw new Error('missing operand');
  return bytes;
}

/** The effective address of an access of `size` bytes; traps outside the memory. */
export function addressOf(
  operand: Uint8Array | undefined,
  memarg: unknown,
  size: number,
  context: Context,
): number {
  const [base = 0n] = readLanes('u32', bytesOf(operand));
  const { offset = 0 } = (memarg ?? {}) as { offset?: number };
  const address = Number(base) + offset;
  if (address + size > context.memory.length) throw new Trap();
  return address;
}

/** Reads `shape` from memory; `f` makes the lanes of the result, which is written as `out`. */
export function loads<S extends Shape>(
  shape: S,
  out: Shape,
  f: (lanes: LaneOf<S>[]) => Lane[] = (lanes) => lanes,
  bytes = writeLanes(shape, readLanes(shape, new Uint8Array(16))).length,
): Meaning {
  return ([address], context) => {
    const from = addressOf(address, context.immediates[0], bytes, context);
    const padded = new Uint8Array(16);
    padded.set(context.memory.subarray(from, from + bytes));
    return { shape: out, lanes: f(readLanes(shape, padded)) };
  };
}

/** Writes the lowest `bytes` bytes of the value. */
export function stores(bytes: number): Meaning {
  return ([address, value], context) => {
    const to = addressOf(address, context.immediates[0], bytes, context);
    context.memory.set(bytesOf(value).subarray(0, bytes), to);
    return undefined;
  };
}
