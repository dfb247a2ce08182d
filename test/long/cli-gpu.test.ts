/** The backend webgpu of `run` and `bench`, on the software adapter. */
import { readFileSync } from 'node:fs';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { auditSchema } from '#compiler/audit/schema.ts';
import { benchSchema } from '#compiler/bench/report-schema.ts';
import { renderBench } from '#compiler/cli/bench-table.ts';
import { parseNpy } from '#compiler/files/npy.ts';
import { parseProfileOf } from '#compiler/tune/profile.ts';
import { parseTuning } from '#compiler/tune/tuning.ts';
import { useCli } from '../support/cli.ts';
import { info, node, onnxModel, small, stored } from '../support/onnx.ts';
import { SWIFTSHADER, vulkanEnvironment, withAdapter } from '../support/webgpu.ts';

const cli = useCli();
const env = vulkanEnvironment(SWIFTSHADER);

const ran = async (args: readonly string[]) => {
  await cli.write('small.onnx', small);
  return cli.run(args, { env });
};

withAdapter.test('run --backend webgpu says on what it runs', async () => {
  const { code, stdout, stderr } = await ran(['run', 'small.onnx', '--random', '1', '--backend', 'webgpu']);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/^webgpu: google swiftshader.* \(software\)\n$/),
  });
  expect(stdout).toMatch(/^y +f32 +1×8×6×6/mu);
});

withAdapter.test('run --compare takes it as a side', async () => {
  const { code, stdout } = await ran(['run', 'small.onnx', '--random', '1', '--compare', 'reference,webgpu']);
  expect(code).toBe(0);
  expect(stdout).toContain('reference and webgpu agree');
});

withAdapter.test('run takes the kernels of a bundle, and says where there are none', async () => {
  expect((await ran(['compile', 'small.onnx', '-o', 'both', '--target', 'wasm,webgpu', '-q'])).code).toBe(0);
  expect((await ran(['compile', 'small.onnx', '-o', 'plain', '-q'])).code).toBe(0);
  const args = (folder: string, backend: string) => ['run', folder, '--random', '1', '--backend', backend];
  const gpu = await ran([...args('both', 'webgpu'), '-o', 'gpu.npy', '-q']);
  expect(gpu).toMatchObject({ code: 0, stderr: '' });
  expect((await ran([...args('both', 'wasm'), '-o', 'wasm.npy', '-q'])).code).toBe(0);
  const [got, want] = ['gpu.npy', 'wasm.npy'].map((file) => parseNpy(readFileSync(cli.at(file)), file));
  expect(got?.type).toEqual(want?.type);
  want?.data.forEach((x, i) => {
    expect(Number(got?.data[i])).toBeCloseTo(Number(x), 5);
  });
  const plain = await ran(args('plain', 'webgpu'));
  expect(plain.code).toBe(2);
  expect(plain.stderr).toContain('plain has no kernels for WebGPU');
  expect(plain.stderr).toContain('--target wasm,webgpu');
});

withAdapter.test('run takes a bundle for WebGPU alone, whose kernels alone are tuned', async () => {
  const args = [
    'compile',
    'small.onnx',
    '-o',
    'alone',
    '--target',
    'webgpu',
    '--tune',
    'alone.json',
    '--tune-software',
  ];
  const compiled = await ran(args);
  expect(compiled.code).toBe(0);
  expect(compiled.stderr).toContain('tuning for WebGPU: no layer shape was measured');
  expect(compiled.stderr).not.toMatch(/^tuning: /m);
  const { code, stdout, stderr } = await ran(['run', 'alone', '--random', '1']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^webgpu: google swiftshader/) });
  expect(stdout).toBe((await ran(['run', 'small.onnx', '--random', '1', '--backend', 'webgpu'])).stdout);
});

withAdapter.test('bench --backend webgpu times each dispatch, and compares with WebAssembly', async () => {
  const args = ['bench', 'small.onnx', '--backend', 'webgpu', '--rounds', '2', '--json'];
  const { code, stdout, stderr } = await ran(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const report = benchSchema.parse(JSON.parse(stdout));
  expect(report).toMatchObject({ backend: 'webgpu', gpu: { software: true, precision: 'f32' } });
  expect(report.ours.name).toBe('convolith on WebGPU');
  expect(report.other?.name).toBe('convolith on WebAssembly');
  expect(report.other?.deviation).toBeLessThan(1e-5);
  const kernels = report.layers.flatMap(({ dispatches = [] }) => dispatches);
  expect(kernels).toHaveLength(report.gpu?.dispatches ?? 0);
  for (const layer of report.layers)
    expect(new Set(layer.dispatches?.map(({ kernel }) => kernel))).toEqual(new Set(layer.kernels));
  expect(report.layers.find(({ name }) => name === 'stem')?.macs).toBe(36 * 288);
  const table = renderBench(report, { width: 120, colours: pc.createColors(false) });
  expect(table).toMatch(/^on google swiftshader.* \(software\), f32, \d+ dispatch(es)? a run$/m);
  expect(table).toMatch(/^stem +Conv .* conv_/m);
  expect(table).toContain('this says nothing about a GPU');
});

withAdapter.test('calibrate --backend webgpu measures what audit and bench predict from', async () => {
  const { code, stdout } = await ran(['calibrate', '--backend', 'webgpu', '-o', 'gpu.json']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^google swiftshader.* \(software\)$/m);
  expect(stdout).toContain('wrote gpu.json');
  const audited = await ran(['audit', 'small.onnx', '--device', 'gpu.json', '--format', 'json']);
  const { roofline } = auditSchema.parse(JSON.parse(audited.stdout));
  expect(roofline?.device).toMatch(/^google swiftshader.* \(software\)$/);
  const args = ['bench', 'small.onnx', '--backend', 'webgpu', '--against', 'none', '--rounds', '1', '--json'];
  const report = benchSchema.parse(JSON.parse((await ran([...args, '--profile', 'gpu.json'])).stdout));
  expect(report.ours.predictedMs).toBeCloseTo((roofline?.totalUs ?? 0) / 1e3, 9);
  // layers are timed, and predicted, without what the host takes for a dispatch
  const { dispatchNs } = parseProfileOf('webgpu', JSON.parse(readFileSync(cli.at('gpu.json'), 'utf8')));
  const calls = report.layers.flatMap(({ op, dispatches = [] }) => (op === '' ? [] : dispatches));
  const host = (calls.length * dispatchNs) / 1e6;
  expect(report.layersTotal?.predictedMs).toBeCloseTo((report.ours.predictedMs ?? 0) - host, 9);
  const wrong = await ran(['bench', 'small.onnx', '--profile', 'gpu.json']);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('gpu.json: this is a profile of webgpu; one of wasm is needed');
});

withAdapter.test('compile --tune measures a software adapter where that is asked for', async () => {
  const wide = onnxModel({
    inputs: [info('x', [1, 16, 20, 20])],
    nodes: [node('Conv', ['x', 'w'], ['y'], {}, { name: 'stem' })],
    initializers: [
      stored(
        'w',
        [16, 16, 3, 3],
        Float32Array.from({ length: 2304 }, (_, i) => Math.sin(i)),
      ),
    ],
  });
  await cli.write('wide.onnx', wide);
  const args = ['compile', 'wide.onnx', '-o', 'tuned', '--target', 'wasm,webgpu', '--tune', 'tuning.json'];
  const without = await ran(args);
  expect(without.code).toBe(0);
  expect(without.stderr).toContain('nothing was measured: google swiftshader');
  expect(without.stderr).toContain('--tune-software measures it all the same');
  const { code, stderr } = await ran([...args, '--tune-software']);
  expect(code).toBe(0);
  expect(stderr).toContain('tuning for WebGPU: 1 layer shape measured');
  const [entry] = parseTuning(JSON.parse(readFileSync(cli.at('tuning.json'), 'utf8'))).adapters ?? [];
  expect(entry).toMatchObject({ engine: expect.stringMatching(/^Dawn of webgpu \d/), precision: 'f32' });
  expect((await ran([...args, '--tune-software'])).stderr).toContain('1 known before');
});

withAdapter.test('bench refuses half precision on a device that has none', async () => {
  const args = ['bench', 'small.onnx', '--backend', 'webgpu', '--gpu-precision', 'f16', '--json'];
  const { code, stdout, stderr } = await ran(args);
  expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
  expect(stderr).toContain('error[gpu-refused] google swiftshader');
  expect(stderr).toContain('no shader-f16');
});

test('without an adapter the error says what is missing', async () => {
  await cli.write('small.onnx', small);
  const args = ['run', 'small.onnx', '--random', '1', '--backend', 'webgpu'];
  const { code, stderr } = await cli.run(args, {
    env: { VK_ICD_FILENAMES: '/nowhere', NODEVICE_SELECT: '1' },
  });
  expect(code).toBe(4);
  expect(stderr).toContain('error[gpu-missing] webgpu: there is no adapter');
  expect(stderr).toContain('install a driver');
});

test.each([
  [['bench', 'small.onnx', '--against', 'wasm'], '--against wasm: that is what is timed'],
  [['bench', 'small.onnx', '--gpu-precision', 'f16'], '--gpu-precision: it goes with --backend webgpu'],
  [
    ['bench', 'small.onnx', '--backend', 'webgpu', '--gpu-precision', 'f16', '--profile', 'gpu.json'],
    '--profile: times are predicted for f32',
  ],
  [['bench', 'small.onnx', '--backend', 'webgpu', '--against', 'onnxruntime-web'], 'says nothing of a GPU'],
  [
    ['run', 'small.onnx', '--compare', 'wasm,webgpu', '--per-layer'],
    'values between the layers are not read',
  ],
  [['compile', 'small.onnx', '-o', 'out', '--tune-software'], '--tune-software: it is about measuring'],
])('%j is refused', async (args, message) => {
  const { code, stderr } = await ran(args);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});
