/** Convolutions that are grouped ones, but for the order of their channels. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rewriteGraph } from '#compiler/rewrite/index.ts';
import { Builder } from '#ir/builder.ts';
import { type Graph, isOp } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { findBlocks } from '#passes/analysis/block-diagonal.ts';
import { candidates, fitForm } from '#passes/factorize/family.ts';
import { convLayer } from '#passes/factorize/layer.ts';
import { METHODS } from '#passes/factorize/methods.ts';
import { weightMoments } from '#passes/factorize/moments.ts';
import { No } from '#passes/pattern.ts';
import { compareGraphs } from '../../support/graphs.ts';
import { Random } from '../../support/random.ts';

const [CIN, COUT, GROUPS] = [8, 16, 4];

/** So many channels in an order without pattern. */
function shuffled(random: Random, count: number): readonly number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

/** Weights of groups whose input and output channels were put out of order; the group of each. */
function hidden(seed: number, cin: number, cout: number, taps: number) {
  const random = new Random(seed);
  const [reads, makes] = [shuffled(random, cin), shuffled(random, cout)];
  const ofInputs = reads.map((place) => Math.floor((place * GROUPS) / cin));
  const ofOutputs = makes.map((place) => Math.floor((place * GROUPS) / cout));
  const data = random.tensor([cout, cin, taps]).data as Float32Array;
  const weights = data.map((w, i) => {
    const [o, c] = [Math.floor(i / (cin * taps)), Math.floor(i / taps) % cin];
    return ofOutputs[o] === ofInputs[c] ? w : 0;
  });
  return { weights, ofInputs, ofOutputs };
}

function network(seed: number): { graph: Graph; first: ReturnType<typeof hidden> } {
  const b = new Builder('hidden groups');
  const first = hidden(seed, CIN, COUT, 9);
  const second = hidden(seed + 1, COUT, COUT, 9);
  const padded = { pads: [1, 1, 1, 1] };
  let x = b.input('x', [1, CIN, 8, 8]);
  x = b.conv(x, b.constant('w0', f32([COUT, CIN, 3, 3], first.weights)), { ...padded, name: 'first' });
  x = b.conv(b.relu(x), b.constant('w1', f32([COUT, COUT, 3, 3], second.weights)), {
    ...padded,
    name: 'second',
  });
  const last = new Random(seed).tensor([5, COUT, 1, 1]);
  b.output('y', b.conv(b.relu(x), b.constant('w2', last), { name: 'last' }));
  return { graph: b.graph, first };
}

const sameParts = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((x, i) => a.every((y, j) => (x === y) === (b[i] === b[j])));

test('groups that channels were put out of are found exactly', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { graph, first } = network(seed);
    const norms = Float64Array.from({ length: COUT * CIN }, (_, i) =>
      Math.hypot(...first.weights.subarray(i * 9, i * 9 + 9)),
    );
    const found = findBlocks({ rows: COUT, columns: CIN, data: norms }, GROUPS);
    expect(found.share).toBeCloseTo(1, 12);
    expect(sameParts(found.ofRows, first.ofOutputs)).toBe(true);
    expect(sameParts(found.ofColumns, first.ofInputs)).toBe(true);

    const { graph: rewritten, report } = await rewriteGraph(graph, {
      factorize: { methods: ['group'], limit: { quantity: 'macs', limit: { part: 0.3 } } },
    });
    for (const layer of report.layers?.slice(0, 2) ?? []) {
      expect(layer.form?.rank).toBe(`${GROUPS} groups`);
      expect(layer.form?.error).toBeLessThan(1e-10);
    }
    expect(compareGraphs(graph, rewritten)).toBeLessThan(1e-6);
    // of two orders around each layer, the last goes into the pointwise layer, and two that meet may cancel
    expect(rewritten.nodes.filter((n) => isOp(n, 'Gather')).length).toBeLessThanOrEqual(3);
    expect(report.after.macs).toBeLessThan(0.3 * report.before.macs);
  }
});

test('an order that stays is counted', async () => {
  const b = new Builder('one');
  const { weights } = hidden(3, CIN, COUT, 9);
  const x = b.input('x', [1, CIN, 8, 8]);
  b.output('y', b.conv(x, b.constant('w', f32([COUT, CIN, 3, 3], weights)), { name: 'only' }));
  const { graph, report } = await rewriteGraph(b.graph, {
    factorize: { methods: ['group'], limit: { quantity: 'macs', limit: { part: 0.3 } } },
  });
  const [layer] = report.layers ?? [];
  expect(graph.nodes.map((n) => n.op)).toEqual(['Gather', 'Conv', 'Gather']);
  // one read and one write of 8 channels of 8 × 8, and of 16 of 6 × 6, in f32, more than the layer alone
  const grouped = 4 * (CIN * 64 + COUT * 36 + (COUT * CIN * 9) / GROUPS + COUT);
  expect(layer?.form?.after.bytes).toBe(grouped + 4 * 2 * (CIN * 64 + COUT * 36));
});

test('what blocks do not hold is the weight error that is reported', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const b = new Builder('random');
      const weight = new Random(seed).tensor([8, 4, 3, 3]);
      b.output('y', b.conv(b.input('x', [1, 4, 6, 6]), b.constant('w', weight)));
      const [node] = b.graph.nodes;
      const layer = node && convLayer(node);
      if (!layer || layer instanceof No) throw new Error('no layer');
      for (const { error, family, option } of candidates(METHODS.group, layer, weightMoments(layer))) {
        const { weights } = fitForm({ family, option }, weightMoments(layer));
        const kept = (weights[0] ?? new Float32Array()).reduce((sum, w) => sum + w * w, 0);
        const all = layer.weight.reduce((sum, w) => sum + w * w, 0);
        expect(error).toBeCloseTo(1 - kept / all, 5);
      }
    }),
    { numRuns: 20 },
  );
});
