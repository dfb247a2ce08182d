import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { formatTuning, NO_TUNING, parseTuning, withLayers } from '#compiler/tune/tuning.ts';
import { useCli } from '../../support/cli.ts';
import { info, node, onnxModel, stored } from '../../support/onnx.ts';
import { noise } from '../../support/op.ts';

const cli = useCli();

/** One convolution with enough work to be measured, and one with too little. */
const network = onnxModel({
  inputs: [info('x', ['batch', 16, 16, 16])],
  nodes: [node('Conv', ['x', 'w'], ['c']), node('Relu', ['c'], ['r']), node('Conv', ['r', 'v'], ['y'])],
  initializers: [
    stored('w', [20, 16, 3, 3], noise([20, 16, 3, 3], 1).data as Float32Array),
    stored('v', [4, 20, 1, 1], noise([4, 20, 1, 1], 2).data as Float32Array),
  ],
});

const compile = async (output: string, ...options: readonly string[]) => {
  await cli.write('net.onnx', network);
  return cli.run(['compile', 'net.onnx', '-o', output, ...options]);
};
const bytes = (path: string) => readFileSync(cli.at(path));

test('what --tune finds is kept, and made again from its file alone', async () => {
  const first = await compile('tuned', '--tune', 'tuning.json');
  expect(first.code).toBe(0);
  expect(first.stderr).toContain('tuning: 1 layer shape measured');
  const written = bytes('tuning.json').toString();
  const { machines } = parseTuning(JSON.parse(written));
  expect(machines.map(({ layers }) => layers.length)).toEqual([1]);

  const again = await compile('again', '--tune', 'tuning.json');
  expect(again.stderr).toContain('no layer shape was measured; 1 known before');
  expect(bytes('tuning.json').toString()).toBe(written);
  const read = await compile('read', '--tuning', 'tuning.json', '--dim', 'batch=1');
  expect({ code: read.code, stderr: read.stderr }).toEqual({ code: 0, stderr: '' });
  for (const folder of ['again', 'read']) {
    for (const file of ['model.wasm', 'model.relaxed.wasm', 'weights.bin']) {
      expect(bytes(`${folder}/${file}`)).toEqual(bytes(`tuned/${file}`));
    }
  }
});

describe('files that cannot be used end with 2, path and hint', () => {
  const machine = { engine: 'V8 0', cpu: 'none' };
  const two = withLayers(withLayers(NO_TUNING, machine, []), { ...machine, cpu: 'other' }, []);
  const layer = { layer: 'a', choice: { way: 'direct', width: 5 }, ms: 1, modelMs: 1 };
  const odd = { version: 1, machines: [{ ...machine, layers: [layer] }] };

  test.each<[options: readonly string[], content: string | undefined, error: string, hint: string]>([
    [['--tuning', 'absent.json'], undefined, 'absent.json: no such file', 'check the path'],
    [['--tuning', 'bad.json'], '{"version": 1', 'bad.json: this is not JSON', 'compile --tune FILE'],
    [['--tune', 'bad.json'], 'machines', 'bad.json: this is not JSON', 'compile --tune FILE'],
    [
      ['--tune', 'bad.json'],
      '{"version": 7, "machines": []}',
      'bad.json.version: expected 1; got 7',
      '--tune',
    ],
    [
      ['--tuning', 'bad.json'],
      JSON.stringify(odd),
      'machines[0].layers[0].choice.width: expected one of',
      '--tune',
    ],
    [['--tuning', 'two.json'], formatTuning(two), 'two.json: it has times of 2 machines', 'measure here'],
    [['--profile', 'absent.json'], undefined, 'absent.json: no such file', 'check the path'],
    [['--profile', 'bad.json'], '{}', 'bad.json.kind: this is missing', 'convolith calibrate -o FILE'],
    [['--tune', 'a.json', '--tuning', 'a.json'], undefined, '--tuning: --tune measures', 'give one of them'],
    [
      ['--tune', 'a.json', '--dim', 'batch=1', '--dim', 'batch=2'],
      undefined,
      'a bundle of several sizes',
      'one size',
    ],
  ])('%j', async (options, content, error, hint) => {
    const file = options[1] ?? '';
    if (content !== undefined) await cli.write(file, content);
    const { code, stderr, stdout } = await compile('refused', ...options);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(error);
    expect(stderr).toContain(hint);
  });
});
