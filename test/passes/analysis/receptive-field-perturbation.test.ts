/**
 * The receptive field against what it means: raise one input position at a time and see which outputs change. Weights
 * and inputs are positive and every op is monotone, so no influence cancels.
 */
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { mapAt } from '#ir/window.ts';
import { receptiveFields } from '#passes/analysis/receptive-field.ts';

const LENGTH = 72;

type Step =
  | { readonly op: 'conv'; readonly k: number; readonly s: number; readonly d: number; readonly p: number }
  | { readonly op: 'transposed'; readonly k: number; readonly s: number; readonly p: number }
  | { readonly op: 'average'; readonly k: number; readonly s: number }
  | { readonly op: 'nearest'; readonly scale: number }
  | { readonly op: 'pad'; readonly begin: number; readonly end: number }
  | { readonly op: 'crop'; readonly begin: number }
  | { readonly op: 'branch'; readonly k: number }
  | { readonly op: 'concat'; readonly k: number };

const small = (min: number, max: number) => fc.integer({ min, max });
const downward: fc.Arbitrary<Step>[] = [
  fc.record({ op: fc.constant('average'), k: small(1, 3), s: small(1, 3) }),
  fc.record({ op: fc.constant('pad'), begin: small(0, 3), end: small(0, 3) }),
  fc.record({ op: fc.constant('crop'), begin: small(0, 2) }),
  fc.record({ op: fc.constant('branch'), k: fc.constantFrom(1, 3, 5) }),
  fc.record({ op: fc.constant('concat'), k: fc.constantFrom(1, 2, 3) }),
];
const dilated: fc.Arbitrary<Step> = fc.record({
  op: fc.constant('conv'),
  k: small(1, 3),
  s: small(1, 3),
  d: small(1, 3),
  p: small(0, 2),
});
const upward: fc.Arbitrary<Step>[] = [
  fc.record({ op: fc.constant('transposed'), k: small(1, 4), s: small(1, 3), p: small(0, 1) }),
  fc.record({ op: fc.constant('nearest'), scale: small(2, 3) }),
];
const dense: fc.Arbitrary<Step> = fc.record({
  op: fc.constant('conv'),
  k: small(1, 3),
  s: small(1, 3),
  d: fc.constant(1),
  p: small(0, 2),
});

function weight(b: Builder, k: number): Value {
  return b.constant('w', f32([1, 1, k], new Array<number>(k).fill(1 / k)));
}

const sizeOf = (x: Value): number => x.type.shape[2] ?? 0;

function apply(b: Builder, x: Value, step: Step): Value {
  const one = { strides: [1], dilations: [1] };
  switch (step.op) {
    case 'conv':
      return b.conv(x, weight(b, step.k), { strides: [step.s], dilations: [step.d], pads: [step.p, step.p] });
    case 'transposed': {
      const attrs = { ...one, strides: [step.s], pads: [step.p, step.p], group: 1, outputPadding: [0] };
      return b.op('ConvTranspose', [x, weight(b, step.k)], attrs);
    }
    case 'average':
      return b.op('AveragePool', [x], { ...one, kernel: [step.k], strides: [step.s], pads: [0, 0] });
    case 'nearest':
      return b.op('Resize', [x], {
        mode: 'nearest',
        coordinates: 'asymmetric',
        nearestMode: 'floor',
        scales: [1, 1, step.scale],
        sizes: [1, x.type.shape[1] ?? 1, sizeOf(x) * step.scale],
      });
    case 'pad':
      return b.op('Pad', [x], { pads: [0, 0, step.begin, 0, 0, step.end] });
    case 'crop': {
      const sizes = [1, 1, Math.max(1, sizeOf(x) - step.begin)];
      return b.op('Slice', [x], {
        starts: [0, 0, sizeOf(x) > step.begin ? step.begin : 0],
        steps: [1, 1, 1],
        sizes,
      });
    }
    case 'branch': {
      const side = (step.k - 1) / 2;
      return b.add(x, b.conv(x, weight(b, step.k), { pads: [side, side] }));
    }
    case 'concat': {
      const other = b.conv(x, weight(b, step.k), { pads: [step.k - 1, 0] });
      const both = b.op('Concat', [x, other], { axis: 1 });
      return b.conv(both, b.constant('mix', f32([1, 2, 1], [0.5, 0.5])));
    }
  }
}

function build(steps: readonly Step[]): { graph: Graph; result: Value } {
  const b = new Builder();
  let x = b.input('x', [1, 1, LENGTH]);
  for (const step of steps) if (sizeOf(x) >= 12 && sizeOf(x) <= 300) x = apply(b, x, step);
  b.output('y', x);
  return { graph: b.graph, result: x };
}

/** For each output position, the input positions that change it. */
function influence(graph: Graph, result: Value): number[][] {
  const run = (raised: number) => {
    const values = Array.from({ length: LENGTH }, (_, i) => (i === raised ? 2 : 1));
    const outputs = evaluateGraph(graph, new Map([['x', f32([1, 1, LENGTH], values)]]));
    return outputs.get(result)?.data ?? [];
  };
  const base = run(-1);
  const seen = Array.from({ length: base.length }, (): number[] => []);
  for (let i = 0; i < LENGTH; i++) {
    const changed = run(i);
    for (const [o, list] of seen.entries()) if (changed[o] !== base[o]) list.push(i);
  }
  return seen;
}

/** Positions whose field was compared exactly. */
let compared = 0;

function check(steps: readonly Step[], exact: boolean): void {
  const { graph, result } = build(steps);
  const moving = receptiveFields(graph).traces.get(result)?.[0]?.axes[0]?.moving;
  if (!moving) throw new Error('the field was lost');
  influence(graph, result).forEach((seen, o) => {
    const [start, size] = mapAt(moving.map, o);
    for (const i of seen) expect(i >= start && i < start + size).toBe(true);
    // away from the border, where no padding cuts off what a position would see
    if (!exact || start < LENGTH / 4 || start + size > (3 * LENGTH) / 4) return;
    compared++;
    const hull = seen.length === 0 ? [] : [seen[0], seen.at(-1)];
    expect({ o, hull }).toEqual({ o, hull: size === 0 ? [] : [start, start + size - 1] });
  });
}

beforeEach(() => {
  compared = 0;
});

test('the field is the hull of influence: dense windows and upsampling', () => {
  const steps = fc.array(fc.oneof(dense, ...downward, ...upward), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(steps, (list) => check(list, true)),
    { numRuns: 40 },
  );
  expect(compared).toBeGreaterThan(200);
});

test('the field is the hull of influence: dilation', () => {
  const steps = fc.array(fc.oneof(dilated, ...downward), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(steps, (list) => check(list, true)),
    { numRuns: 40 },
  );
  expect(compared).toBeGreaterThan(200);
});

test('dilation over upsampling: nothing outside the field has influence', () => {
  const steps = fc.array(fc.oneof(dilated, ...downward, ...upward), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(steps, (list) => check(list, false)),
    { numRuns: 40 },
  );
});
