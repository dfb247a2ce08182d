import { addressOf, at, bytesOf, type Context, loads, type Meaning, stores, Trap } from './meaning.ts';
import { type IntegerShape, type LaneOf, readLanes, type Shape, signed } from './shapes.ts';

export const PAGE = 65_536;
/** The maximum of the memory that the tests run on, in pages. */
export const MAXIMUM_PAGES = 4;

type Size = 1 | 2 | 4 | 8;

/** Vectors whose lanes have that many bytes. */
const LANES = { 1: 'u8x16', 2: 'u16x8', 4: 'u32x4', 8: 'u64x2' } as const satisfies Record<
  Size,
  IntegerShape
>;

const first = <T>(lanes: readonly T[]): T[] => lanes.slice(0, 1);

const extendsSigned = (size: Size, to: Shape): Meaning => loads(signed(LANES[size]), to, first, size);
const extendsZero = (size: Size, to: Shape): Meaning => loads(LANES[size], to, first, size);
const splats = (size: Size): Meaning =>
  loads(LANES[size], LANES[size], (lanes) => lanes.map(() => at(lanes, 0)), size);
const zeroPads = (size: Size): Meaning => loads('u8x16', 'u8x16', (lanes) => lanes, size);
const widens = (from: IntegerShape, to: IntegerShape): Meaning =>
  loads(from, to, (lanes) => lanes.slice(0, lanes.length / 2), 8);

const loadsLane =
  (size: Size): Meaning =>
  ([address, vector], context) => {
    const [lane, memarg] = context.immediates;
    const from = addressOf(address, memarg, size, context);
    const result = bytesOf(vector).slice();
    result.set(context.memory.subarray(from, from + size), Number(lane) * size);
    return { shape: 'u8x16', lanes: readLanes('u8x16', result) };
  };

const storesLane =
  (size: Size): Meaning =>
  ([address, vector], context) => {
    const [lane, memarg] = context.immediates;
    const to = addressOf(address, memarg, size, context);
    const from = Number(lane) * size;
    context.memory.set(bytesOf(vector).subarray(from, from + size), to);
    return undefined;
  };

/** Atomic accesses trap unless the effective address is a multiple of their size. */
function atomic(size: Size, access: Meaning): Meaning {
  return (operands, context) => {
    if (addressOf(operands[0], context.immediates[0], size, context) % size !== 0) throw new Trap();
    return access(operands, context);
  };
}

/** Replaces the old value by `f(old, operand)`, operands wrapped to the size, and is the old value, zero-extended. */
function modifies(size: Size, f: (old: bigint, ...operands: bigint[]) => bigint): Meaning {
  return (operands, context) => {
    const [address, ...rest] = operands;
    const from = addressOf(address, context.immediates[0], size, context);
    const old = littleEndian(context.memory.subarray(from, from + size));
    let value = f(old, ...rest.map((bytes) => littleEndian(bytes.subarray(0, size))));
    for (let byte = 0; byte < size; byte += 1, value >>= 8n)
      context.memory[from + byte] = Number(value & 0xffn);
    return { shape: bytesOf(rest[0]).length === 8 ? 'i64' : 'i32', lanes: [old] };
  };
}

const littleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);

const MODIFICATIONS = {
  add: (old: bigint, x = 0n) => old + x,
  sub: (old: bigint, x = 0n) => old - x,
  and: (old: bigint, x = 0n) => old & x,
  or: (old: bigint, x = 0n) => old | x,
  xor: (old: bigint, x = 0n) => old ^ x,
  xchg: (_old: bigint, x = 0n) => x,
  cmpxchg: (old: bigint, expected = 0n, replacement = 0n) => (old === expected ? replacement : old),
};

type Modification = keyof typeof MODIFICATIONS;

function modifications<P extends string, S extends '' | '_u'>(prefix: P, suffix: S, size: Size) {
  const entries = Object.entries(MODIFICATIONS).map(([name, f]) => [
    `${prefix}.${name}${suffix}`,
    atomic(size, modifies(size, f)),
  ]);
  return Object.fromEntries(entries) as Record<`${P}.${Modification}${S}`, Meaning>;
}

/** Nobody ever notifies and the timeout is 0: 1 when the value differs, else 2 for "timed out". */
const waits = <S extends 'i32' | 'i64'>(shape: S, size: Size): Meaning =>
  atomic(size, ([address, expected], context) => {
    const from = addressOf(address, context.immediates[0], size, context);
    const [found] = readLanes<Shape>(shape, context.memory.slice(from, from + size));
    const [wanted] = readLanes<Shape>(shape, bytesOf(expected)) as LaneOf<S>[];
    return { shape: 'i32', lanes: [found === wanted ? 2n : 1n] };
  });

const unsignedOperands = (operands: readonly Uint8Array[]): [number, number, number] => {
  const [a = 0, b = 0, c = 0] = operands.map((bytes) => Number(readLanes('u32', bytes)[0]));
  return [a, b, c];
};

function inside(context: Context, ...ends: number[]): void {
  if (ends.some((end) => end > context.memory.length)) throw new Trap();
}

export const MEMORY_MEANINGS = {
  'i32.load': loads('u32', 'i32'),
  'i64.load': loads('u64', 'i64'),
  'f32.load': loads('u32', 'i32'),
  'f64.load': loads('u64', 'i64'),
  'i32.load8_s': extendsSigned(1, 'i32'),
  'i32.load8_u': extendsZero(1, 'i32'),
  'i32.load16_s': extendsSigned(2, 'i32'),
  'i32.load16_u': extendsZero(2, 'i32'),
  'i64.load8_s': extendsSigned(1, 'i64'),
  'i64.load8_u': extendsZero(1, 'i64'),
  'i64.load16_s': extendsSigned(2, 'i64'),
  'i64.load16_u': extendsZero(2, 'i64'),
  'i64.load32_s': extendsSigned(4, 'i64'),
  'i64.load32_u': extendsZero(4, 'i64'),
  'i32.store': stores(4),
  'i64.store': stores(8),
  'f32.store': stores(4),
  'f64.store': stores(8),
  'i32.store8': stores(1),
  'i32.store16': stores(2),
  'i64.store8': stores(1),
  'i64.store16': stores(2),
  'i64.store32': stores(4),
  'memory.size': (_, { memory }) => ({ shape: 'i32', lanes: [BigInt(memory.length / PAGE)] }),
  'memory.grow': (operands, context) => {
    const [by] = unsignedOperands(operands);
    const old = context.memory;
    if (old.length / PAGE + by > MAXIMUM_PAGES) return { shape: 'i32', lanes: [-1n] };
    context.memory = new Uint8Array(old.length + by * PAGE);
    context.memory.set(old);
    return { shape: 'i32', lanes: [BigInt(old.length / PAGE)] };
  },
  'memory.copy': (operands, context) => {
    const [to, from, count] = unsignedOperands(operands);
    inside(context, to + count, from + count);
    context.memory.copyWithin(to, from, from + count);
    return undefined;
  },
  'memory.fill': (operands, context) => {
    const [to, value, count] = unsignedOperands(operands);
    inside(context, to + count);
    context.memory.fill(value, to, to + count);
    return undefined;
  },
  'v128.load': loads('u8x16', 'u8x16'),
  'v128.load8x8_s': widens('i8x16', 'i16x8'),
  'v128.load8x8_u': widens('u8x16', 'i16x8'),
  'v128.load16x4_s': widens('i16x8', 'i32x4'),
  'v128.load16x4_u': widens('u16x8', 'i32x4'),
  'v128.load32x2_s': widens('i32x4', 'i64x2'),
  'v128.load32x2_u': widens('u32x4', 'i64x2'),
  'v128.load8_splat': splats(1),
  'v128.load16_splat': splats(2),
  'v128.load32_splat': splats(4),
  'v128.load64_splat': splats(8),
  'v128.load32_zero': zeroPads(4),
  'v128.load64_zero': zeroPads(8),
  'v128.load8_lane': loadsLane(1),
  'v128.load16_lane': loadsLane(2),
  'v128.load32_lane': loadsLane(4),
  'v128.load64_lane': loadsLane(8),
  'v128.store': stores(16),
  'v128.store8_lane': storesLane(1),
  'v128.store16_lane': storesLane(2),
  'v128.store32_lane': storesLane(4),
  'v128.store64_lane': storesLane(8),
  'memory.atomic.notify': atomic(4, () => ({ shape: 'i32', lanes: [0n] })),
  'memory.atomic.wait32': waits('i32', 4),
  'memory.atomic.wait64': waits('i64', 8),
  'atomic.fence': () => undefined,
  'i32.atomic.load': atomic(4, extendsZero(4, 'i32')),
  'i64.atomic.load': atomic(8, extendsZero(8, 'i64')),
  'i32.atomic.load8_u': atomic(1, extendsZero(1, 'i32')),
  'i32.atomic.load16_u': atomic(2, extendsZero(2, 'i32')),
  'i64.atomic.load8_u': atomic(1, extendsZero(1, 'i64')),
  'i64.atomic.load16_u': atomic(2, extendsZero(2, 'i64')),
  'i64.atomic.load32_u': atomic(4, extendsZero(4, 'i64')),
  'i32.atomic.store': atomic(4, stores(4)),
  'i64.atomic.store': atomic(8, stores(8)),
  'i32.atomic.store8': atomic(1, stores(1)),
  'i32.atomic.store16': atomic(2, stores(2)),
  'i64.atomic.store8': atomic(1, stores(1)),
  'i64.atomic.store16': atomic(2, stores(2)),
  'i64.atomic.store32': atomic(4, stores(4)),
  ...modifications('i32.atomic.rmw', '', 4),
  ...modifications('i64.atomic.rmw', '', 8),
  ...modifications('i32.atomic.rmw8', '_u', 1),
  ...modifications('i32.atomic.rmw16', '_u', 2),
  ...modifications('i64.atomic.rmw8', '_u', 1),
  ...modifications('i64.atomic.rmw16', '_u', 2),
  ...modifications('i64.atomic.rmw32', '_u', 4),
} satisfies Record<string, Meaning>;
