/** `audit --correlation` on the command line. */
import { readFileSync } from 'node:fs';
import { encode } from 'fast-png';
import { beforeAll, expect, test } from 'vitest';
import { formatNpy } from '#compiler/files/npy.ts';
import { f32 } from '#ir/tensor.ts';
import { useCli } from '../../support/cli.ts';
import { external, info, node, onnxModel, stored } from '../../support/onnx.ts';

const cli = useCli();

/** Without a pattern of their own, the same each time. */
const scattered = (count: number, from: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + from)) * 2);

/** A 1×1 and a 3×3 convolution with an activation between; a grouped one behind them. */
function model(
  weightOf = (name: string, shape: number[], from: number) =>
    stored(
      name,
      shape,
      Float32Array.from(
        scattered(
          shape.reduce((a, b) => a * b, 1),
          from,
        ),
      ),
    ),
) {
  return onnxModel({
    inputs: [info('image', [1, 3, 8, 8])],
    nodes: [
      node('Conv', ['image', 'w0'], ['a'], {}, { name: '/stem/Conv' }),
      node('Relu', ['a'], ['b'], {}, { name: '/stem/Relu' }),
      node('Conv', ['b', 'w1'], ['c'], { pads: [1n, 1n, 1n, 1n] }, { name: '/mix/Conv' }),
      node('Conv', ['c', 'w2'], ['y'], { group: 2n }, { name: '/last/Conv' }),
    ],
    initializers: [
      weightOf('w0', [8, 3, 1, 1], 1),
      weightOf('w1', [8, 8, 3, 3], 100),
      weightOf('w2', [8, 4, 1, 1], 900),
    ],
  });
}

beforeAll(async () => {
  await cli.write('net.onnx', model());
  await cli.write(
    'absent.onnx',
    model((name, shape) => external(name, shape, 'absent.data')),
  );
  await cli.write('samples.npy', formatNpy(f32([5, 3, 8, 8], scattered(5 * 192, 7))));
  await cli.write('wrong.npy', formatNpy(f32([5, 3, 8, 9], scattered(5 * 216, 7))));
  for (const [i, name] of ['one.png', 'two.png'].entries()) {
    const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, k) => (k * (31 + 12 * i)) % 251);
    await cli.write(`pictures/${name}`, encode({ width: 8, height: 8, channels: 3, data }));
  }
  await cli.write('empty/readme.txt', 'no picture');
});

const audit = (...more: string[]) => cli.run(['audit', 'net.onnx', ...more]);

test('a layer by the name that tables show: a table', async () => {
  const { code, stdout } = await audit('--correlation', 'mix');
  expect(code).toBe(0);
  expect(stdout).toContain('/mix/Conv, 8 output channels of 8 input channels');
  expect(stdout.replaceAll('\n', ' ')).toContain('with those of /stem/Conv');
  expect(stdout).toMatch(/groups +as given +best order +shuffled +chance/);
});

test('files by their extensions', async () => {
  for (const [file, begins] of [
    ['heat.html', '<!doctype html>'],
    ['heat.svg', '<svg '],
    ['heat.json', '{'],
  ] as const) {
    const { code, stderr } = await audit('--correlation', 'mix', '-o', file);
    expect([code, stderr]).toEqual([0, `wrote ${file}\n`]);
    expect(readFileSync(cli.at(file), 'utf8').startsWith(begins)).toBe(true);
  }
});

test('of responses: to the samples of an array, and to pictures', async () => {
  const json = async (...more: string[]) => {
    const { code, stdout, stderr } = await audit('--correlation', 'mix', '--format', 'json', ...more);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout);
  };
  const array = await json('--calibrate', 'samples.npy');
  expect(array.basis).toEqual({ kind: 'responses', samples: 5 });
  const pictures = await json('--calibrate', 'pictures');
  expect(pictures.basis).toEqual({ kind: 'responses', samples: 2 });
  expect((await json('--calibrate', 'pictures/one.png', '--preprocess', 'imagenet')).basis.samples).toBe(1);
  const weights = await json();
  expect(weights.basis).toEqual({ kind: 'filters', producer: '/stem/Conv' });
  const given = [array, pictures, weights].map(({ scores }) => scores[0].given);
  expect(new Set(given).size).toBe(3);
});

test.each<readonly [args: string, ...says: string[]]>([
  ['--correlation mox', 'there is no layer of this name', 'hint'],
  ['--correlation /stem/Relu', 'this is a Relu, not a convolution', 'name a layer of the op Conv'],
  ['--correlation last', 'this convolution has 2 groups already', 'hint'],
  ['--correlation mix --at mix,1x1', 'it does not go with --correlation'],
  ['--correlation mix --depth 2', '--depth: it says nothing about a correlation'],
  ['--correlation mix -o x.csv', 'a correlation has no such form', 'table, json, html, svg'],
  ['--correlation mix --preprocess unit', 'it is about pictures, and none are given'],
  ['--correlation mix --calibrate nowhere', 'error[file-unreadable] nowhere'],
  [
    '--correlation mix --calibrate empty',
    'the folder has no samples',
    'samples are .npy, .png and .jpg files',
  ],
  ['--correlation mix --calibrate net.onnx', 'the file is none of .npy, .png, .jpg'],
  ['--correlation mix --calibrate wrong.npy', 'the file has f32[5,3,8,9], the model asks for f32[1,3,8,8]'],
  ['--calibrate samples.npy', '--calibrate: it goes with --correlation'],
])('%s is refused with what to do', async (args, ...says) => {
  const { code, stderr } = await audit(...args.split(' '));
  expect(code).not.toBe(0);
  for (const text of says) expect(stderr).toContain(text);
});

test('weights that are not there', async () => {
  const { code, stderr } = await cli.run(['audit', 'absent.onnx', '--correlation', 'mix']);
  expect(code).not.toBe(0);
  expect(stderr).toContain('error[weights-missing] w1');
  expect(stderr).toContain('put the file with the weights beside the model');
});
