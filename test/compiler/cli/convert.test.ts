import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { importModel } from '#compiler/import/index.ts';
import { useCli } from '../../support/cli.ts';
import { compareGraphs } from '../../support/graphs.ts';

const cli = useCli();
const NET = {
  name: 'tiny',
  input: { name: 'image', shape: [4, 12, 12] },
  layers: [
    { conv: { channels: 8, norm: 'batch', activation: 'relu' }, name: 'stem' },
    { grouped: { channels: 8, groups: 4, shuffle: true } },
    { add: [[], [{ depthwiseSeparable: 8 }]] },
    'globalPool',
    'flatten',
    { dense: 5, name: 'logits' },
  ],
};

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli.run(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

const load = (name: string) =>
  importModel(new Uint8Array(readFileSync(cli.at(name))), {
    externalData: (file) => new Uint8Array(readFileSync(cli.at(file))),
  }).graph;

test('from JSON to ONNX and back, with the same results', async () => {
  await cli.write('net.json', JSON.stringify(NET));
  await done('convert', 'net.json', '-o', 'net.onnx');
  await done('convert', 'net.onnx', '-o', 'back.json');
  expect(compareGraphs(load('net.json'), load('net.onnx'))).toBeLessThan(1e-6);
  expect(compareGraphs(load('net.json'), load('back.json'))).toBeLessThan(1e-6);
  const back = JSON.parse(readFileSync(cli.at('back.json'), 'utf8'));
  expect(back.weights).toBe('back.safetensors');
  expect(back.layers.some((l: object) => 'channelShuffle' in l)).toBe(true);
});

test('every command takes a description', async () => {
  await cli.write('net.json', JSON.stringify(NET));
  expect(await done('audit', 'net.json')).toContain('grouped');
  expect(await done('ir', 'net.json', '--after', 'graph')).toContain('ChannelShuffle');
  expect(await done('run', 'net.json', '--random', '1', '--compare', 'reference,wasm')).toContain('logits');
  await done('compile', 'net.json', '-o', 'bundle', '-q');
  expect(await done('verify', 'bundle')).toContain('sound');
});

test('what is wrong is told, with the exit code of an invalid model', async () => {
  await cli.write(
    'wrong.json',
    JSON.stringify({ input: [32, 8, 8], layers: [{ conv: { channels: 8, groups: 3 } }] }),
  );
  const wrong = await cli.run(['audit', 'wrong.json']);
  expect(wrong.code).toBe(3);
  expect(wrong.stderr).toContain('layers[0].conv.groups: 3 does not divide 32 input channels');
  await cli.write('broken.json', '{ "input": [3, 8, 8], }');
  const broken = await cli.run(['audit', 'broken.json']);
  expect(broken).toMatchObject({ code: 3 });
  expect(broken.stderr).toContain('error[json-malformed] broken.json: this is not JSON at line 1, column 23');
  expect(await cli.run(['convert', 'wrong.json', '-o', 'x.txt'])).toMatchObject({ code: 2 });
});
