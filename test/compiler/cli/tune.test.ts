import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { withAdapterLayers } from '#compiler/tune/adapters.ts';
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

/** As if no driver were there. */
const NO_ADAPTER = { VK_ICD_FILENAMES: '/nowhere', NODEVICE_SELECT: '1' };

const compile = async (output: string, ...options: readonly string[]) => {
  await cli.write('net.onnx', network);
  return cli.run(['compile', 'net.onnx', '-o', output, ...options], { env: NO_ADAPTER });
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

describe('a file has times of machines and adapters that a target has no use for', () => {
  const machine = { engine: 'V8 0', cpu: 'none' };
  const adapter = { engine: 'Dawn', adapter: 'one', precision: 'f32' } as const;
  const machines = withLayers(withLayers(NO_TUNING, machine, []), { ...machine, cpu: 'other' }, []);
  const adapters = withAdapterLayers(
    withAdapterLayers(NO_TUNING, adapter, []),
    { ...adapter, adapter: 'two' },
    [],
  );
  const compileWith = async (tuning: typeof NO_TUNING, target: string, option = '--tuning') => {
    await cli.write('tuning.json', formatTuning(tuning));
    return compile('narrow', '--target', target, option, 'tuning.json', '--force', '--dim', 'batch=1');
  };

  test.each([
    ['webgpu', machines],
    ['wasm', adapters],
  ])('%s takes those of the other as they are', async (target, tuning) => {
    expect(await compileWith(tuning, target)).toMatchObject({ code: 0, stderr: '' });
  });

  test.each([
    ['wasm', machines, 'it has times of 2 machines'],
    ['webgpu', adapters, 'it has times of 2 adapters'],
    ['wasm,webgpu', adapters, 'it has times of 2 adapters'],
  ])('%s refuses a choice of its own', async (target, tuning, message) => {
    const { code, stderr } = await compileWith(tuning, target);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  test('where nothing was measured here, --tune takes what is usual and says so', async () => {
    const { code, stderr } = await compileWith(adapters, 'webgpu', '--tune');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(
        /nothing was measured: there is no adapter.*\n.*2 adapters.*the usual tiles/,
      ),
    });
  });
});

describe('what cannot be compiled is found before anything is measured', () => {
  test.each([
    [['--target', 'webgpu', '--threads', '2'], 'threads: this is for WebAssembly'],
    [['--target', 'vulkan'], 'target: expected some of wasm, webgpu; got vulkan'],
    [['--gpu-precision', 'f16'], 'gpuPrecision: there is nothing for a GPU'],
  ])('%j', async (options, message) => {
    const { code, stderr } = await compile('none', '--tune', 'unmade.json', ...options);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain('tuning');
  });

  test('a network that the target refuses', async () => {
    // more units than a workgroup holds
    const units = 1365;
    const refused = onnxModel({
      inputs: [info('x', [2, 1, 4])],
      nodes: [node('RNN', ['x', 'w', 'r'], ['y'], { hidden_size: units })],
      initializers: [
        stored('w', [1, units, 4], new Float32Array(units * 4)),
        stored('r', [1, units, units], new Float32Array(units * units)),
      ],
    });
    await cli.write('refused.onnx', refused);
    const args = ['compile', 'refused.onnx', '-o', 'none', '--target', 'webgpu', '--tune', 'unmade.json'];
    const { code, stderr } = await cli.run(args, { env: NO_ADAPTER });
    expect(code).not.toBe(0);
    expect(stderr).toContain('1365 units');
    expect(stderr).not.toContain('tuning');
  });
});
