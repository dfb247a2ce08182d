import { describe, expect, it } from 'vitest';
import { FunctionEmitter } from '#compiler/targets/wasm/encoder/emitter.ts';
import {
  call,
  EncoderError,
  type Ex,
  type FunctionBody,
  f32,
  i32,
  i64,
  type Label,
  load,
  ModuleBuilder,
  op,
  select,
  tee,
  v128,
} from '#compiler/targets/wasm/encoder/index.ts';

/** Instantiates one function over one page of memory, and calls it. */
function run(
  define: (body: FunctionBody<readonly ['i32']>, x: Ex<'i32'>) => Ex<'i32'> | undefined,
  argument = 0,
): number {
  const module = new ModuleBuilder();
  module.memory({ initial: 1 });
  module.func({ name: 'f', params: { x: 'i32' }, results: ['i32'], export: 'f' }, (body, { x }) =>
    define(body, x),
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()));
  return (exports.f as (x: number) => number)(argument);
}

/** The code of a function without parameters and results. */
function code(define: (body: FunctionBody<readonly []>) => void): number[] {
  const emitter = new FunctionEmitter({}, [], {});
  const module = new ModuleBuilder();
  module.memory({ initial: 1 });
  module.func({ name: 'f', params: {}, results: [] }, define);
  expect(emitter.finish()).toEqual(Uint8Array.of(0, 0x0b));
  const bytes = [...module.build()];
  // Header, type, function and memory sections are 8, 6, 4 and 5 bytes; then the code section's id, size, count and size.
  return bytes.slice(8 + 6 + 4 + 5 + 4);
}

describe('emitted code', () => {
  it('is the tree in post-order', () => {
    const bytes = code((body) =>
      body.store('i32.store', op('i32.add', 1, op('i32.mul', 2, 3)), load('i32.load', 4)),
    );
    expect(bytes).toEqual([0, 0x41, 1, 0x41, 2, 0x41, 3, 0x6c, 0x6a, 0x41, 4, 0x28, 2, 0, 0x36, 2, 0, 0x0b]);
  });

  it('declares locals by type, in order of first use of the type', () => {
    const bytes = code((body) => {
      const [a, b, c, d] = [body.local('v128'), body.local('i32'), body.local('v128'), body.local('i32')];
      body.set(b, d);
      body.set(a, c);
    });
    expect(bytes).toEqual([2, 2, 0x7b, 2, 0x7f, 0x20, 3, 0x21, 2, 0x20, 1, 0x21, 0, 0x0b]);
  });

  it('of a deep tree does not exhaust the stack', () => {
    expect(
      run((_, x) => {
        let sum = x;
        for (let term = 0; term < 20_000; term += 1) sum = op('i32.add', sum, 1);
        return sum;
      }, 7),
    ).toBe(20_007);
  });

  it('of a constant count without iterations is empty', () => {
    expect(code((body) => body.count(4, 4, 1, () => body.unreachable()))).toEqual([0, 0x0b]);
    expect(code((body) => body.count(4, 8, -1, () => body.unreachable()))).toEqual([0, 0x0b]);
  });
});

describe('statements', () => {
  it.each([
    [0, 10, 1],
    [0, 10, 3],
    [5, -5, -2],
    [-8, 8, 4],
    [3, 3, 1],
    [2147483640, 2147483646, 2],
  ])('count from %d to %d by %d', (start, end, step) => {
    let expected = 0;
    for (let i = start; step > 0 ? i < end : i > end; i += step) expected = (Math.imul(expected, 31) + i) | 0;
    const body = (bounds: (n: number, b: FunctionBody) => number | Ex<'i32'>) => (b: FunctionBody) => {
      const sum = b.local('i32');
      b.count(bounds(start, b), bounds(end, b), step, (i) =>
        b.set(sum, op('i32.add', op('i32.mul', sum, 31), i)),
      );
      return sum;
    };
    expect(run(body((n) => n))).toBe(expected);
    expect(
      run(
        body((n, b) => {
          const bound = b.local('i32');
          b.set(bound, n);
          return bound;
        }),
      ),
    ).toBe(expected);
  });

  it('count unsigned addresses across 2 GiB', () => {
    expect(
      run((body) => {
        const turns = body.local('i32');
        body.count(0x7fff_fff0, 0x8000_0010, 16, () => body.set(turns, op('i32.add', turns, 1)), {
          unsigned: true,
        });
        return turns;
      }),
    ).toBe(2);
    expect(() => code((body) => body.count(0x7fff_fff0, 0x8000_0010, 16, () => {}))).toThrow(/32-bit range/);
    expect(() => code((body) => body.count(8, 0, -3, () => {}, { unsigned: true }))).toThrow(/32-bit range/);
    expect(() => code((body) => body.count(0, 8, 0, () => {}))).toThrow(/step 0/);
  });

  it('leave a count early', () => {
    expect(
      run((body, x) => {
        const last = body.local('i32');
        body.count(0, 100, 1, (i, leave) => {
          body.brIf(leave, op('i32.eq', i, x));
          body.set(last, i);
        });
        return last;
      }, 42),
    ).toBe(41);
  });

  it('branch by if, loop, block and table', () => {
    const collatz = (body: FunctionBody, x: Ex<'i32'>): Ex<'i32'> => {
      const [n, steps] = [body.local('i32'), body.local('i32')];
      body.set(n, x);
      body.block((done) => {
        body.loop((again) => {
          body.brIf(done, op('i32.le_s', n, 1));
          body.if(
            op('i32.and', n, 1),
            () => body.set(n, op('i32.add', op('i32.mul', n, 3), 1)),
            () => body.set(n, op('i32.shr_u', n, 1)),
          );
          body.set(steps, op('i32.add', steps, 1));
          body.br(again);
        });
      });
      return steps;
    };
    expect(run(collatz, 27)).toBe(111);

    const table = (body: FunctionBody, x: Ex<'i32'>): Ex<'i32'> => {
      const result = body.local('i32');
      body.block((out) => {
        body.block((other) => {
          body.block((one) => {
            body.block((zero) => body.brTable(x, [zero, one], other));
            body.set(result, 100);
            body.br(out);
          });
          body.set(result, 101);
          body.br(out);
        });
        body.set(result, -1);
      });
      return result;
    };
    expect([0, 1, 2, -1].map((x) => run(table, x))).toEqual([100, 101, -1, -1]);
  });

  it('return, select and tee', () => {
    expect(
      run((body, x) => {
        const y = body.local('i32');
        body.if(op('i32.lt_s', x, 0), () => body.return(op('i32.sub', 0, x)));
        body.return(op('i32.add', tee(y, select(x, 1000, op('i32.lt_s', x, 10))), y));
      }, 7),
    ).toBe(14);
  });

  it('pass arguments by name, in the order of the parameters', () => {
    const module = new ModuleBuilder();
    const later = module.declare({ name: 'sub', params: { a: 'i32', b: 'i32' }, results: ['i32'] });
    module.func({ name: 'f', params: {}, results: ['i32'], export: 'f' }, () => call(later, { b: 3, a: 10 }));
    module.define(later, (_, { a, b }) => op('i32.sub', a, b));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()));
    expect((exports.f as () => number)()).toBe(7);
  });
});

describe('mistakes in the types are errors when the program is built', () => {
  const vector = v128('f32x4', 1, 2, 3, 4);
  const wrong: Readonly<Record<string, () => void>> = {
    // @ts-expect-error an i64 constant for an i32
    bigint: () => op('i32.add', 1, 2n),
    // @ts-expect-error a scalar for a vector
    scalar: () => op('f32x4.add', vector, f32(1)),
    // @ts-expect-error an operand is missing
    few: () => op('i32.add', 1),
    // @ts-expect-error an operand too many
    many: () => op('i32.add', 1, 2, 3),
    // @ts-expect-error a store gives no value
    effect: () => op('i32.store', 1, 2),
    // @ts-expect-error the lane is missing
    lane: () => op('f32x4.extract_lane', vector),
    // @ts-expect-error three lanes
    lanes: () => v128('f32x4', 1, 2, 3),
    // @ts-expect-error an atomic access has its natural alignment
    atomic: () => op('i32.atomic.load', 0, { align: 2 }),
    select: () => select(i32(1), i64(2n) as never, 1),
    range: () => i32(2 ** 32),
    fraction: () => i32(0.5),
    laneRange: () => op('f32x4.extract_lane', vector, 4),
    shuffleRange: () => op('i8x16.shuffle', vector, vector, new Array(16).fill(32)),
    shuffleCount: () => op('i8x16.shuffle', vector, vector, [0, 1]),
    overAligned: () => load('i32.load', 0, { align: 8 }),
    oddAligned: () => load('i32.load', 0, { align: 3 }),
    negativeOffset: () => load('i32.load', 0, { offset: -4 }),
    laneValue: () => v128('i32x4', 0, 0, 0, 2 ** 32),
  };
  it.each(Object.keys(wrong))('%s', (name) => {
    expect(wrong[name]).toThrow(EncoderError);
  });
});

describe('mistakes in the statements are errors when the program is built', () => {
  const define = (statements: (body: FunctionBody<readonly []>) => unknown) => () =>
    code((body) => {
      statements(body);
    });
  const lie = (value: Ex<'f32'>) => ({ ...value, type: 'i32' }) as unknown as Ex<'i32'>;

  it('a tree that lies about its type', () => {
    expect(define((body) => body.drop(op('i32.add', lie(f32(1)), 1)))).toThrow(
      'i32.add: expected i32, got f32',
    );
  });
  it('a value of another type for a local', () => {
    // @ts-expect-error f32 is not i32
    expect(define((body) => body.set(body.local('i32'), f32(1)))).toThrow('expected i32, got f32');
  });
  it('a local of another function', () => {
    let foreign: Ex<'i32'> = i32(0);
    define((body) => {
      foreign = body.local('i32');
    })();
    expect(define((body) => body.drop(foreign))).toThrow('another function');
  });
  it('a local outside the range', () => {
    expect(define((body) => body.locals('v128', 4).at(4))).toThrow('local 4 of 4 v128 locals');
  });
  it('a branch out of scope', () => {
    expect(
      define((body) => {
        let escaped: Label | undefined;
        body.block((label) => {
          escaped = label;
        });
        if (escaped !== undefined) body.br(escaped);
      }),
    ).toThrow('not open here');
  });
  it('a function or a global of another module', () => {
    const other = new ModuleBuilder();
    const f = other.declare({ name: 'g', params: {}, results: [] });
    const global = other.global({ type: 'i32', mutable: true, init: 1 });
    expect(define((body) => body.call(f, {}))).toThrow('function g belongs to another module');
    expect(define((body) => body.drop(global))).toThrow('another module');
  });
  it('a missing or superfluous result', () => {
    expect(() => run(() => undefined)).toThrow('in f: result: expected i32');
    expect(define((body) => (body.return as (...values: unknown[]) => void)(i32(1)))).toThrow(
      'return: expected 0 values',
    );
    const module = new ModuleBuilder();
    expect(() => module.func({ name: 'f', params: {}, results: [] }, () => 5)).toThrow(
      'in f: a function without results',
    );
  });
  it('an operand left on the stack', () => {
    const emitter = new FunctionEmitter({}, [], {});
    emitter.value(i32(1));
    expect(() => emitter.statement('this')).toThrow('this leaves i32 on the stack');
    expect(() => emitter.finish()).toThrow('leaves i32');
  });
  it('operands of the block around', () => {
    const emitter = new FunctionEmitter({}, [], {});
    const label = emitter.open('block');
    expect(() => emitter.instruction('i32.eqz', [])).toThrow('i32.eqz: expected i32, got an empty stack');
    expect(() => emitter.finish()).toThrow('1 blocks are still open');
    emitter.close(label);
  });
});
