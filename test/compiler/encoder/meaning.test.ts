import v8 from 'node:v8';
import { describe, expect, it } from 'vitest';
import { type FunctionBody, ModuleBuilder, type Operand } from '#compiler/targets/wasm/encoder/index.ts';
import {
  INSTRUCTION_NAMES,
  INSTRUCTIONS,
  type InstructionName,
  type ValueType,
} from '#compiler/targets/wasm/encoder/instructions.ts';
import { type Context, type Meaning, type Outcome, Trap } from './meaning.ts';
import { MAXIMUM_PAGES, MEMORY_MEANINGS, PAGE } from './memory-meanings.ts';
import { operandsFor, Random } from './operands.ts';
import { SCALAR_MEANINGS } from './scalar-meanings.ts';
import { type Lane, laneBits, readLanes, type Shape } from './shapes.ts';
import { type AnyEffect, anyOp, specOf, type Variant, variants } from './variants.ts';
import { RELAXED_MEANINGS, VECTOR_MEANINGS } from './vector-meanings.ts';

/** What every instruction means. An instruction without a meaning does not type-check. */
const MEANINGS = {
  ...SCALAR_MEANINGS,
  ...VECTOR_MEANINGS,
  ...RELAXED_MEANINGS,
  ...MEMORY_MEANINGS,
} satisfies Record<InstructionName, Meaning>;
const RUNS = 100;
const SLOT = 16;
const RESULT = 3 * SLOT;

const relaxedByDefault = variants('f32x4.relaxed_madd').every((variant) =>
  WebAssembly.validate(moduleFor('f32x4.relaxed_madd', variant)),
);
/** V8 before 12 has relaxed SIMD behind a flag. */
const behindFlag = !relaxedByDefault;
if (behindFlag) v8.setFlagsFromString('--experimental-wasm-relaxed-simd');

it('no meaning is for an instruction that the table lacks', () => {
  expect(Object.keys(MEANINGS).filter((name) => !Object.hasOwn(INSTRUCTIONS, name))).toEqual([]);
});

describe('every instruction does what it means', () => {
  for (const name of INSTRUCTION_NAMES) {
    const modules = variants(name).map((variant) => ({ variant, bytes: moduleFor(name, variant) }));
    const reason = name.includes('relaxed') ? reasonToSkip(name, modules) : undefined;
    it.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, () => {
      const runs = Math.ceil(RUNS / modules.length);
      for (const { variant, bytes } of modules) check(name, variant, bytes, runs);
    });
  }
});

function reasonToSkip(
  name: InstructionName,
  modules: readonly { bytes: Uint8Array<ArrayBuffer> }[],
): string | undefined {
  if (!modules.every(({ bytes }) => WebAssembly.validate(bytes))) return 'this engine has no relaxed SIMD';
  // V8 11 with AVX-VNNI adds the products to themselves and drops the third operand.
  return behindFlag && name === 'i32x4.relaxed_dot_i8x16_i7x16_add_s' ? 'wrong in this engine' : undefined;
}

/** `run()` loads the operands from the first slots, runs the instruction and stores its result in the fourth slot. */
function moduleFor(name: InstructionName, { args }: Variant): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  const shared = specOf(name).immediate === 'atomic' || specOf(name).immediate === 'fence';
  module.memory({ export: 'memory', initial: 1, maximum: MAXIMUM_PAGES, shared });
  const { takes, gives } = specOf(name);
  module.func({ name: 'run', params: {}, results: [], export: 'run' }, (body: FunctionBody) => {
    const operands = takes.map((type, slot) => anyOp(`${type}.load`, slot * SLOT));
    const effect = body.op.bind(body) as AnyEffect;
    if (gives[0] === undefined) {
      effect(name, ...operands, ...args);
      return;
    }
    const result = body.local<ValueType>(gives[0]);
    body.set(result, anyOp(name, ...operands, ...args) as Operand<ValueType>);
    effect(`${gives[0]}.store`, RESULT, result);
  });
  return module.build();
}

function check(
  name: InstructionName,
  { args, text }: Variant,
  bytes: Uint8Array<ArrayBuffer>,
  runs: number,
): void {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  const memory = exports.memory as WebAssembly.Memory;
  const run = exports.run as () => void;
  const random = new Random(name.length * 7919 + text.length);
  const touchesMemory = name in MEMORY_MEANINGS;
  const meaning: Meaning = MEANINGS[name];
  const initial = new Uint8Array(memory.buffer);
  initial.set(random.bytes(1024));
  initial.set(random.bytes(512), PAGE - 512);
  for (let turn = 0; turn < runs; turn += 1) {
    const before = new Uint8Array(memory.buffer);
    const operands = operandsFor(name, random, before);
    operands.forEach((operand, slot) => {
      before.set(operand, slot * SLOT);
    });
    const context: Context = { memory: touchesMemory ? before.slice() : before, immediates: args };
    const message = `${name} ${text} of ${operands.map((o) => Buffer.from(o).toString('hex')).join(', ')}`;
    const expected = attempt(() => meaning(operands, context));
    const trapped = attempt(run) === 'trap';
    if (trapped !== (expected === 'trap')) expect.fail(`${message}: ${trapped ? 'traps' : 'does not trap'}`);
    const after = new Uint8Array(memory.buffer);
    const result = after.slice(RESULT, RESULT + SLOT);
    if (expected !== 'trap' && expected !== undefined) expectAllowed(expected, result, message);
    if (touchesMemory) {
      if (expected !== 'trap' && expected !== undefined) context.memory.set(result, RESULT);
      if (Buffer.compare(after, context.memory) !== 0) expect.fail(`${message}: memory differs`);
    }
  }
}

function attempt<T>(action: () => T): T | 'trap' {
  try {
    return action();
  } catch (error) {
    if (error instanceof Trap || error instanceof WebAssembly.RuntimeError) return 'trap';
    throw error;
  }
}

function expectAllowed({ shape, lanes }: Outcome, result: Uint8Array, message: string): void {
  const found = readLanes<Shape>(shape, result);
  lanes.forEach((allowed, lane) => {
    const answers: readonly Lane[] = Array.isArray(allowed) ? allowed : [allowed];
    const actual = found[lane];
    if (!answers.some((answer) => Object.is(asLane(shape, answer), actual))) {
      expect.fail(`${message}: lane ${lane} is ${actual}, expected ${answers.join(' or ')}`);
    }
  });
}

/** `value` as a lane of that shape holds it. */
function asLane(shape: Shape, value: Lane): Lane {
  if (shape.startsWith('f')) return shape.startsWith('f32') ? Math.fround(Number(value)) : Number(value);
  const bits = laneBits(shape);
  return shape.startsWith('i') ? BigInt.asIntN(bits, BigInt(value)) : BigInt.asUintN(bits, BigInt(value));
}
