import type { InstructionName, ValueType } from '#compiler/targets/wasm/encoder/instructions.ts';
import { PAGE } from './memory-meanings.ts';
import { type Lane, laneCount, type Shape, writeLanes } from './shapes.ts';
import { specOf } from './variants.ts';

const TWO_TO = (exponent: number): bigint => 1n << BigInt(exponent);

/** The integers at which an instruction on lanes of `bits` bits may change its mind. */
function edges(bits: number): bigint[] {
  const small = Array.from({ length: 19 }, (_, value) => BigInt(value));
  const powers = [7, 8, 15, 16, 31, 32, 53, 63, 64].filter((exponent) => exponent <= bits).map(TWO_TO);
  const around = powers.flatMap((power) => [power, power - 1n, power + 1n, -power, -power - 1n]);
  return [...small, -1n, -2n, -16n, 0x5555_5555n, ...around];
}

const FLOAT_EDGES = [
  ...[
    0,
    0.25,
    0.5,
    0.75,
    1,
    1.5,
    2.5,
    3.5,
    100.7,
    8388607.5,
    4503599627370495.5,
    2 ** -149,
    2 ** -126,
    5e-324,
  ],
  ...[
    127,
    128,
    255,
    256,
    32767.5,
    2 ** 31,
    2 ** 31 - 1,
    2 ** 31 - 128,
    2 ** 32,
    2 ** 32 - 256,
    2 ** 32 - 0.5,
  ],
  ...[2 ** 53, 2 ** 63, 2 ** 63 - 1024, 2 ** 64, 2 ** 64 - 2048, 1e38, 3.4028234663852886e38, 1e300, 1.7e308],
  ...[Infinity, Number.NaN, 2 ** 31 + 0.5, 1 / 3, 1 + 2 ** -23, 1 + 2 ** -12],
].flatMap((value) => [value, -value]);

const EDGES: Readonly<Record<Shape, readonly Lane[]>> = {
  i32: edges(32),
  u32: edges(32),
  i64: edges(64),
  u64: edges(64),
  f32: FLOAT_EDGES,
  f64: FLOAT_EDGES,
  i8x16: edges(8),
  u8x16: edges(8),
  i16x8: edges(16),
  u16x8: edges(16),
  i32x4: edges(32),
  u32x4: edges(32),
  i64x2: edges(64),
  u64x2: edges(64),
  f32x4: FLOAT_EDGES,
  f64x2: FLOAT_EDGES,
};

/** A small generator with a fixed seed (mulberry32): the same operands in every run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}

/** Bytes of the operands for one run of `name`; `memory` is what is there before it. */
export function operandsFor(name: InstructionName, random: Random, memory: Uint8Array): Uint8Array[] {
  const spec = specOf(name);
  const operands = spec.takes.map((type) => randomValue(type, name, random));
  if ('align' in spec) operands[0] = address(spec.align, random);
  if (name === 'memory.copy' || name === 'memory.fill') {
    const nearEnd = PAGE - random.below(40);
    operands[0] = writeLanes('i32', [random.pick([64 + random.below(200), nearEnd])]);
    operands[2] = writeLanes('i32', [random.pick([0, 1, 7, random.below(60), -1])]);
    if (name === 'memory.copy')
      operands[1] = writeLanes('i32', [random.pick([64 + random.below(200), nearEnd])]);
  }
  if (name === 'memory.grow') operands[0] = writeLanes('i32', [random.pick([0, 1, 1, 5, -1])]);
  if (name.includes('.wait') || name.includes('cmpxchg')) {
    // Half of the time the expected value is the one in memory (offset 0 and 200 below).
    const size = 'align' in spec ? spec.align : 0;
    const at = new DataView(address0(operands).buffer).getUint32(0, true) + random.pick([0, 200]);
    const length = spec.takes[1] === 'i64' ? 8 : 4;
    if (random.below(2) === 0 && at + size <= memory.length) {
      const expected = random.pick([new Uint8Array(length), random.bytes(length)]);
      expected.set(memory.subarray(at, at + size));
      operands[1] = expected;
    }
  }
  if (name.includes('.wait')) operands[2] = writeLanes('i64', [0n]);
  return operands;
}

function address0(operands: readonly Uint8Array[]): Uint8Array {
  return operands[0] ?? new Uint8Array(4);
}

function address(align: number, random: Random): Uint8Array {
  const anywhere = 64 + random.below(400);
  const whole = anywhere - (anywhere % align);
  return writeLanes('i32', [
    random.pick([whole, whole, whole, anywhere, PAGE - align, PAGE - 200 - align, PAGE - 1, -align]),
  ]);
}

function randomValue(type: ValueType, name: InstructionName, random: Random): Uint8Array {
  if (random.below(5) === 0) return random.bytes({ i32: 4, f32: 4, i64: 8, f64: 8, v128: 16 }[type]);
  if (type !== 'v128') return writeLanes(type, [random.pick(EDGES[type])]);
  const mentioned = [...name.matchAll(/[if]\d+x\d+/g)].map(([shape]) => shape.replace('i7', 'i8') as Shape);
  const shape = random.pick<Shape>(mentioned.length > 0 ? mentioned : ['i8x16', 'i32x4', 'i64x2']);
  return writeLanes(
    shape,
    Array.from({ length: laneCount(shape) }, () => random.pick(EDGES[shape])),
  );
}
