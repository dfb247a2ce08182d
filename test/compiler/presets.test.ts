/** Presets in reports, on the command line, and in docs/counting.md. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type AuditModel, audit } from '#compiler/audit/index.ts';
import { importJson } from '#compiler/import/json/index.ts';
import { renderCsv, renderMarkdown, renderTable } from '#compiler/report/index.ts';
import { PRESET_NAMES, PRESETS, type PresetName } from '#passes/analysis/presets/index.ts';
import { useCli } from '../support/cli.ts';
import { repositoryFolder } from '../support/collection.ts';

const text = readFileSync(join(repositoryFolder, 'docs/counting.md'), 'utf8');
const small = {
  input: [3, 8, 8],
  layers: [{ conv: { channels: 4, norm: 'batch', activation: 'relu' } }, 'globalPool', 'flatten'],
};
const MACS = 4 * 64 * 27;

describe('docs/counting.md', () => {
  const examples = text.split(/(?=```json\n)/).slice(1);

  test('there are examples, and every preset is in one of them and in the table', () => {
    expect(examples.length).toBeGreaterThan(2);
    for (const { name, unit } of PRESETS) {
      expect(text.match(new RegExp(`^\\| \`${name}\` \\| ${unit} \\|`, 'gm')), name).toHaveLength(1);
      expect(examples.join('')).toMatch(new RegExp(`\`${name}\` \\| [\\d,]+ \\|`));
    }
  });

  test.each(examples.map((part, i) => [i + 1, part] as const))('example %i', (_, part) => {
    const network = /```json\n([\s\S]*?)```/.exec(part)?.[1] ?? '';
    const figures = [...part.matchAll(/^\| `([\w-]+)` \| ([\d,]+) \|$/gm)].map(([, name, n]) => [
      name,
      Number(n?.replaceAll(',', '')),
    ]);
    const { presets } = audit(importJson(network).graph).totals;
    expect(figures.length).toBeGreaterThan(0);
    expect(presets).toMatchObject(Object.fromEntries(figures));
  });
});

describe('the command', () => {
  const cli = useCli();
  const path = join(repositoryFolder, 'examples/resnet/network.json');

  test('prints what the manual says', async () => {
    const command = /convolith (audit \S+ --preset \S+)/.exec(text)?.[1]?.split(' ') ?? [];
    const printed = /```text\n([\s\S]*?)```/.exec(text)?.[1] ?? 'nothing';
    const args = command.map((word) => (word.startsWith('examples/') ? join(repositoryFolder, word) : word));
    const { code, stdout } = await cli.run(args);
    expect(code).toBe(0);
    expect(stdout).toContain(printed);
  });

  test('a preset that there is not', async () => {
    const { code, stderr } = await cli.run(['audit', path, '--preset', 'tohp']);
    expect(code).toBe(2);
    expect(stderr).toContain('thop');
  });
});

describe('reports', () => {
  const { graph } = importJson(small);

  test('exact MACs unless asked', () => {
    const { preset, totals, layers } = audit(graph);
    expect([preset.name, preset.unit, totals.counted]).toEqual(['convolith', 'MAC', MACS]);
    expect(layers.every((l) => l.counted === l.macs)).toBe(true);
    expect(Object.keys(totals.presets)).toEqual(PRESET_NAMES);
    expect(renderTable(audit(graph))).not.toContain('counted as');
  });

  test('a layer without MACs is listed where the preset counts it, in the unit of the preset', () => {
    const report = audit(graph, { preset: 'onnx-tool' });
    const layer = report.layers.find((l) => l.op === 'Relu');
    expect([layer?.macs, layer?.counted]).toEqual([0, 256]);
    expect(renderTable(report)).toMatch(/^conv1\/relu +Relu +1×4×8×8 +256 /m);
    expect(renderTable(audit(graph))).not.toMatch(/^conv1\/relu/m);
    expect(renderCsv(report)).toMatch(/Relu.*,256,/);
    const flops = audit(graph, { preset: 'tf-profiler' });
    expect(renderTable(flops, { presets: true })).toMatch(/ FLOPs +share /);
    expect(renderMarkdown(flops)).toContain('| output | FLOPs | share |');
    expect(flops.layers.find((l) => l.op === 'Conv')?.counted).toBe(2 * MACS);
  });

  test('a preset that there is not is named, with those that there are', () => {
    expect(() => audit(graph, { preset: 'tohp' as PresetName })).toThrow(/there is no preset .* thop/);
  });

  test('sizes that are not given: null, but for what no size changes', () => {
    const open: AuditModel = (dims) =>
      importJson({ ...small, input: [3, 'height', 8] }, { dims }) as ReturnType<
        Exclude<AuditModel, typeof graph>
      >;
    const { totals, layers } = audit(open, { preset: 'fvcore' });
    expect(totals.macs).toBeNull();
    expect(totals.counted).toBeNull();
    expect(Object.values(totals.presets).every((count) => count === null)).toBe(true);
    expect(layers.map((l) => [l.op, l.counted])).toEqual([
      ['Conv', null],
      ['BatchNormalization', null],
      ['Relu', 0],
      ['GlobalAveragePool', null],
      ['Flatten', 0],
    ]);
    const given = audit(open, { preset: 'fvcore', dims: { height: 8 } });
    expect(given.totals.counted).toBe(MACS + 2 * 256 + 256);
  });
});
