import { expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { graphLiveness } from '#passes/analysis/liveness.ts';
import { absent } from './networks.ts';

const KIB = [1, 16, 4, 4] as const;

test('a chain keeps an input and an output of one layer at a time', () => {
  const b = new Builder();
  let x = b.input('x', KIB);
  for (let i = 0; i < 5; i++) x = b.conv(x, b.constant('w', absent([16, 16, 1, 1])));
  b.output('y', x);
  const live = graphLiveness(b.graph);
  expect(live.peakBytes).toBe(2048);
  expect(live.timeline.map((t) => t.bytes)).toEqual(new Array(5).fill(2048));
});

test('elementwise results take over a dying operand, and not one that is read later', () => {
  const b = new Builder();
  const x = b.input('x', KIB);
  b.output('y', b.relu(b.relu(x)));
  expect(graphLiveness(b.graph).peakBytes).toBe(1024);

  const c = new Builder();
  const z = c.input('x', KIB);
  c.output('y', c.add(c.relu(z), z));
  expect(graphLiveness(c.graph).peakBytes).toBe(2048);
});

test('an operand that must be broadcast is not overwritten', () => {
  const b = new Builder();
  const gate = b.input('gate', [4, 1]);
  b.output('y', b.op('Mul', [b.input('x', [1, 4]), gate], {}));
  expect(graphLiveness(b.graph).buffers).toHaveLength(3);
});

test('views share their buffer, also with what reads the original later', () => {
  const b = new Builder();
  const x = b.conv(b.input('x', KIB), b.constant('w', absent([16, 16, 1, 1])));
  const view = b.op('Reshape', [x], { shape: [1, 256] });
  const changed = b.relu(view);
  b.output('y', b.add(b.op('Reshape', [changed], { shape: KIB }), x));
  const live = graphLiveness(b.graph);
  expect(live.buffers.map((buffer) => buffer.values.length)).toEqual([1, 2, 3]);
  expect(live.peakBytes).toBe(2048);
});

test('inputs live until they are read, outputs to the end', () => {
  const b = new Builder();
  const w = b.constant('w', absent([16, 16, 1, 1]));
  const first = b.conv(b.input('x', KIB), w);
  b.output('first', first);
  b.output('last', b.conv(b.conv(first, w), w));
  const live = graphLiveness(b.graph);
  expect(live.timeline.map((t) => t.bytes)).toEqual([2048, 2048, 3072]);
  expect(live.liveBytes).toBe(3072);
  expect(live.peakNode).toBe(b.graph.nodes[2]);
  const late = b.input('late', KIB);
  b.output('sum', b.add(late, b.input('other', KIB)));
  expect(graphLiveness(b.graph).timeline[0]?.bytes).toBe(4096);
});

test('a residual block: the shortcut stays alive', () => {
  const b = new Builder();
  const x = b.relu(b.input('x', KIB));
  const wide = b.conv(x, b.constant('w', absent([64, 16, 1, 1])));
  const back = b.conv(b.relu(wide), b.constant('w', absent([16, 64, 1, 1])));
  b.output('y', b.add(back, x));
  const live = graphLiveness(b.graph);
  expect(live.peakBytes).toBe(1024 + 4096 + 1024);
  const offsets = live.buffers.map((buffer) => [buffer.offset, buffer.bytes]);
  expect(offsets.every(([at = 0, bytes = 0]) => at + bytes <= live.peakBytes)).toBe(true);
});
