import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatNpy } from '#compiler/files/npy.ts';
import { importModel } from '#compiler/import/index.ts';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { rewriteSchema } from '#compiler/rewrite/schema.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { useCli } from '../../support/cli.ts';
import { compareGraphs } from '../../support/graphs.ts';
import { Random } from '../../support/random.ts';

const cli = useCli();
const NET = {
  name: 'tiny',
  input: { name: 'image', shape: [4, 12, 12] },
  layers: [
    { conv: { channels: 16, norm: 'batch', activation: 'relu' }, name: 'stem' },
    { conv: { channels: 16, activation: 'relu' }, name: 'body' },
    'globalPool',
    'flatten',
    { dense: 5, name: 'logits' },
  ],
};

const load = (name: string) => importModel(new Uint8Array(readFileSync(cli.at(name)))).graph;

beforeAll(async () => {
  await cli.write('net.json', JSON.stringify(NET));
  const { code, stderr } = await cli.run(['convert', 'net.json', '-o', 'net.onnx', '-q']);
  expect(code, stderr).toBe(0);
});

test('exact passes: a smaller model, the same results, and what was done in its metadata', async () => {
  const { code, stdout, stderr } = await cli.run(['rewrite', 'net.onnx', '-o', 'lean.onnx']);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain('fuseBatchNormIntoConv');
  const [before, after] = [load('net.onnx'), load('lean.onnx')];
  expect(after.nodes.length).toBeLessThan(before.nodes.length);
  expect(compareGraphs(before, after)).toBeLessThan(1e-5);
  const { metadataProps } = ModelProto.decode(new Uint8Array(readFileSync(cli.at('lean.onnx'))));
  expect(Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]))).toMatchObject({
    'convolith.passes': expect.stringContaining('fuseBatchNormIntoConv 1'),
  });
});

test('--explain prints each application and each refusal', async () => {
  const { stdout } = await cli.run(['rewrite', 'net.onnx', '--explain', '--format', 'json']);
  const { applications, passes } = rewriteSchema.parse(JSON.parse(stdout));
  expect(applications.filter(({ rule }) => rule === 'fuseBatchNormIntoConv')).toHaveLength(1);
  const { stdout: table } = await cli.run(['rewrite', 'net.onnx', '--explain']);
  for (const { rule, node } of applications) {
    expect(table).toContain(rule);
    expect(table).toContain(node.slice(-8));
  }
  expect(passes.some(({ pass }) => pass === 'fuseBatchNormIntoConv')).toBe(true);
});

test('a pass that is skipped does nothing', async () => {
  const { stdout } = await cli.run([
    'rewrite',
    'net.onnx',
    '--skip',
    'fuseBatchNormIntoConv,expandBatchNorm',
  ]);
  expect(stdout).not.toContain('fuseBatchNormIntoConv');
});

test('a budget is met, on data; the report is that of the model that was written', async () => {
  const samples = new Random(1).tensor([40, 4, 12, 12]);
  await cli.write('samples.npy', formatNpy(samples));
  const { code, stdout, stderr } = await cli.run([
    ...['rewrite', 'net.onnx', '-o', 'half.onnx', '--factorize', 'all', '--budget', 'macs<=50%'],
    ...['--calibrate', 'samples.npy', '--format', 'json', '-q'],
  ]);
  expect(code, stderr).toBe(0);
  const report = rewriteSchema.parse(JSON.parse(stdout));
  const { totals } = graphCost(load('half.onnx'));
  expect([report.after.macs, report.after.parameters]).toEqual([totals.macs, totals.parameters]);
  const exact = graphCost(load('net.onnx')).totals.macs;
  expect(totals.macs).toBeLessThanOrEqual(0.5 * exact);
  // a plan that wastes no more than a step of ranks
  expect(totals.macs).toBeGreaterThan(0.4 * exact);
  expect(report.calibration?.samples).toBe(40);
  expect(report.verification).toMatchObject({ samples: 40, noise: false, bound: null });
  expect(report.verification.outputs[0]?.largest).toBeGreaterThan(0);
  const { code: ran } = await cli.run([
    'run',
    'half.onnx',
    '--random',
    '1',
    '--compare',
    'reference,wasm',
    '--per-layer',
  ]);
  expect(ran).toBe(0);
});

test('a largest error is kept to, at the least time on a device; the report has MACs, bytes and times', async () => {
  const { code, stdout, stderr } = await cli.run([
    ...['rewrite', 'net.onnx', '--factorize', 'all', '--max-error', '0.1', '--minimise', 'time'],
    ...['--device', 'jetson-nano', '--format', 'json', '-q', '--report', 'report.html'],
  ]);
  expect(code, stderr).toBe(0);
  const report = rewriteSchema.parse(JSON.parse(stdout));
  const kept = (report.layers ?? []).reduce((part, { form }) => part * (1 - (form?.chosenError ?? 0)), 1);
  expect(1 - kept).toBeLessThanOrEqual(0.1);
  expect(report.curve?.chosen.error).toBeCloseTo(1 - kept, 9);
  expect(report.before.us).toBeGreaterThan(0);
  expect(report.after.us).toBeLessThanOrEqual(report.before.us ?? 0);
  for (const { before, form } of report.layers ?? []) {
    expect(form ? form.after.us : before.us).toBeGreaterThan(0);
    expect(before.bytes).toBeGreaterThan(0);
  }
  expect(readFileSync(cli.at('report.html'), 'utf8')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
});

test('without data errors are those of the weights, and the report says so', async () => {
  const { stdout } = await cli.run([
    ...['rewrite', 'net.onnx', '--factorize', 'depthwise,tucker', '--budget', 'params<=60%', '--explain'],
  ]);
  expect(stdout).toMatch(/no data was\s+given/);
  expect(stdout).toContain('2 inputs of noise');
});

describe('what is wrong', () => {
  test.each([
    [['--factorize', 'all'], /--factorize.*budget/s],
    [['--budget', 'macs<=50%'], /--budget.*goes with --factorize/s],
    [['--factorize', 'all', '--budget', 'macs=50'], /macs=50.*no limit/s],
    [['--factorize', 'all', '--budget', 'time<=50%'], /time.*device/s],
    [['--factorize', 'all', '--budget', 'macs<=50%', '--max-error', '0.1'], /one of the two/],
    [['--factorize', 'tucker', '--ranks', 'vbmf', '--budget', 'macs<=50%'], /--ranks.*no other limit/s],
    [['--factorize', 'tucker,cp', '--ranks', 'vbmf'], /cp has no such ranks/],
    [['--ranks', 'vbmf'], /--ranks.*goes with --factorize/s],
    [['--factorize', 'all', '--max-error', '2'], /--max-error 2.*part from 0 to 1/s],
    [['--factorize', 'all', '--budget', 'time<=50%', '--device', 'nano'], /nano.*jetson-nano/s],
    [['--max-error', '0.1'], /--max-error.*goes with --factorize/s],
    [['--factorize', 'sptial', '--budget', 'macs<=50%'], /sptial.*spatial/s],
    [['--factorize', 'all', '--budget', 'macs<=1'], /no choice of ranks/],
    [['--skip', 'fuseBatchNorm'], /no such pass/],
    [['--also', 'nothing'], /no such optional pass/],
    [['-o', 'x.bin'], /x\.bin.*\.onnx or \.json/s],
    [['--report', 'x.pdf'], /x\.pdf.*\.json, \.md or \.html/s],
  ])('%j', async (args, message) => {
    const { code, stderr } = await cli.run(['rewrite', 'net.onnx', ...args]);
    expect(stderr).toMatch(message);
    expect(stderr).toContain('hint:');
    expect(code).toBe(2);
    expect(existsSync(cli.at('x.bin'))).toBe(false);
  });

  test('samples of another shape', async () => {
    await cli.write('wrong.npy', formatNpy(new Random(1).tensor([4, 3, 12, 12])));
    const args = ['--factorize', 'all', '--budget', 'macs<=50%', '--calibrate', 'wrong.npy'];
    const { code, stderr } = await cli.run(['rewrite', 'net.onnx', ...args]);
    expect(stderr).toContain('wrong.npy');
    expect(code).not.toBe(0);
  });
});
