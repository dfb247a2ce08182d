import { expect, test } from 'vitest';
import { benchSchema } from '#compiler/bench/report-schema.ts';
import { useCli } from '../../support/cli.ts';
import { small } from '../../support/onnx.ts';

const cli = useCli();

test('--format json is the documented report, and adds up', async () => {
  await cli.write('small.onnx', small);
  const { code, stdout, stderr } = await cli.run([
    'bench',
    'small.onnx',
    '--rounds',
    '3',
    '--format',
    'json',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const report = benchSchema.parse(JSON.parse(stdout));
  expect(report).toMatchObject({ name: 'small', rounds: 3 });
  expect(report.inputs).toEqual([{ name: 'x', dtype: 'f32', shape: [1, 4, 8, 8] }]);
  expect(report.other?.name).toBe('onnxruntime-web');
  expect(report.other?.deviation).toBeLessThan(1e-5);
  const [stem] = report.layers;
  expect(stem).toMatchObject({ op: 'Conv', kind: 'standard', shape: [1, 8, 6, 6], macs: 36 * 288 });
  expect(report.layers.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
  expect(report.layersTotal?.macs).toBe(report.layers.reduce((sum, { macs }) => sum + macs, 0));
  expect(report.macs).toBe(report.layersTotal?.macs);
  for (const { low, median, high } of [
    report.ours.runMs,
    ...(report.peakGflops ? [report.peakGflops] : []),
    ...report.layers.map(({ ms }) => ms),
  ]) {
    expect(low).toBeLessThanOrEqual(median);
    expect(median).toBeLessThanOrEqual(high);
  }
});

test('--json is the same', async () => {
  await cli.write('small.onnx', small);
  const args = ['bench', 'small.onnx', '--rounds', '1', '--against', 'none', '--json'];
  const { code, stdout } = await cli.run(args);
  expect(code).toBe(0);
  expect(benchSchema.parse(JSON.parse(stdout))).toMatchObject({ name: 'small', other: null });
});

test('the table has a row for each layer', async () => {
  await cli.write('small.onnx', small);
  const { code, stdout, stderr } = await cli.run([
    'bench',
    'small.onnx',
    '--rounds',
    '1',
    '--against',
    'none',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^small {2}x f32 1×4×8×8; 10\.4 k MACs$/mu);
  expect(stdout).toMatch(/^stem +Conv +1×8×6×6 .* f32_/m);
  expect(stdout).toMatch(/^all layers /m);
  expect(stdout).toMatch(/^convolith .* ms/m);
  expect(stdout).toContain('nothing was to be compared with');
  expect(stdout).not.toContain('onnxruntime');
});
