/** `diff` on the command line: sizes of two models, formats, budgets. */
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { diffSchema } from '#compiler/diff/schema.ts';
import { useCli } from '../../support/cli.ts';
import { info, node, onnxModel, stored } from '../../support/onnx.ts';

const cli = useCli();

/** A convolution 3×3; 108·(h − 2)·(w − 2) MACs. */
const model = (...shape: readonly (number | string)[]) =>
  onnxModel({
    nodes: [node('Conv', ['x', 'w'], ['y'])],
    inputs: [info('x', [1, 3, ...shape])],
    initializers: [stored('w', [4, 3, 3, 3], new Float32Array(108))],
  });
const macs = (h: number, w: number): number => 108 * (h - 2) * (w - 2);

beforeAll(async () => {
  await cli.write('open.onnx', model('H', 32));
  await cli.write('fixed.onnx', model(32, 32));
  await cli.write('wide.onnx', model('height', 'W'));
});

const diff = (a: string, b: string, ...args: readonly string[]) => cli.run(['diff', a, b, ...args]);

test('a size that only one model has is for that one', async () => {
  const { stdout, stderr, code } = await diff(
    ...(['open.onnx', 'fixed.onnx', '--dim', 'H=12', '--format', 'json'] as const),
  );
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  expect(diffSchema.parse(JSON.parse(stdout)).totals.macs).toEqual({ a: macs(12, 32), b: macs(32, 32) });
  const sizes = ['--dim', 'H=12', '--dim', 'height=14', '--dim', 'W=20', '--format', 'json'];
  const other = await diff('wide.onnx', 'open.onnx', ...sizes);
  expect(JSON.parse(other.stdout).totals.macs).toEqual({ a: macs(14, 20), b: macs(12, 32) });
});

test('a size that neither model has is refused, and an error says which model it is about', async () => {
  const { stderr, code } = await diff('open.onnx', 'fixed.onnx', '--dim', 'width=12', '--shape', 'z=1x2');
  expect(code).toBe(2);
  expect(stderr).toContain(
    'width: neither open.onnx nor fixed.onnx has a dimension or an input of this name',
  );
  expect(stderr).toContain(' z: neither');
  const wrong = await diff('fixed.onnx', 'open.onnx', '--dim', 'H=0');
  expect(wrong.stderr).toContain('open.onnx: H: 0 is not a size');
});

test.each(['json', 'md'] as const)('the extension of the file decides: x.%s', async (format) => {
  const { stdout } = await diff('open.onnx', 'fixed.onnx', '--format', format);
  expect(await diff('open.onnx', 'fixed.onnx', '-o', `x.${format}`)).toMatchObject({ stdout: '', code: 0 });
  expect(readFileSync(cli.at(`x.${format}`), 'utf8').trimEnd()).toBe(stdout.trimEnd());
});

test('formats that a comparison has not are refused', async () => {
  const { stderr, code } = await diff('open.onnx', 'fixed.onnx', '-o', 'x.csv');
  expect(code).toBe(2);
  expect(stderr).toContain('-o x.csv: a comparison has no form of csv');
});

test('Markdown has the budget too', async () => {
  const sizes = ['--dim', 'H=30', '--format', 'md'];
  const { stdout, code } = await diff(
    'open.onnx',
    'fixed.onnx',
    ...sizes,
    '--budget',
    'macs<=+1%,params<=1k',
  );
  expect(code).toBe(1);
  expect(stdout).toMatch(/^\| macs&lt;=\+1% \| 6\.1 % over \| /m);
  expect(stdout).toMatch(/^\| params&lt;=1k \| met \| 1\.00 k \| 108 \|$/m);
});

test('a limit by a total that the first model has not says what it lacks', async () => {
  const { stderr, code } = await diff('open.onnx', 'fixed.onnx', '--budget', 'macs<=+0%');
  expect(code).toBe(1);
  expect(stderr).toContain('not known: H not given');
});

test('what one position sees has no form of csv', async () => {
  const { stderr, code } = await cli.run(['audit', 'fixed.onnx', '--at', 'y_node,3x3', '-o', 'x.csv']);
  expect(code).toBe(2);
  expect(stderr).toContain('what a position sees has no form of csv');
});
