/** What one form of a report says, the others say too. */
import { describe, expect, test } from 'vitest';
import { checkBudget, parseBudget } from '#compiler/audit/budget.ts';
import { footprintOf } from '#compiler/audit/footprint.ts';
import { audit } from '#compiler/audit/index.ts';
import { rooflineOf } from '#compiler/audit/roofline.ts';
import type { AuditReport } from '#compiler/audit/schema.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { microseconds } from '#compiler/report/footprint.ts';
import { grouped } from '#compiler/report/format.ts';
import { renderHtml } from '#compiler/report/html/index.ts';
import { renderMarkdown, renderTable } from '#compiler/report/index.ts';
import { DEVICES } from '#compiler/roofline/devices.ts';
import { Builder } from '#ir/builder.ts';
import { absent } from '../../passes/analysis/networks.ts';
import { info, node, onnxModel, stored } from '../../support/onnx.ts';

const FORMS = {
  table: (report: AuditReport) => renderTable(report, { width: 200, presets: true }),
  markdown: renderMarkdown,
  html: renderHtml,
} as const;
const forms = Object.entries(FORMS);

/** Dilated convolutions, so that fields are larger than any image of this size. */
const open = onnxModel({
  nodes: [
    node('Conv', ['x', 'w'], ['a'], { dilations: [150n, 150n], pads: [150n, 150n, 150n, 150n] }),
    node('Conv', ['a', 'w'], ['y'], { dilations: [150n, 150n], pads: [150n, 150n, 150n, 150n] }),
  ],
  inputs: [info('x', [1, 3, 'H', 'W'])],
  initializers: [stored('w', [3, 3, 3, 3], new Float32Array(81).fill(1))],
});

describe.each(forms)('%s', (_, render) => {
  test('shapes of sizes that nobody gave are examples, and are said to be', () => {
    const text = render(audit((dims) => importOnnx(open, { dims }))).replace(/\s+/g, ' ');
    expect(text).toContain(
      'H was not given: shapes and figures that depend on it are those at 224, an example',
    );
    expect(text).toContain('W was not given');
    const given = render(audit((dims) => importOnnx(open, { dims: { H: 32, W: 32, ...dims } })));
    expect(given).not.toContain('not given');
  });

  test('a preset is named, with what it counts', () => {
    const report = audit((dims) => importOnnx(open, { dims: { H: 32, W: 32, ...dims } }), {
      preset: 'tf-profiler',
    });
    const text = render(report);
    expect(text).toContain('tf-profiler');
    expect(text).toContain(report.preset.says);
    expect(text).toContain(grouped(report.totals.presets.thop));
  });

  test('memory, times and budgets are there where they were asked for', () => {
    const { graph } = importOnnx(open, { dims: { H: 32, W: 32 } });
    const [device] = DEVICES;
    const footprint = footprintOf(graph);
    const roofline = rooflineOf(graph, { kind: 'dataSheet', device });
    const whole = { ...audit(graph), footprint, roofline };
    const text = render({ ...whole, budget: [...checkBudget(parseBudget('macs>=1k,params==82'), whole)] });
    expect(text).toContain(grouped(footprint.memoryBytes));
    expect(text).toContain(microseconds(roofline.totalUs));
    expect(text).toContain(device.title);
    expect(text).toContain('params==82');
    expect(text).toContain('1.2 % under');
  });

  test('findings that are not listed are counted', () => {
    const b = new Builder();
    const conv = b.conv(b.input('x', [1, 32, 32, 32]), b.constant('w', absent([32, 32, 3, 3])));
    b.output('y', conv);
    const { moreFindings } = audit(b.graph, { findings: 0 });
    expect(moreFindings).toBe(audit(b.graph).findings.length);
    expect(moreFindings).toBeGreaterThan(0);
    expect(render(audit(b.graph, { findings: 0 }))).toMatch(`${moreFindings}`);
    expect(render(audit(b.graph, { findings: 0 }))).toMatch(/\d (more )?findings?\b/);
  });
});

test('an image of an example size is no line in the picture of fields', () => {
  const example = renderHtml(audit((dims) => importOnnx(open, { dims })));
  expect(example).toContain('Receptive field');
  expect(example).not.toContain('>image ');
  expect(example).not.toContain('outgrows');
  const given = renderHtml(audit((dims) => importOnnx(open, { dims: { H: 224, W: 224, ...dims } })));
  expect(given).toContain('>image 224×224<');
  expect(given).toContain('The field outgrows the image');
});

/** With the names that an exporter gives to open sizes. */
const longNames = onnxModel({
  nodes: [node('Conv', ['x', 'w'], ['a']), node('Relu', ['a'], ['y'])],
  inputs: [info('x', ['exporter.DynamicDimension.0', 3, 'exporter.DynamicDimension.1', 'exporter.Dim.2'])],
  initializers: [stored('w', [8, 3, 3, 3], new Float32Array(216).fill(1))],
});
const openReport = () => audit((dims) => importOnnx(longNames, { dims }));

describe('sizes that nobody gave', () => {
  test('a page without MACs, traffic and memory, because sizes were not given', () => {
    const text = renderHtml(openReport());
    expect([...text.matchAll(/<figure><h3>([^<]*)/g)].map(([, name]) => name)).toEqual([
      'Cost by layer',
      'Receptive field',
      'Memory over a run',
    ]);
    expect(text.match(/<dl class="facts">.*?<\/dl>/s)?.[0]).not.toContain('–');
    expect(text.match(/<table id="layers">.*?<\/table>/s)?.[0]).not.toContain('–');
    expect(text).toContain('at the example size');
  });

  test('the report itself keeps what is not known apart from what holds at the example size', () => {
    const { totals, memory, example, layers } = openReport();
    expect([totals.macs, totals.peakActivationBytes, memory, layers[0]?.macs]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(example?.totals.macs).toBe(222 * 222 * 8 * 27);
    expect(example?.layers[0]?.macsShare).toBe(1);
    expect(
      audit(importOnnx(longNames, { dims: { 'exporter.DynamicDimension.1': 8, 'exporter.Dim.2': 8 } }).graph),
    ).not.toHaveProperty('example');
  });

  test.each([50, 60, 80, 100, 140])('a formula that lost a factor in a table of %d columns', (width) => {
    const text = renderTable(openReport(), { width }).replace(/\s+/g, ' ');
    expect(text).toContain('216 · N · H · W − 432 · N · H − 432 · N · W + 864 · N');
    expect(text.replaceAll(' ', '')).toContain('H=exporter.DynamicDimension.1=224(anexample)');
  });

  test('layers that cannot be compared are not called lighter', () => {
    const b = new Builder();
    const x = b.input('x', [1, 4]);
    for (const name of ['a', 'b', 'c'])
      b.output(name, b.op('PRelu', [x, b.constant(`${name}.s`, absent([4]))], {}));
    expect(renderTable(audit(b.graph), { rows: 1 })).toContain('… and 2 layers');
  });
});

test('what memory is saved by sharing is said in every form', () => {
  const b = new Builder();
  const w = b.constant('w', absent([4, 4, 1, 1]));
  b.output('y', b.relu(b.conv(b.input('x', [1, 4, 8, 8]), w)));
  const report = audit(b.graph);
  const said = 'no plan needs less, and the peak is no more';
  for (const [, render] of forms) expect(render(report)).toContain(said);
  expect(renderHtml(report).match(/Of 2.00 KiB, the largest live set, no plan needs less/)).not.toBeNull();
});

test('an exact number and its note are two lines of the page', () => {
  const b = new Builder();
  b.output('y', b.conv(b.input('x', [1, 4, 8, 8]), b.constant('w', absent([4, 4, 1, 1]))));
  expect(renderHtml(audit(b.graph))).toContain('<small>2,048</small><small>2 × MACs</small>');
});

describe('counted by a preset', () => {
  /** Two modules: the first has a pool, which this preset counts, and half of the products. */
  function network() {
    const b = new Builder();
    const w = b.constant('w', absent([4, 4, 1, 1]));
    const first = b.conv(b.input('x', [1, 4, 8, 8]), w, { name: '/stem/Conv' });
    const pooled = b.op(
      'AveragePool',
      [first],
      { kernel: [2, 2], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 1, 1] },
      { name: '/stem/Pool' },
    );
    b.output('y', b.conv(pooled, w, { name: '/body/body.0/Conv' }));
    return audit(b.graph, { preset: 'tf-profiler' });
  }

  test('modules have what it counts, and their share of it', () => {
    const report = network();
    const [stem, pool, body] = report.layers.map(({ counted }) => counted ?? 0);
    expect(pool).toBeGreaterThan(0);
    const share = ((100 * ((stem ?? 0) + (pool ?? 0))) / (report.totals.counted ?? 0)).toFixed(1);
    const text = renderTable(report, { depth: 1 });
    expect(text).toMatch(/^module +nodes +FLOPs +share/m);
    expect(text).toMatch(new RegExp(`^stem +2 .* ${share} % `, 'm'));
    expect(share).not.toBe('50.0');
    expect((stem ?? 0) + (pool ?? 0) + (body ?? 0)).toBe(report.totals.counted);
  });

  test('the heaviest layer has its share of it, not of the MACs', () => {
    const report = network();
    const [stem] = report.layers;
    const share = ((100 * (stem?.counted ?? 0)) / (report.totals.counted ?? 0)).toFixed(1);
    expect(renderHtml(report)).toContain(`FLOPs, ${share} % of all.`);
    expect(share).not.toBe('50.0');
  });
});

test('modules are cut at the depth, and layers above it stand by themselves', () => {
  const b = new Builder();
  const w = b.constant('w', absent([4, 4, 1, 1]));
  let value = b.input('x', [1, 4, 8, 8]);
  for (const name of ['/body/Conv', '/body/body.0/Conv', '/body/body.0/inner/Conv', 'alone']) {
    value = b.conv(value, w, { name });
  }
  b.output('y', value);
  const text = renderTable(audit(b.graph), { depth: 2 });
  expect([...text.matchAll(/^(\S+|\(no module\)) +(\d) +1\.02 k/gm)].map((m) => m.slice(1))).toEqual([
    ['body', '1'],
    ['(no module)', '1'],
  ]);
  expect(text).toMatch(/^body\.0 +2 +2\.05 k +50\.0 %/m);
});
