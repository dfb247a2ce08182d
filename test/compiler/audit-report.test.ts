import { describe, expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { auditSchema } from '#compiler/audit/schema.ts';
import { renderSvg } from '#compiler/files/svg.ts';
import { bytes, grouped, percent, short } from '#compiler/report/format.ts';
import { renderCsv, renderDot, renderJson, renderMarkdown, renderTable } from '#compiler/report/index.ts';
import { Builder, type ConvOptions } from '#ir/builder.ts';
import type { Value } from '#ir/graph.ts';
import { absent } from '../passes/analysis/networks.ts';

const HOSTILE = '=cmd|"/C calc"!A0,<script>]]>&\u001b[31m|`\\N\n"];evil[label="';

/** A residual block whose names come from the test. */
function sample(name = 'stem', model = 'sample') {
  const b = new Builder(model);
  const x = b.input('image', [1, 3, 16, 16]);
  const stem = b.relu(b.conv(x, b.constant('w', absent([8, 3, 3, 3])), { pads: [1, 1, 1, 1], name }));
  const deep = b.conv(stem, b.constant('w', absent([8, 8, 3, 3])), {
    pads: [1, 1, 1, 1],
    name: '/a/a.0/Conv',
  });
  b.output('features', b.add(deep, stem));
  return audit(b.graph);
}

test('numbers for people', () => {
  expect([0, 864, 1000, 9_996, 300_774_272, 999_999, 4_455_531_264].map(short)).toEqual([
    '0',
    '864',
    '1.00 k',
    '10.0 k',
    '301 M',
    '1.00 M',
    '4.46 G',
  ]);
  expect([0, 1023, 1024, 13_951_264].map(bytes)).toEqual(['0 B', '1023 B', '1.00 KiB', '13.3 MiB']);
  expect([0, 0.0001, 0.036, 1].map(percent)).toEqual(['0 %', '<0.1 %', '3.6 %', '100.0 %']);
  expect(grouped(1_234_567)).toBe('1,234,567');
  expect([null].map(grouped)).toEqual(['–']);
});

describe('table', () => {
  test('totals with their units, kinds, layers in order', () => {
    const text = renderTable(sample(), { width: 120 });
    const words = (line: string) => line.trim().split(/ {2,}/);
    const lines = text.split('\n').map(words);
    expect(lines).toContainEqual(['MACs', '202,752', '203 k']);
    expect(lines).toContainEqual(['FLOPs', '405,504', '406 k', '2 × MACs']);
    expect(lines.find((l) => l[0] === 'stem')?.slice(1, 5)).toEqual([
      'standard 3×3',
      '1×8×16×16',
      '55.3 k',
      '27.3 %',
    ]);
    expect(text.indexOf('stem ')).toBeLessThan(text.indexOf('a.0 '));
    expect(text).toContain('2 more nodes have neither MACs nor parameters');
  });
  test.each([60, 80, 100, 160])('fits %i columns', (width) => {
    const report = sample('/backbone/backbone.0/very/long/path/of/modules/conv/Conv');
    const wide = renderTable(report, { width })
      .split('\n')
      .filter((line) => !line.startsWith('1 MAC') && [...line].length > width);
    expect(wide).toEqual([]);
  });
  test('colour only where asked', () => {
    expect(renderTable(sample())).not.toContain('\u001b');
    expect(renderTable(sample(), { colour: true })).toContain('\u001b[1m');
  });
  test('only the heaviest layers where there are many; modules by depth', () => {
    expect(renderTable(sample(), { rows: 1 })).toContain('… and 1 lighter layer with 27.3 % of the MACs');
    expect(renderTable(sample(), { depth: 1 })).toMatch(/^a +1 +147 k/m);
  });
});

test('JSON is the report', () => {
  const report = sample();
  expect(auditSchema.parse(JSON.parse(renderJson(report)))).toEqual(report);
});

test('CSV has one row per node', () => {
  const rows = renderCsv(sample()).trimEnd().split('\r\n');
  expect(rows).toHaveLength(5);
  expect(rows[0]?.split(',').slice(0, 6)).toEqual(['name', 'module', 'op', 'kind', 'output_shape', 'macs']);
  expect(rows[1]?.split(',').slice(0, 6)).toEqual(['stem', '', 'Conv', 'standard', '1×8×16×16', '55296']);
});

test('Markdown', () => {
  const text = renderMarkdown(sample());
  expect(text).toContain('| MACs | 202,752 | 203 k |');
  expect(text).toContain('| a.0 | standard 3×3 | 1×8×16×16 | 147,456 |');
});

describe('names from a model mean nothing in an output', () => {
  const report = sample(HOSTILE, HOSTILE);
  test('terminal: no escape codes', () => {
    expect(renderTable(report)).not.toContain('\u001b');
  });
  test('CSV: quoted, and not a formula', () => {
    expect(renderCsv(report)).toContain(`"'=cmd|""/C calc""!A0,`);
  });
  test('Markdown: no HTML, no cell of its own', () => {
    const text = renderMarkdown(report);
    expect(text).not.toContain('<script>');
    const row = text.split('\n').find((line) => line.includes('=cmd') && line.startsWith('|'));
    expect(row?.match(/(?<!\\)\|/g)).toHaveLength(10);
  });
  test('DOT: one string each', () => {
    const dot = renderDot(report);
    const outside = dot.replace(/"(?:[^"\\]|\\.)*"/gs, '""');
    expect(outside).not.toContain('evil');
    expect(dot).not.toContain('\u001b');
  });
});

describe('picture', () => {
  test('activations join their producer unless asked', () => {
    const edges = (dot: string) => dot.match(/ -> /g)?.length;
    expect(edges(renderDot(sample()))).toBe(5);
    expect(edges(renderDot(sample(), { every: true }))).toBe(6);
    expect(renderDot(sample())).toContain('→ Relu');
  });
  test('a densely connected network is drawn in seconds: shapes are in the boxes', async () => {
    const b = new Builder('dense');
    const values = [b.input('image', [1, 1, 4, 4])];
    for (let i = 0; i < 20; i++) {
      const joined = b.op('Concat', values, { axis: 1 });
      values.push(b.conv(joined, b.constant('w', absent([1, i + 1, 1, 1]))));
    }
    b.output('y', values.at(-1) ?? b.scalar(0));
    const dot = renderDot(audit(b.graph));
    expect(dot).not.toMatch(/-> .*label=/);
    expect(dot).toContain('1×1×4×4');
    expect(await renderSvg(dot)).toContain('<svg');
  }, 20_000);
  test('SVG of a hostile model is well-formed and has no script', async () => {
    const svg = await renderSvg(renderDot(sample(HOSTILE, HOSTILE)));
    expect(svg).toContain('<svg');
    expect(svg).not.toContain('<script');
    expect(svg).toContain('standard 3×3');
  });
});

describe('composites and findings', () => {
  /** Two stacked dilations, of which the second has a channel too many for its vectors; then a separable pair. */
  function network() {
    const b = new Builder('found');
    const conv = (x: Value, weight: readonly number[], options: ConvOptions = {}) =>
      b.conv(x, b.constant('w', absent(weight)), options);
    const dilations = [2, 2];
    const x = conv(b.input('image', [1, 8, 32, 32]), [8, 8, 3, 3], { dilations, name: 'first' });
    const y = conv(x, [9, 8, 3, 3], { dilations, name: 'second' });
    b.output('y', conv(conv(y, [9, 1, 3, 3], { group: 9, name: 'dw' }), [9, 9, 1, 1], { name: 'pw' }));
    return b.graph;
  }

  test('each layer says which composite it is in, and these are added up', () => {
    const report = audit(network());
    expect(report.layers.map((l) => [l.name, l.composite])).toEqual([
      ['first', null],
      ['second', null],
      ['dw', 'depthwise-separable-1'],
      ['pw', 'depthwise-separable-1'],
    ]);
    const macs = 22 * 22 * (9 * 9 + 9 * 9);
    expect(report.byComposite).toEqual([
      {
        kind: 'depthwise-separable',
        composites: 1,
        layers: 2,
        macs,
        macsShare: macs / (report.totals.macs ?? 0),
        parameters: 9 * 9 + 9 * 9,
      },
    ]);
    expect(renderTable(report)).toMatch(/depthwise-separable +1 +2 /);
    expect(renderMarkdown(report)).toContain('| depthwise-separable | 1 | 2 |');
  });

  test('findings, in a table and in Markdown, and how many more there are', () => {
    const report = audit(network());
    expect(report.findings.map((f) => f.code)).toEqual(['gridding', 'kernels-dense', 'lanes-unfilled']);
    expect(report.moreFindings).toBe(0);
    const [first] = audit(network(), { findings: 1 }).findings;
    expect(first).toEqual(report.findings[0]);
    const short = audit(network(), { findings: 1, ignore: ['lanes-unfilled'] });
    expect(short.moreFindings).toBe(1);
    expect(renderTable(short)).toContain('\ngridding  dilations of first to second have the common factor 2');
    expect(renderTable(short)).toContain('1 more finding with --findings 2; convolith explain gridding');
    expect(renderMarkdown(short)).toContain('- **gridding**: dilations of first to second');
    const none = audit(network(), { findings: 0 });
    expect([none.findings, renderTable(none).includes('gridding')]).toEqual([[], false]);
    expect([none.moreFindings, audit(network(), { findings: 0, ignore: ['gridding'] }).moreFindings]).toEqual(
      [3, 2],
    );
    expect(renderTable(none)).toContain('3 findings with --findings 3');
  });

  test('their lines fit the width', () => {
    const text = renderTable(audit(network()), { width: 70 });
    const block = text.split('\n\n').find((part) => part.startsWith('findings\n'));
    const lines = block?.split('\n') ?? [];
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.filter((line) => [...line].length > 70)).toEqual([]);
  });
});
