import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import wabt from 'wabt';
import {
  type Ex,
  type FunctionBody,
  ModuleBuilder,
  type ModuleOptions,
  op,
  type ValueType,
} from '#compiler/targets/wasm/encoder/index.ts';
import { INSTRUCTION_NAMES, type InstructionName } from '#compiler/targets/wasm/encoder/instructions.ts';
import { type AnyEffect, anyOp, specOf, variants } from './variants.ts';

const assembler = await wabt();
const FEATURES = { simd: true, bulk_memory: true, sat_float_to_int: true, sign_extension: true };

/** Answers of a random source; `choose(n)` is below `n`. */
type Choose = (limit: number) => number;

const TYPES = ['i32', 'i64', 'f32', 'f64', 'v128'] as const satisfies readonly ValueType[];
const PLAIN = INSTRUCTION_NAMES.filter((name) => !/relaxed|atomic/.test(name));
const GIVING = Object.fromEntries(
  TYPES.map((type) => [type, PLAIN.filter((name) => specOf(name).gives[0] === type)]),
);
const EFFECTS = PLAIN.filter((name) => specOf(name).gives.length === 0);

function pick<T>(items: readonly T[], choose: Choose): T {
  const item = items[choose(items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

function expression(type: ValueType, leaves: readonly Ex[], depth: number, choose: Choose): Ex {
  const fitting = leaves.filter((leaf) => leaf.type === type);
  if (fitting.length > 0 && (depth <= 0 || choose(3) === 0)) return pick(fitting, choose);
  if (depth <= 0) return anyOp(`${type}.const`, ...pick(variants(`${type}.const`), choose).args);
  return instructionOf(pick(GIVING[type] ?? [], choose), leaves, depth, choose, anyOp);
}

function instructionOf<T>(
  name: InstructionName,
  leaves: readonly Ex[],
  depth: number,
  choose: Choose,
  make: (name: InstructionName, ...args: unknown[]) => T,
): T {
  const operands = specOf(name).takes.map((type) => expression(type, leaves, depth - 1, choose));
  return make(name, ...operands, ...pick(variants(name), choose).args);
}

function statements(body: FunctionBody, leaves: readonly Ex[], depth: number, choose: Choose): void {
  const condition = (): Ex<'i32'> => expression('i32', leaves, 2, choose) as Ex<'i32'>;
  const inner = (): void => statements(body, leaves, depth - 1, choose);
  // Not empty: the text format does not tell an empty `else` from none.
  const otherwise = (): void => {
    inner();
    body.drop(condition());
  };
  for (let count = choose(4); count > 0; count -= 1) {
    const kind = choose(depth > 0 ? 8 : 3);
    switch (kind) {
      case 0:
        instructionOf(pick(EFFECTS, choose), leaves, 3, choose, body.op.bind(body) as AnyEffect);
        break;
      case 1:
        body.drop(expression(pick(TYPES, choose), leaves, 4, choose));
        break;
      case 2: {
        const local = body.local<ValueType>(pick(TYPES, choose));
        body.set(local, expression(local.type, leaves, 3, choose) as never);
        break;
      }
      case 3:
        body.if(condition(), inner, choose(2) === 0 ? otherwise : undefined);
        break;
      case 4:
        body.loop((again) => {
          inner();
          body.brIf(again, condition());
        });
        break;
      case 5:
        body.block((done) => {
          body.brTable(condition(), [done, done], done);
          inner();
        });
        break;
      case 6:
        body.count(choose(9), choose(2) === 0 ? choose(20) : condition(), 1 + choose(3), inner);
        break;
      default:
        body.block((done) => {
          inner();
          body.br(done);
        });
    }
  }
}

/** A module that only a validator is meant to see. */
function randomModule(choose: Choose, options: ModuleOptions = {}): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(options);
  const placement = pick([{ import: { module: 'm', name: 'é' } }, { export: 'memory' }, {}], choose);
  module.memory({ ...placement, initial: 2, ...(choose(2) === 0 ? { maximum: 300 } : {}) });
  const globals = TYPES.map((type) =>
    module.global({ type, mutable: choose(2) === 0, init: expression(type, [], 0, choose) as never }),
  );
  const functions = Array.from({ length: 1 + choose(5) }, (_, index) => {
    const params = Object.fromEntries(
      Array.from({ length: choose(5) }, (_, i) => [`p${i}`, pick(TYPES, choose)]),
    );
    const results = choose(2) === 0 ? ([] as const) : ([pick(TYPES, choose)] as const);
    return module.declare({
      name: `function ${index}`,
      params,
      results,
      ...(choose(2) === 0 ? { export: `f${index}` } : {}),
    });
  });
  for (const func of functions) {
    module.define(func, (body: FunctionBody, params) => {
      const leaves = [...Object.values(params), ...globals];
      statements(body, leaves, 3, choose);
      const [type] = func.results;
      return (type === undefined ? undefined : expression(type, leaves, 3, choose)) as never;
    });
  }
  module.data(
    choose(100_000),
    Uint8Array.from({ length: choose(300) }, () => choose(256)),
  );
  return module.build();
}

/** A pure stream of choices from a seed. */
function chooser(seed: number): Choose {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('random modules', () => {
  it('are valid to wabt and to the engine, and the same each time', () => {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (seed, names) => {
        const bytes = randomModule(chooser(seed), { names });
        const parsed = assembler.readWasm(bytes, { readDebugNames: true, ...FEATURES });
        parsed.validate();
        parsed.destroy();
        expect(WebAssembly.validate(bytes)).toBe(true);
        expect(Buffer.compare(bytes, randomModule(chooser(seed), { names }))).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it('survive a round trip through the text format', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const bytes = randomModule(chooser(seed));
        const parsed = assembler.readWasm(bytes, { readDebugNames: true, ...FEATURES });
        const again = assembler.parseWat('again', parsed.toText({}), FEATURES);
        expect(Buffer.compare(again.toBinary({}).buffer, bytes)).toBe(0);
        parsed.destroy();
        again.destroy();
      }),
      { numRuns: 50 },
    );
  });
});

describe('a module', () => {
  it('without content is a header', () => {
    expect([...new ModuleBuilder().build()]).toEqual([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  });

  it('shares types between functions', () => {
    const module = new ModuleBuilder();
    for (const name of ['a', 'b'])
      module.func({ name, params: { x: 'i32' }, results: ['i32'] }, (_, { x }) => x);
    module.func({ name: 'c', params: { x: 'i32' }, results: [] }, () => {});
    const text = assembler.readWasm(module.build(), {}).toText({});
    expect(text.match(/\(type \(;\d+;\) \(func/g)).toHaveLength(2);
  });

  it('imports a shared memory, keeps globals and places data', () => {
    const module = new ModuleBuilder();
    module.memory({ import: { module: 'env', name: 'memory' }, initial: 1, maximum: 2, shared: true });
    const total = module.global({ type: 'i32', mutable: true, init: 40, export: 'total' });
    module.data(65_532, Uint8Array.of(1, 2, 3, 4));
    module.func({ name: 'more', params: { by: 'i32' }, results: [], export: 'more' }, (body, { by }) => {
      body.set(total, op('i32.add', total, by));
    });
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory } });
    (exports.more as (by: number) => void)(2);
    expect((exports.total as WebAssembly.Global).value).toBe(42);
    expect([...new Uint8Array(memory.buffer).slice(65_532)]).toEqual([1, 2, 3, 4]);
  });

  it('carries function names when asked to', () => {
    const build = (names: boolean): Uint8Array<ArrayBuffer> => {
      const module = new ModuleBuilder({ names });
      module.func({ name: 'f32_conv_3x3', params: {}, results: [] }, () => {});
      return module.build();
    };
    const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(build(true)), 'name');
    expect(new TextDecoder().decode(section)).toContain('f32_conv_3x3');
    expect(WebAssembly.Module.customSections(new WebAssembly.Module(build(false)), 'name')).toEqual([]);
    expect(assembler.readWasm(build(true), { readDebugNames: true }).toText({})).toContain('$f32_conv_3x3');
  });

  it('rejects what an engine would reject', () => {
    const fresh =
      (...uses: readonly ((module: ModuleBuilder) => void)[]) =>
      () => {
        const module = new ModuleBuilder();
        for (const use of uses) use(module);
        module.build();
      };
    const touch = (m: ModuleBuilder) =>
      m.func({ name: 'f', params: {}, results: [] }, (body) => body.store('i32.store', 0, 0));
    expect(fresh(touch)).toThrow('f needs a memory');
    expect(fresh((m) => m.data(0, Uint8Array.of(1)))).toThrow('a data segment needs a memory');
    expect(fresh((m) => m.memory({ initial: 1, shared: true }))).toThrow('needs a maximum');
    expect(fresh((m) => m.memory({ initial: 3, maximum: 2 }))).toThrow('maximum below initial');
    expect(fresh((m) => m.memory({ initial: 65_537 }))).toThrow('65537 pages');
    const memory = (m: ModuleBuilder) => m.memory({ initial: 1 });
    expect(fresh(memory, memory)).toThrow('a memory already');
    expect(fresh(memory, (m) => m.data(65_535, Uint8Array.of(1, 2)))).toThrow('outside');
    expect(fresh((m) => m.declare({ name: 'f', params: {}, results: [] }))).toThrow(
      'f is declared but not defined',
    );
    expect(
      fresh(
        memory,
        (m) => m.export('a', touch(m)),
        (m) => m.export('a', touch(m)),
      ),
    ).toThrow('a is exported twice');
    expect(fresh((m) => m.declare({ name: 'f', params: { '1': 'i32' }, results: [] }))).toThrow(
      'begins with a digit',
    );
    expect(fresh((m) => m.define(touch(m), () => {}))).toThrow('f is defined twice');
    expect(fresh((m) => m.global({ type: 'i32', mutable: true, init: op('i32.add', 1, 2) }))).toThrow(
      'constant',
    );
    const constant = (m: ModuleBuilder) => m.global({ type: 'i32', mutable: false, init: 1 });
    expect(
      fresh((m) => m.func({ name: 'f', params: {}, results: [] }, (body) => body.set(constant(m), 2))),
    ).toThrow('global 0 is not mutable');
  });
});
