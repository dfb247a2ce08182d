/** Every op that is written in others means the same as its reference. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { type OpName, opDef } from '#ir/graph.ts';
import { OPS } from '#ir/ops/index.ts';
import { f32, type Tensor, tensor } from '#ir/tensor.ts';
import { type DType, elementCount, type Shape } from '#ir/types.ts';
import { expandComposites } from '#passes/canonicalize/expand-composites.ts';
import { runPass } from '#passes/pass.ts';
import { Random } from '../support/graphs.ts';

interface Case {
  readonly attrs: object;
  readonly inputs: readonly (Tensor | undefined)[];
}

/** Both ways of computing a node, its inputs being inputs of the graph. */
function bothWays(op: OpName, { attrs, inputs }: Case): [Tensor, Tensor][] {
  const build = () => {
    const b = new Builder('test');
    const values = inputs.map((t, i) => t && b.input(`input${i}`, t.type.shape, t.type.dtype));
    const node = b.node(op, values, attrs as never, { name: 'layer' });
    node.outputs.forEach((v, i) => {
      b.output(`output${i}`, v);
    });
    return b.graph;
  };
  const feeds = new Map(inputs.flatMap((t, i) => (t ? [[`input${i}`, t] as const] : [])));
  const [whole, parts] = [build(), build()];
  expect(runPass(parts, expandComposites).changes).toBeGreaterThan(0);
  expect(parts.nodes.every((n) => n.name.startsWith('layer'))).toBe(true);
  expect(parts.nodes.some((n) => n.op === op)).toBe(false);
  expect(parts.inputs.map((v) => v.name)).toEqual(whole.inputs.map((v) => v.name));
  const [want, got] = [evaluateGraph(whole, feeds), evaluateGraph(parts, feeds)];
  return whole.outputs.map(({ value }, i) => {
    const other = parts.outputs[i]?.value;
    return [want.get(value) as Tensor, (other && got.get(other)) as Tensor];
  });
}

function expectSame(op: OpName, given: Case, tolerance: number): void {
  for (const [want, got] of bothWays(op, given)) {
    expect(got.type).toEqual(want.type);
    if (want.type.dtype !== 'f32' || tolerance === 0) {
      expect(got.data).toEqual(want.data);
      continue;
    }
    want.data.forEach((w, i) => {
      const difference = Math.abs(Number(w) - Number(got.data[i]));
      const close = difference <= tolerance * Math.max(1, Math.abs(Number(w)));
      if (!close && !Object.is(w, got.data[i])) expect(got.data[i], `element ${i}`).toBe(w);
    });
  }
}

const integers = (random: Random, dtype: DType, shape: Shape, low: number, high: number): Tensor =>
  tensor(
    dtype,
    shape,
    Array.from({ length: elementCount(shape) }, () => random.integer(low, high)),
  );
const bytes = (random: Random, dtype: 'u8' | 'i8', shape: Shape): Tensor =>
  dtype === 'u8' ? integers(random, dtype, shape, 0, 255) : integers(random, dtype, shape, -128, 127);

const anyShape = (random: Random, least = 1): number[] =>
  Array.from({ length: random.integer(least, 4) }, () => random.integer(1, 5));
const scales = (random: Random, shape: Shape): Tensor => random.tensor(shape, 0.001, 0.05);

const FLOAT = 2e-5;
/** A mean that is rounded to f32 is off by as much as the elements are; small groups have little else. */
const CENTRED = 2e-4;

/** For each op, how far apart results may be, and random cases. */
const CASES: { readonly [K in OpName]?: readonly [tolerance: number, (random: Random) => Case] } = {
  LogSoftmax: [FLOAT, alongAxis],
  Hardmax: [0, alongAxis],
  LayerNormalization: [
    CENTRED,
    (random) => {
      const shape = anyShape(random);
      const axis = random.integer(0, shape.length - 1);
      const tail = shape.slice(axis);
      const bias = random.flip() ? [random.tensor(tail)] : [];
      return { attrs: { axis }, inputs: [far(random, shape), random.tensor(tail), ...bias] };
    },
  ],
  RMSNormalization: [
    FLOAT,
    (random) => {
      const shape = anyShape(random);
      const axis = random.integer(0, shape.length - 1);
      return { attrs: { axis }, inputs: [random.tensor(shape), random.tensor(shape.slice(axis))] };
    },
  ],
  InstanceNormalization: [
    CENTRED,
    (random) => {
      const shape = [...anyShape(random).slice(0, 2), 2, 3, 3].slice(0, random.integer(3, 4));
      const channels = [shape[1] ?? 1];
      return { attrs: {}, inputs: [far(random, shape), random.tensor(channels), random.tensor(channels)] };
    },
  ],
  GroupNormalization: [
    CENTRED,
    (random) => {
      const groups = random.integer(1, 3);
      const channels = groups * random.integer(1, 3);
      const shape = [random.integer(1, 2), channels, 3, random.integer(1, 3)];
      return {
        attrs: { groups },
        inputs: [far(random, shape), random.tensor([channels]), random.tensor([channels])],
      };
    },
  ],
  MeanVarianceNormalization: [
    1e-3,
    (random) => ({ attrs: { axes: [0, 2, 3] }, inputs: [random.tensor([2, 3, 3, 2])] }),
  ],
  LpNormalization: [
    FLOAT,
    (random) => {
      const given = alongAxis(random);
      return { ...given, attrs: { ...given.attrs, p: random.integer(1, 2) } };
    },
  ],
  LRN: [
    FLOAT,
    (random) => ({
      attrs: { size: random.integer(1, 6), alpha: 0.7, beta: random.between(0.5, 2), bias: 0.5 },
      inputs: [random.tensor(anyShape(random, 2))],
    }),
  ],
  LpPool: [FLOAT, pooling],
  ReduceLogSumExp: [
    FLOAT,
    (random) => {
      const shape = anyShape(random);
      const axes = shape.map((_, axis) => axis).filter(() => random.flip());
      return { attrs: { axes, keepDims: random.flip() }, inputs: [random.tensor(shape, -90, 90)] };
    },
  ],
  QuantizeLinear: [0, quantisation],
  DequantizeLinear: [0, dequantisation],
  DynamicQuantizeLinear: [
    0,
    (random) => ({
      attrs: {},
      inputs: [random.tensor(anyShape(random), random.pick([-9, -1, 0, 0.5]), random.pick([0, 1, 77]))],
    }),
  ],
  QLinearConv: [0, quantisedConv],
  QLinearMatMul: [0, quantisedProduct],
  Einsum: [FLOAT, einsum],
  Det: [
    1e-4,
    (random) => {
      const m = random.integer(1, 6);
      return { attrs: {}, inputs: [random.tensor([...anyShape(random).slice(0, 2), m, m])] };
    },
  ],
};

function alongAxis(random: Random): Case {
  const shape = anyShape(random);
  const values = random.flip() ? random.tensor(shape, -50, 50) : integers(random, 'f32', shape, -1, 1);
  return { attrs: { axis: random.integer(0, shape.length - 1) }, inputs: [values] };
}

/** Values whose mean is large beside their spread. */
const far = (random: Random, shape: Shape): Tensor => {
  const centre = random.pick([0, 3]);
  return random.tensor(shape, centre - 1, centre + 1);
};

function pooling(random: Random): Case {
  const rank = random.integer(1, 3);
  const list = (low: number, high: number, length = rank) =>
    Array.from({ length }, () => random.integer(low, high));
  const kernel = list(1, 3);
  const pads = [...kernel, ...kernel].map((k) => random.integer(0, k - 1));
  const attrs = { kernel, pads, strides: list(1, 3), dilations: list(1, 2), ceil: random.flip() };
  return { attrs: { ...attrs, p: random.integer(1, 3) }, inputs: [random.tensor([1, 2, ...list(5, 8)])] };
}

/** A shape with the shape of scales for it. */
function spread(random: Random) {
  const shape = anyShape(random);
  const axis = random.integer(0, shape.length - 1);
  const block = random.integer(1, 3);
  return random.pick([
    { shape, scale: random.flip() ? [] : [1], attrs: {} },
    { shape, scale: [shape[axis] ?? 1], attrs: { axis } },
    { shape, scale: shape.with(axis, Math.ceil((shape[axis] ?? 1) / block)), attrs: { axis, block } },
  ]);
}

function quantisation(random: Random): Case {
  const { shape, scale, attrs } = spread(random);
  const to = random.pick(['u8', 'i8', 'u16', 'i16'] as const);
  const zero = random.flip() ? [integers(random, to, scale, 0, 100)] : [];
  // halves of the scale, so that ties occur
  const x = random.flip()
    ? integers(random, 'f32', shape, -600, 600)
    : integers(random, 'i32', shape, -600, 600);
  const scaling = random.flip() ? integers(random, 'f32', scale, 1, 4) : scales(random, scale);
  return { attrs: { ...attrs, to }, inputs: [x, scaling, ...zero] };
}

function dequantisation(random: Random): Case {
  const { shape, scale, attrs } = spread(random);
  const dtype = random.pick(['u8', 'i8', 'i32', 'u16'] as const);
  const high = dtype === 'i32' ? 2 ** 31 - 1 : 127;
  const zero = random.flip() ? [integers(random, dtype, scale, 0, 100)] : [];
  return { attrs, inputs: [integers(random, dtype, shape, 0, high), scales(random, scale), ...zero] };
}

function quantisedConv(random: Random): Case {
  const group = random.integer(1, 2);
  const [cin, cout] = [group * random.integer(1, 3), group * random.integer(1, 3)];
  const [xType, wType] = [random.pick(['u8', 'i8'] as const), random.pick(['u8', 'i8'] as const)];
  const own = random.flip() ? [cout] : random.pick([[], [1]]);
  const one = random.pick([[], [1]]);
  const bias = random.flip() ? [integers(random, 'i32', [cout], -3000, 3000)] : [];
  return {
    attrs: { strides: [random.integer(1, 2), 1], dilations: [1, 1], pads: [1, 0, 1, 2], group },
    inputs: [
      bytes(random, xType, [random.integer(1, 2), cin, 4, 5]),
      scales(random, one),
      bytes(random, xType, one),
      bytes(random, wType, [cout, cin / group, 2, 3]),
      scales(random, own),
      bytes(random, wType, own),
      scales(random, one),
      bytes(random, xType, one),
      ...bias,
    ],
  };
}

function quantisedProduct(random: Random): Case {
  const [m, k, n] = [random.integer(1, 4), random.integer(1, 9), random.integer(1, 4)];
  const batch = random.pick([[], [2], [3, 1]]);
  const [aType, bType] = [random.pick(['u8', 'i8'] as const), random.pick(['u8', 'i8'] as const)];
  const rows = random.pick([[], [1], [m, 1]]);
  const columns = random.pick([[], [n], [1, n]]);
  return {
    attrs: {},
    inputs: [
      bytes(random, aType, [...batch, m, k]),
      scales(random, rows),
      bytes(random, aType, rows),
      bytes(random, bType, [k, n]),
      scales(random, columns),
      bytes(random, bType, columns),
      scales(random, []),
      bytes(random, aType, [1]),
    ],
  };
}

function einsum(random: Random): Case {
  const size: Record<string, number> = { i: 2, j: 3, k: 4, b: 2, c: 3 };
  const equations = [
    'ij,jk->ik',
    'bij,bjk->bik',
    'ij,kj',
    'ij->ji',
    'ii->i',
    'ii',
    'iji->j',
    'iii->i',
    'ij->',
    'i,j->ij',
    'i,i',
    'bij,bkj,k->bi',
    'bci,bcj->bij',
    '...ij,...jk->...ik',
    '...i->...',
    'b...c,c->b...',
    'ijk,jk',
    'ji,kj,ik',
  ];
  const equation = random.pick(equations);
  const left = equation.split('->')[0] ?? '';
  const terms = left.split(',');
  const hidden = [2, 3].slice(random.integer(0, 2));
  const inputs = terms.map((term) =>
    [...term.replace('...', '.')].flatMap((label) => {
      if (label === '.') return random.flip() ? hidden : hidden.map((s) => (random.flip() ? 1 : s));
      return [size[label] ?? 1];
    }),
  );
  return { attrs: { equation }, inputs: inputs.map((shape) => random.tensor(shape)) };
}

const composites = (Object.keys(OPS) as OpName[]).filter((op) => opDef(op).decompose);

test('every op that has a decomposition is tested', () => {
  expect(Object.keys(CASES).sort()).toEqual([...composites].sort());
});

describe('the decomposition means what the reference says', () => {
  test.each(Object.keys(CASES) as OpName[])('%s', (op) => {
    const [tolerance, make] = CASES[op] ?? [0, () => ({ attrs: {}, inputs: [] })];
    fc.assert(
      fc.property(fc.nat(), (seed) => expectSame(op, make(new Random(seed)), tolerance)),
      { numRuns: 60 },
    );
  });
});

test('values at the ends: infinities, zeros, empty ranges', () => {
  const ends = f32([2, 3], [-Infinity, -Infinity, -Infinity, Infinity, 0, -Infinity]);
  expectSame('ReduceLogSumExp', { attrs: { axes: [1] }, inputs: [ends] }, 0);
  expectSame('LpNormalization', { attrs: { axis: 1 }, inputs: [f32([2, 2], [0, 0, 3, 4])] }, 1e-7);
  expectSame('DynamicQuantizeLinear', { attrs: {}, inputs: [f32([3], [0, 0, 0])] }, 0);
  expectSame('Det', { attrs: {}, inputs: [f32([2, 2], [0, 1, 0, 2])] }, 0);
  expectSame('Hardmax', { attrs: { axis: 0 }, inputs: [f32([3], [1, Number.NaN, 2])] }, 0);
});

test('values far from zero keep their spread: the variance is that of centred values', () => {
  const random = new Random(5);
  const [x, scale, bias] = [random.tensor([1, 4, 8, 8], 999, 1001), random.tensor([4]), random.tensor([4])];
  for (const op of ['InstanceNormalization', 'GroupNormalization'] as const) {
    const attrs = op === 'GroupNormalization' ? { groups: 2 } : {};
    expectSame(op, { attrs, inputs: [x, scale, bias] }, 2e-4);
  }
});

test('an exact integer einsum stays exact', () => {
  const big = tensor('i64', [2, 1], [2n ** 62n - 1n, 3n]);
  const other = tensor('i64', [1, 2], [1n, -1n]);
  const given = { attrs: { equation: 'ij,jk->ik' }, inputs: [big, other] };
  for (const [want, got] of bothWays('Einsum', given)) {
    expect(want.data).toEqual(BigInt64Array.of(2n ** 62n - 1n, 1n - 2n ** 62n, 3n, -3n));
    expect(got.data).toEqual(want.data);
  }
});

test('what cannot be written in others is refused with a reason', () => {
  const b = new Builder('large');
  b.output('y', b.op('Det', [b.input('x', [40, 40])], {}));
  expect(runPass(b.graph, expandComposites).refusals.map((r) => r.reason)).toEqual([
    'Det has no decomposition in this form',
  ]);
});
