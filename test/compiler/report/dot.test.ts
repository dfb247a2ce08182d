import { describe, expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import type { AuditReport } from '#compiler/audit/schema.ts';
import { renderSvg } from '#compiler/files/svg.ts';
import { percent } from '#compiler/report/format.ts';
import { renderDot } from '#compiler/report/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { absent } from '../../passes/analysis/networks.ts';

interface Drawn {
  /** Frames from the outermost to the one directly around it. */
  readonly frames: readonly string[];
  readonly lines: readonly string[];
}

/** The boxes of a picture by their ids, and its edges. */
function read(dot: string) {
  const boxes = new Map<string, Drawn>();
  const edges: { from: string; to: string; pen: number; label: string }[] = [];
  const open: string[] = [];
  const linesOf = (line: string) => (/[[ ]label="((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? '').split('\\n');
  for (const line of dot.split('\n').slice(2)) {
    if (/subgraph cluster_\d+ \{/.test(line)) open.push('?');
    else if (/^ +graph \[class=/.test(line)) open[open.length - 1] = linesOf(line).join('').trimEnd();
    else if (/^ +\}/.test(line)) open.pop();
    const edge = /(\w+) -> (\w+) \[penwidth=([\d.]+)/.exec(line);
    const box = /^ +(n\d+) \[/.exec(line)?.[1];
    if (edge) {
      const [, from = '', to = '', pen = ''] = edge;
      edges.push({ from, to, pen: Number(pen), label: linesOf(line).join('').replaceAll('\u00a0', '') });
    } else if (box) boxes.set(box, { frames: [...open], lines: linesOf(line) });
  }
  return { boxes, edges };
}

/** What is around each box, in the order of the network; a box goes by its second line, or its only one. */
const framed = (dot: string): readonly (readonly [string, string])[] =>
  inOrder(dot).map(({ frames, lines: [kind = '', name = kind] }) => [
    name,
    frames.map((f) => f.replace(/ {2}· {2}[\d.]+ (?:k )?MAC$/, '')).join(' > '),
  ]);

const inOrder = (dot: string): readonly Drawn[] =>
  [...read(dot).boxes].sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1))).map(([, drawn]) => drawn);

class Net {
  readonly b = new Builder('net');
  conv(x: Value, name: string, weight: readonly [number, number, number, number], group = 1): Value {
    const [, , k] = weight;
    const pads = [k, k, k, k].map((size) => (size - 1) / 2);
    return this.b.conv(x, this.b.constant('w', absent(weight)), { name: `${name}/Conv`, pads, group });
  }
  report(y: Value): AuditReport {
    this.b.output('y', y);
    return audit(this.b.graph);
  }
}

/** Two blocks of a residual and a stem; the second block has a gate. */
function blocks(): AuditReport {
  const net = new Net();
  const { b } = net;
  const block = (x: Value, path: string, gated: boolean): Value => {
    const wide = b.relu(net.conv(x, `${path}/expand`, [32, 8, 1, 1]));
    let deep = b.relu(net.conv(wide, `${path}/dw`, [32, 1, 3, 3], 32));
    if (gated) {
      const squeezed = b.relu(
        net.conv(
          b.op('GlobalAveragePool', [deep], {}, { name: `${path}/se/pool/GlobalAveragePool` }),
          `${path}/se/fc1`,
          [8, 32, 1, 1],
        ),
      );
      const gate = b.op('Sigmoid', [net.conv(squeezed, `${path}/se/fc2`, [32, 8, 1, 1])], {});
      deep = b.op('Mul', [deep, gate], {}, { name: `${path}/se/Mul` });
    }
    return b.op('Add', [net.conv(deep, `${path}/project`, [8, 32, 1, 1]), x], {}, { name: `${path}/Add` });
  };
  const stem = b.relu(net.conv(b.input('image', [1, 3, 16, 16]), '/stem', [8, 3, 3, 3]));
  return net.report(block(block(stem, '/body/body.0', false), '/body/body.1', true));
}

describe('frames', () => {
  test('composites are framed, one in another, and share the frame of a module that is the same', () => {
    const outer = 'body.1  ·  inverted-residual';
    const inner = `${outer} > body.1.se  ·  squeeze-excite`;
    expect(framed(renderDot(blocks()))).toEqual([
      ['stem', ''],
      ['body.0.expand', 'body.0  ·  inverted-residual'],
      ['body.0.dw', 'body.0  ·  inverted-residual'],
      ['body.0.project', 'body.0  ·  inverted-residual'],
      ['Add', 'body.0  ·  inverted-residual'],
      ['body.1.expand', outer],
      ['body.1.dw', outer],
      ['GlobalAveragePool', inner],
      ['body.1.se.fc1', inner],
      ['body.1.se.fc2', inner],
      ['Mul', inner],
      ['body.1.project', outer],
      ['Add', outer],
    ]);
  });

  test('a module that is left and entered again has none, nor one that is nearly all', () => {
    const net = new Net();
    const { b } = net;
    let x = net.conv(b.input('image', [1, 8, 8, 8]), '/all/stem', [8, 8, 3, 3]);
    for (const at of [0, 1]) {
      const inner = net.conv(x, `/all/left/left.${at}/first`, [8, 8, 3, 3]);
      x = net.conv(inner, `/all/left/left.${at}/second`, [8, 8, 3, 3]);
      x = net.conv(x, `/all/other${at}`, [8, 8, 3, 3]);
    }
    expect(framed(renderDot(net.report(x)))).toEqual([
      ['all.stem', ''],
      ['all.left.0.first', 'all.left.0'],
      ['all.left.0.second', 'all.left.0'],
      ['all.other0', ''],
      ['all.left.1.first', 'all.left.1'],
      ['all.left.1.second', 'all.left.1'],
      ['all.other1', ''],
    ]);
  });

  test('say what is in them', () => {
    const [frame] = inOrder(renderDot(blocks())).find((d) => d.frames[0])?.frames ?? [];
    // 16·16 positions: 8·32 + 9·32 + 32·8
    expect(frame).toBe('body.0  ·  inverted-residual  ·  205 k MAC');
  });

  test('SVG: names lie above the edges, each once', async () => {
    const svg = await renderSvg(renderDot(blocks()));
    const names = /<g class="names">(.*?)<\/g>/s.exec(svg)?.[1] ?? '';
    expect(names.match(/<text /g)).toHaveLength(3);
    expect(svg.match(/squeeze(-|&#45;)excite/g)).toHaveLength(1);
    expect(svg.lastIndexOf('class="edge')).toBeLessThan(svg.indexOf('<g class="names">'));
  });
});

describe('depth', () => {
  test('without modules, what is one thing is one box', () => {
    const net = new Net();
    const { b } = net;
    let x = b.input('image', [1, 8, 16, 16]);
    for (const at of [0, 1]) {
      x = b.relu(
        b.conv(x, b.constant('w', absent([8, 1, 3, 3])), { name: `dw${at}`, pads: [1, 1, 1, 1], group: 8 }),
      );
      x = b.relu(b.conv(x, b.constant('w', absent([8, 8, 1, 1])), { name: `pw${at}` }));
    }
    const names = inOrder(renderDot(net.report(x), { depth: 1 })).map(({ lines }) => lines[0]);
    expect(names).toEqual(['depthwise-separable-1', 'depthwise-separable-2']);
  });

  test('what is below is one box with its sums, and what it is if it is one thing', () => {
    const report = blocks();
    const [stem, first, second, ...rest] = inOrder(renderDot(report, { depth: 2 }));
    expect([stem?.lines[1], ...rest.map(({ lines }) => lines[0])]).toEqual(['stem']);
    // 3 convolutions, 2 activations, the sum
    expect(first?.lines.slice(0, 3)).toEqual(['body.0', '6 nodes, inverted-residual', '1×8×16×16']);
    const sums = report.byModule.find(({ module }) => module === 'body.0');
    expect(sums).toMatchObject({
      macs: 16 * 16 * (8 * 32 + 9 * 32 + 32 * 8),
      parameters: 8 * 32 * 2 + 9 * 32,
    });
    expect(first?.lines[3]).toBe(`205 k MAC, ${percent(sums?.macsShare ?? null)} · 800 params`);
    // with 2 convolutions, 2 activations, a pooling and a product more
    expect(second?.lines.slice(0, 2)).toEqual(['body.1', '12 nodes, inverted-residual + squeeze-excite']);
  });

  test('a module that is left and entered again is several boxes: everything flows one way', () => {
    const net = new Net();
    const { b } = net;
    let x = b.input('image', [1, 8, 16, 16]);
    const kept: Value[] = [];
    for (const at of [0, 1]) {
      x = net.conv(x, `/down/down.${at}/a`, [8, 8, 3, 3]);
      x = net.conv(x, `/down/down.${at}/b`, [8, 8, 3, 3]);
      kept.push(x);
      x = b.op('MaxPool', [x], { kernel: [2, 2], strides: [2, 2], dilations: [1, 1], pads: [0, 0, 0, 0] });
    }
    const y = net.conv(net.conv(x, '/up/a', [8, 8, 1, 1]), '/up/b', [8, 8, 1, 1]);
    const dot = renderDot(net.report(y), { depth: 1 });
    const { boxes, edges } = read(dot);
    const names = inOrder(dot).map(({ lines }) => lines[0]);
    expect(names).toEqual(['down.0', 'MaxPool', 'down.1', 'MaxPool', 'up']);
    expect(boxes.get('n0')?.lines).toEqual([
      'down.0',
      '2 nodes',
      '1×8×16×16',
      // 2 · 16·16 · 8·8·9, of 370,688
      '295 k MAC, 79.6 % · 1.15 k params',
      'field 5',
    ]);
    const number = (id: string) => Number(id.slice(1));
    for (const { from, to } of edges) {
      if (from.startsWith('n') && to.startsWith('n')) expect(number(from)).toBeLessThan(number(to));
    }
  });

  test('is around what is collapsed', () => {
    const net = new Net();
    const { b } = net;
    let x = b.relu(net.conv(b.input('image', [1, 8, 8, 8]), '/stem', [8, 8, 3, 3]));
    for (const stage of [0, 1]) {
      for (const block of [0, 1]) {
        const path = `/stage${stage}/stage${stage}.${block}`;
        x = net.conv(net.conv(x, `${path}/a`, [8, 8, 3, 3]), `${path}/b`, [8, 8, 3, 3]);
      }
    }
    expect(
      inOrder(renderDot(net.report(x), { depth: 2 })).map(({ frames, lines }) => [lines[0], frames.length]),
    ).toEqual([
      ['standard 3×3', 0],
      ['stage0.0', 1],
      ['stage0.1', 1],
      ['stage1.0', 1],
      ['stage1.1', 1],
    ]);
  });
});

test('edges are as thick as they carry bytes, and the heading says so', () => {
  const net = new Net();
  const { b } = net;
  let x = net.conv(b.input('image', [1, 1, 32, 32]), 'a', [64, 1, 1, 1]);
  for (const cin of [64, 16, 4]) x = net.conv(x, `c${cin}`, [cin / 4, cin, 1, 1]);
  const dot = renderDot(net.report(x));
  const { edges } = read(dot);
  const at = (channels: number) => edges.find((e) => e.label === `1×${channels}×32×32`)?.pen ?? 0;
  // by powers: each step of four is as much thicker as the last
  expect(at(64) - at(16)).toBeCloseTo(at(16) - at(4), 1);
  expect(at(16) - at(4)).toBeCloseTo(at(4) - at(1), 1);
  expect(at(64)).toBeGreaterThan(3 * at(1));
  expect(dot).toContain('edges by their bytes, 4.00 KiB to 256 KiB');
});

test('hard swish, spelled as four nodes, is drawn with the layer that it follows', () => {
  const net = new Net();
  const { b } = net;
  const scalar = (value: number) => b.constant('c', f32([1], [value]));
  const x = net.conv(b.input('image', [1, 8, 16, 16]), '/a', [8, 8, 1, 1]);
  const clipped = b.op('Clip', [b.add(x, scalar(3))], { min: 0, max: 6 });
  const y = b.op('Div', [b.op('Mul', [x, clipped], {}), scalar(6)], {});
  const report = net.report(y);
  expect(inOrder(renderDot(report)).map(({ lines }) => lines.at(-1))).toEqual(['→ x·Clip']);
  expect(inOrder(renderDot(report, { every: true }))).toHaveLength(5);
});

test('a picture without MACs says nothing of colours', () => {
  const b = new Builder();
  b.output('y', b.relu(b.input('x', [1, 4])));
  expect(renderDot(audit(b.graph))).not.toContain('the darker');
});
