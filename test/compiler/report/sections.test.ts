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
    const text = render(audit((dims) => importOnnx(open, { dims })));
    expect(text).toContain('H was not given: shapes are those at 224; give it with --dim H=SIZE');
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
