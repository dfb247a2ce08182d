/** Two audits compared. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import type { AuditLayer } from '#compiler/audit/schema.ts';
import { diffAudits } from '#compiler/diff/index.ts';
import { matchLayers } from '#compiler/diff/match.ts';
import { diffSchema } from '#compiler/diff/schema.ts';
import { renderDiff, renderDiffMarkdown } from '#compiler/report/diff.ts';
import { Builder } from '#ir/builder.ts';
import { Random } from '../support/graphs.ts';

interface Step {
  readonly name: string;
  readonly channels: number;
}

/** Convolutions 1×1 in a row on 4×4, of 4 channels at first. */
function stack(...steps: readonly Step[]) {
  const random = new Random(2);
  const b = new Builder('net');
  let value = b.input('x', [1, 4, 4, 4]);
  for (const { name, channels } of steps) {
    const inputs = value.type.shape[1] ?? 1;
    const weights = b.constant(`${name}.w`, random.tensor([channels, inputs, 1, 1]));
    value = b.conv(value, weights, { name });
  }
  b.output('y', value);
  return audit(b.graph);
}

const changes = (a: ReturnType<typeof stack>, b: ReturnType<typeof stack>) => {
  const report = diffAudits(a, b);
  expect(diffSchema.parse(report)).toEqual(report);
  return report.layers.map(({ change, a: x, b: y }) => `${change} ${x?.name ?? '-'} ${y?.name ?? '-'}`);
};

const A = { name: 'a', channels: 8 };
const B = { name: 'b', channels: 8 };
const C = { name: 'c', channels: 6 };

describe('layers', () => {
  test('of the same model are the same', () => {
    const report = diffAudits(stack(A, B, C), stack(A, B, C));
    expect(report).toMatchObject({ unchanged: 3, layers: [] });
    expect(renderDiff(report, { width: 80 })).toContain('all 3 nodes are the same in both');
  });

  test('that have another width are changed, and so is what reads them', () => {
    expect(changes(stack(A, B, C), stack(A, { ...B, channels: 10 }, C))).toEqual([
      'changed b b',
      'changed c c',
    ]);
  });

  test('of another name are found by their structure', () => {
    expect(changes(stack(A, B, C), stack({ ...A, name: 'p' }, { ...B, name: 'q' }, C))).toEqual([
      'renamed a p',
      'renamed b q',
    ]);
  });

  test('that have taken in a batch normalisation, under other names, are not removed and added', () => {
    const network = (names: readonly string[], folded: boolean) => {
      const random = new Random(3);
      const b = new Builder('net');
      let value = b.input('x', [1, 4, 4, 4]);
      for (const [i, name] of names.entries()) {
        const [inputs, outputs] = [4 * (i + 1), 4 * (i + 2)];
        const constant = (shape: readonly number[]) => b.constant('c', random.tensor(shape));
        value = b.conv(value, constant([outputs, inputs, 1, 1]), {
          name,
          ...(folded ? { bias: constant([outputs]) } : {}),
        });
        const vectors = [0, 1, 2, 3].map(() => constant([outputs]));
        if (!folded)
          value = b.op('BatchNormalization', [value, ...vectors], { epsilon: 1e-5 }, { name: `${name}.bn` });
        value = b.relu(value);
      }
      b.output('y', value);
      return audit(b.graph);
    };
    expect(changes(network(['p', 'q'], false), network(['c', 'd'], true))).toEqual([
      'changed p c',
      'removed p.bn -',
      expect.stringMatching(/^renamed Relu/),
      'changed q d',
      'removed q.bn -',
      expect.stringMatching(/^renamed Relu/),
    ]);
  });

  test('are added and removed where they stand', () => {
    expect(changes(stack(A, C), stack(A, B, C))).toEqual(['added - b']);
    expect(changes(stack(A, B, C), stack(A, C))).toEqual(['removed b -']);
  });
});

test('totals have both sides, and a difference in words', () => {
  const report = diffAudits(stack(A), stack({ ...A, channels: 12 }));
  expect(report.totals.macs).toEqual({ a: 512, b: 768 });
  expect(renderDiff(report, { width: 100 })).toMatch(/^macs +512 +768 +\+256 +\+50\.0 %$/m);
  expect(renderDiffMarkdown(report)).toContain('| macs | 512 | 768 | +256 | +50.0 % |');
});

/** A layer of which only what is compared matters. */
const layer = (name: string, width: number): AuditLayer =>
  ({
    name,
    module: '',
    op: 'Conv',
    label: 'x',
    outputShape: [width],
    macs: width,
    parameters: width,
  }) as AuditLayer;

const layersArbitrary = fc.array(
  fc.tuple(fc.constantFrom('', 'a', 'b', 'c', 'd', 'e'), fc.integer({ min: 1, max: 3 })),
  { maxLength: 9 },
);

test('a layer in front that moves made-up names on is the one that is added', () => {
  const counted = (...widths: readonly number[]) => widths.map((width, i) => layer(`conv${i + 1}`, width));
  const pairs = matchLayers(counted(16, 32, 64), counted(8, 16, 32, 64));
  expect(pairs.map(({ a, b }) => [a?.macs, b?.macs])).toEqual([
    [undefined, 8],
    [16, 16],
    [32, 32],
    [64, 64],
  ]);
});

test('layers that have changed places are the same', () => {
  const [a, b] = [layer('a', 1), layer('b', 2)];
  expect(matchLayers([a, b], [b, a])).toEqual([
    { a: b, b, by: 'name' },
    { a, b: a, by: 'name' },
  ]);
});

test('every layer of either side is in one pair, in the order of the second', () => {
  fc.assert(
    fc.property(layersArbitrary, layersArbitrary, (a, b) => {
      const [first, second] = [a, b].map((list) => list.map(([name, width]) => layer(name, width)));
      const pairs = matchLayers(first ?? [], second ?? []);
      expect(new Set(pairs.flatMap((pair) => pair.a ?? []))).toEqual(new Set(first));
      expect(pairs.filter((pair) => pair.a)).toHaveLength(first?.length ?? 0);
      expect(pairs.flatMap((pair) => pair.b ?? [])).toEqual(second);
      for (const { a: x, b: y, by } of pairs) {
        if (by === 'name') expect(x?.name).toBe(y?.name);
        if (by === 'structure') expect(x?.macs).toBe(y?.macs);
      }
    }),
    { seed: 5, numRuns: 300 },
  );
});
