import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { encode } from 'fast-png';
import { describe, expect, test } from 'vitest';
import { formatNpy, parseNpy } from '#compiler/files/npy.ts';
import { f32 } from '#ir/tensor.ts';
import { parseGraph } from '#ir/text.ts';
import { useCli } from '../../support/cli.ts';
import { collectionFile, withModels } from '../../support/collection.ts';
import { info, node, onnxModel, stored, type TestModel } from '../../support/onnx.ts';

const cli = useCli();

const small = onnxModel({
  inputs: [info('x', ['batch', 1, 4, 4])],
  nodes: [
    node('Conv', ['x', 'w'], ['c'], { pads: [1n, 1n, 1n, 1n] }),
    node('Relu', ['c'], ['r']),
    node('GlobalAveragePool', ['r'], ['y']),
  ],
  initializers: [
    stored(
      'w',
      [8, 1, 3, 3],
      Float32Array.from({ length: 72 }, (_, i) => (i % 7) - 3),
    ),
  ],
});

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli.run([...args, '-q']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe('run', () => {
  test('reference and wasm on a file of values', async () => {
    await cli.write('small.onnx', small);
    await cli.write(
      'x.npy',
      formatNpy(
        f32(
          [2, 1, 4, 4],
          Float32Array.from({ length: 32 }, (_, i) => i / 32),
        ),
      ),
    );
    const reference = await done('run', 'small.onnx', '--input', 'x=x.npy', '-o', 'reference.npy');
    expect(await done('run', 'small.onnx', '--input', 'x=x.npy', '--backend', 'wasm')).toBe(reference);
    expect(reference).toMatch(/^y +f32 +2×8×1×1/m);
    expect(parseNpy(readFileSync(cli.at('reference.npy')), '').type.shape).toEqual([2, 8, 1, 1]);
  });

  test('JSON, nested or flat; JSON out', async () => {
    await cli.write('small.onnx', small);
    const rows = Array.from({ length: 4 }, (_, i) => Array.from({ length: 4 }, (_, j) => i - j));
    await cli.write('nested.json', JSON.stringify([[rows]]));
    await cli.write('flat.json', JSON.stringify(rows.flat()));
    await cli.write('ragged.json', '[[1,2],[3]]');
    const nested = await done('run', 'small.onnx', '-i', 'x=nested.json', '-o', 'y=out.json');
    expect(await done('run', 'small.onnx', '-i', 'x=flat.json')).toBe(nested);
    expect(JSON.parse(readFileSync(cli.at('out.json'), 'utf8'))).toHaveLength(1);
    expect((await cli.run(['run', 'small.onnx', '-i', 'x=ragged.json'])).code).toBe(2);
  });

  test('64-bit integers in and out, to the last digit', async () => {
    const inputs = [info('x', [1, 2], 7)];
    await cli.write('wide.onnx', onnxModel({ inputs, nodes: [node('Identity', ['x'], ['y'])] }));
    await cli.write('wide.json', '[[9007199254740993, -9223372036854775808]]');
    await done('run', 'wide.onnx', '-i', 'x=wide.json', '-o', 'y=wide-out.json');
    expect(readFileSync(cli.at('wide-out.json'), 'utf8')).toBe('[[9007199254740993,-9223372036854775808]]\n');
  });

  test('data does not change the sizes that a description fixes; --shape does', async () => {
    await cli.write('net.json', JSON.stringify({ input: { name: 'x', shape: [4] }, layers: [{ dense: 2 }] }));
    await cli.write('three.json', '[[1,2,3]]');
    const refused = await cli.run(['run', 'net.json', '-i', 'x=three.json']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('the model fixes it at 4');
    await cli.write('batch.json', '[[1,2,3,4],[5,6,7,8]]');
    await done('run', 'net.json', '-i', 'x=batch.json');
    await done('run', 'net.json', '-i', 'x=three.json', '--shape', 'x=1x3');
  });

  test('values inside the network, to a folder', async () => {
    await cli.write('small.onnx', small);
    const args = ['run', 'small.onnx', '--random', '1', '--outputs', 'r', 'c', '-o', 'out/', '--backend'];
    const reference = await done(...args, 'reference');
    expect(readdirSync(cli.at('out')).sort()).toEqual(['c.npy', 'r.npy']);
    expect(await done(...args, 'wasm')).toBe(reference);
    expect(reference).not.toMatch(/^y /m);
  });

  test('compare, layer by layer', async () => {
    await cli.write('small.onnx', small);
    const table = await done(
      'run',
      'small.onnx',
      '--random',
      '1',
      '--compare',
      'reference,wasm',
      '--per-layer',
    );
    expect(table).toMatch(/^r +Relu +1×8×4×4/m);
    expect(table).toContain('reference and wasm agree');
  });

  test('a model from stdin', async () => {
    const { code, stdout } = await cli.run(['run', '-', '--random', '1', '--quiet'], { stdin: small });
    expect(code).toBe(0);
    expect(stdout).toContain('1×8×1×1');
  });
});

describe('an index outside its axis is refused by name', () => {
  const along = [info('x', [3, 2]), info('i', ['n', 2], 7)];
  const floats = (shape: readonly number[]) => info('u', shape);
  const cases: readonly [string, string, TestModel][] = [
    ['Gather', '[[0, -3], [2, 3]]', { nodes: [node('Gather', ['x', 'i'], ['y'])], inputs: along }],
    [
      'GatherElements',
      '[[0, -3], [2, 3]]',
      { nodes: [node('GatherElements', ['x', 'i'], ['y'])], inputs: along },
    ],
    ['GatherND', '[[0, 1], [3, 0]]', { nodes: [node('GatherND', ['x', 'i'], ['y'])], inputs: along }],
    [
      'ScatterElements',
      '[[0, -3], [2, 3]]',
      { nodes: [node('ScatterElements', ['x', 'i', 'u'], ['y'])], inputs: [...along, floats([2, 2])] },
    ],
    [
      'ScatterND',
      '[[0, 1], [3, 0]]',
      { nodes: [node('ScatterND', ['x', 'i', 'u'], ['y'])], inputs: [...along, floats([2])] },
    ],
  ];
  test.each(cases)('%s', async (op, wrong, model) => {
    const nodes = (model.nodes ?? []).map((n) => ({ ...n, name: 'pick' }));
    await cli.write('pick.onnx', onnxModel({ ...model, nodes }));
    await cli.write('wrong.json', wrong);
    await cli.write('right.json', wrong.replace(/(?<!-)3/, '-1'));
    for (const backend of ['reference', 'wasm']) {
      const args = ['run', 'pick.onnx', '--random', '1', '--backend', backend];
      const { code, stderr } = await cli.run([...args, '-i', 'i=wrong.json']);
      expect(stderr).toContain(
        `error[input-invalid] pick: ${op}: index 3 is outside an axis of 3 positions\n  hint: indices into this axis run from -3 to 2`,
      );
      expect(code).toBe(2);
      await done(...args, '-i', 'i=right.json');
    }
  });

  test('RoiAlign', async () => {
    const inputs = [info('x', [1, 1, 4, 4]), info('r', [1, 4]), info('i', [1], 7)];
    await cli.write('roi.onnx', onnxModel({ inputs, nodes: [node('RoiAlign', ['x', 'r', 'i'], ['y'])] }));
    await cli.write('i.json', '[1]');
    const { code, stderr } = await cli.run(['run', 'roi.onnx', '--random', '1', '-i', 'i=i.json']);
    expect(stderr).toContain('RoiAlign: batch index 1 is outside a batch of 1');
    expect(code).toBe(2);
  });
});

describe('pictures', () => {
  const width = 6;
  const height = 4;
  const pixels = Uint8Array.from({ length: 4 * width * height }, (_, i) =>
    i % 4 === 3 ? 255 : (i * 37) % 256,
  );
  const mirror = onnxModel({
    inputs: [info('image', ['batch', 3, height, width])],
    nodes: [node('Identity', ['image'], ['y']), node('GlobalAveragePool', ['image'], ['mean'])],
    outputs: ['y', 'mean'],
  });
  const files = async () => {
    await cli.write('mirror.onnx', mirror);
    await cli.write('p.png', encode({ width, height, data: pixels, channels: 4, depth: 8 }));
  };
  const values = (file: string) => [...parseNpy(readFileSync(cli.at(file)), '').data].map(Number);

  test('are scaled, normalised and reordered as the options say', async () => {
    await files();
    const run = async (...options: string[]) => {
      await done('run', 'mirror.onnx', '-i', 'image=p.png', '-o', 'y=y.npy', ...options);
      return values('y.npy');
    };
    const plane = (c: number) =>
      Array.from({ length: width * height }, (_, i) => (pixels[4 * i + c] ?? 0) / 255);
    const close = (got: number[], want: number[]) =>
      expect(Math.max(...got.map((x, i) => Math.abs(x - (want[i] ?? Number.NaN))))).toBeLessThan(1e-5);
    close(await run(), [0, 1, 2].flatMap(plane));
    close(
      await run('--channels', 'bgr', '--scale', '1', '--mean', '1,2,3', '--std', '2'),
      [2, 1, 0].flatMap((c, k) => plane(c).map((x) => (255 * x - k - 1) / 2)),
    );
    const imagenet = await run('--preprocess', 'imagenet');
    close(await run('--mean', '0.485,0.456,0.406', '--std', '0.229,0.224,0.225'), imagenet);
    close(
      await run('--preprocess', '{"mean":[0.485,0.456,0.406],"std":1}', '--std', '0.229,0.224,0.225'),
      imagenet,
    );
  });

  test('go to a bundle that takes their bytes, at the size that it takes', async () => {
    await files();
    await cli.write('how.json', JSON.stringify({ mean: 0.5, std: 0.5, resize: 'cover' }));
    await done('compile', 'mirror.onnx', '-o', 'seen', '--preprocess', 'how.json');
    await done('run', 'seen', '-i', 'image=p.png', '-o', 'y=inside.npy');
    await done('run', 'mirror.onnx', '-i', 'image=p.png', '-o', 'y=outside.npy', '--preprocess', 'how.json');
    const outside = values('outside.npy');
    expect(Math.max(...values('inside.npy').map((x, i) => Math.abs(x - (outside[i] ?? 0))))).toBeLessThan(
      1e-5,
    );
    const { code, stderr } = await cli.run(['run', 'seen', '-i', 'image=p.png', '--mean', '0.5']);
    expect(code).toBe(2);
    expect(stderr).toContain('the model takes bytes, and normalises them itself');
  });

  test('the largest outputs, with their labels', async () => {
    await files();
    await cli.write('labels.txt', 'red\ngreen\nblue\n');
    const args = ['run', 'mirror.onnx', '-i', 'image=p.png', '--outputs', 'mean', '--top', '2'];
    const table = await done(...args, '--labels', 'labels.txt');
    expect(table).toMatch(/^mean\nrank +index +value +label\n +1 +\d +[\d.]+ +(red|green|blue)\n +2 /);
    const { top } = JSON.parse(await done(...args, '--format', 'json'));
    expect(top).toMatchObject([{ output: 'mean', row: [], entries: [{}, {}] }]);
    await cli.write('labels.json', '["one"]');
    const { code, stderr } = await cli.run([...args, '--labels', 'labels.json']);
    expect(code).toBe(2);
    expect(stderr).toContain('it has 1 labels');
  });

  test('what is wrong is told', async () => {
    await files();
    await cli.write(
      'gray.onnx',
      onnxModel({ inputs: [info('x', [1, 5])], nodes: [node('Relu', ['x'], ['y'])] }),
    );
    for (const [message, ...args] of [
      ['which is no picture of 1, 3 or 4 channels', 'gray.onnx', '-i', 'x=p.png'],
      ['one picture was given; the model asks for 2', 'mirror.onnx', '-i', 'image=p.png', '--dim', 'batch=2'],
      ['"nope" is none of imagenet', 'mirror.onnx', '-i', 'image=p.png', '--preprocess', 'nope'],
      ['a number is expected', 'mirror.onnx', '-i', 'image=p.png', '--mean', 'a,b'],
      ['give --resize contain too', 'mirror.onnx', '-i', 'image=p.png', '--pad', '5'],
      ['it goes with --top', 'mirror.onnx', '-i', 'image=p.png', '--labels', 'x'],
    ]) {
      const { code, stderr } = await cli.run(['run', ...args]);
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
  });
});

describe('options of pictures that are wrong', () => {
  const picture = Uint8Array.from({ length: 4 * 4 * 4 }, (_, i) => i);
  const files = async () => {
    await cli.write(
      'see.onnx',
      onnxModel({ inputs: [info('image', [1, 3, 4, 4])], nodes: [node('Relu', ['image'], ['y'])] }),
    );
    await cli.write('p.png', encode({ width: 4, height: 4, data: picture, channels: 4, depth: 8 }));
    await cli.write('twice.json', '{\n  "mean": 0.5,\n  "mean": 0.4\n}');
    await cli.write('comma.json', '{\n  "mean": 0.5,\n}');
  };
  const run = ['run', 'see.onnx', '-i', 'image=p.png'];
  const compile = ['compile', 'see.onnx', '-o', 'never'];

  test.each<[string, readonly string[], string, string]>([
    [
      'a mean beyond f32 is no failed self-check',
      [...compile, '--preprocess', '{"mean":[1e39,0,0]}'],
      '--preprocess.mean[0]: expected a number',
      'the largest is 3.40',
    ],
    [
      'nor is it as an option of its own',
      [...run, '--mean', '1e39,0,0'],
      '--mean 1e39,0,0: a number',
      'for example --mean 0.485,0.456,0.406',
    ],
    [
      'a key twice in JSON',
      [...compile, '--preprocess', '{"mean":0.5,"mean":0.4}'],
      '--preprocess.mean: "mean" stands twice in one object, in line 1',
      'keep one of them',
    ],
    [
      'a key twice in a file',
      [...run, '--preprocess', 'twice.json'],
      'twice.json.mean: "mean" stands twice in one object, in lines 2 and 3',
      'keep one of them',
    ],
    [
      'no JSON in a file',
      [...compile, '--preprocess', 'comma.json'],
      'comma.json: this is not JSON at line 3, column 1',
      'take the comma before it away',
    ],
    [
      'no JSON',
      [...run, '--preprocess', '{"mean":0.5'],
      '--preprocess: this is not JSON at line 1, column 12',
      'the text ends too early: } is missing',
    ],
    [
      'quotes that a shell took away',
      [...run, '--preprocess', '{mean:0.5}'],
      '--preprocess: the keys have no double quotes',
      `--preprocess '{"mean":0.5}'`,
    ],
    [
      'padding without contain',
      [...compile, '--preprocess', '{"resize":"cover","pad":3}'],
      '--preprocess.pad: only a picture that is contained has something around it',
      'write "resize": "contain" too',
    ],
    [
      'too few means',
      [...run, '--mean', '1,2'],
      'image: mean has 2 numbers; the network has 3 channels',
      'write one number for all channels, as 0.5, or 3 in the order rgb, as 0.485,0.456,0.406',
    ],
    [
      'no deviation',
      [...run, '--std', '0'],
      '--std 0: a number other than 0',
      'for example --std 0.229,0.224,0.225',
    ],
    [
      'no scale',
      [...run, '--scale', '0/255'],
      '--scale 0/255: a number other than 0',
      'for example --scale 1/255',
    ],
    ['no number', [...run, '--mean', 'a,b'], '--mean a: a number is expected', 'for example --mean 0.485'],
    [
      'no byte',
      [...run, '--resize', 'contain', '--pad', '300'],
      '--pad 300: a number from 0 to 255 is expected',
      'for example --pad 114',
    ],
    ['labels of nothing', [...run, '--labels', 'l.txt'], '--labels: it goes with --top', 'give --top 5 too'],
    ['half an element', [...run, '--top', '2.5'], '--top 2.5: a whole number', 'write --top 2 or --top 3'],
    [
      'a word for a seed',
      [...run, '--random', 'abc'],
      '--random abc: a whole number',
      'for example --random 4',
    ],
  ])('%s', async (_, args, message, hint) => {
    await files();
    const { code, stdout, stderr } = await cli.run(args);
    expect(stderr).toContain(`error[usage-invalid] ${message}`);
    expect(stderr).toMatch(/^ {2}hint: /m);
    expect(stderr).toContain(hint);
    expect(stderr).not.toContain('COMMAND --help');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(existsSync(cli.at('never'))).toBe(false);
  });
});

describe('a bundle for several sizes', () => {
  test('is picked from by the input', async () => {
    await cli.write('small.onnx', small);
    const table = await cli.run([
      'compile',
      'small.onnx',
      '-o',
      'sizes',
      '--shape',
      'x=1x1x4x4',
      '--shape',
      'x=3x1x4x4',
    ]);
    expect(table.stdout).toMatch(/x f32 1×1×4×4 → y f32 1×8×1×1\n +x f32 3×1×4×4 → y f32 3×8×1×1/);
    expect(table.stdout).toContain('by 2 specialisations');
    await cli.write('flat.json', JSON.stringify(Array.from({ length: 48 }, (_, i) => i)));
    expect(await done('run', 'sizes', '-i', 'x=flat.json')).toMatch(/^y +f32 +3×8×1×1/m);
    expect(await done('run', 'sizes', '--random', '1')).toMatch(/^y +f32 +1×8×1×1/m);
    expect(await done('run', 'sizes', '--random', '1', '--shape', 'x=3x1x4x4')).toMatch(/^y +f32 +3×8×1×1/m);
    const wrong = async (...options: string[]) => {
      const { code, stderr } = await cli.run(['run', 'sizes', ...options]);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await wrong('--random', '1', '--shape', 'x=2x1x4x4')).toContain(
      'error[dimension-invalid] --shape x=2x1x4x4: the bundle is not compiled for this size\n' +
        '  hint: it runs at --shape x=1x1x4x4, or --shape x=3x1x4x4;',
    );
    expect(await wrong('--random', '1', '--shape', 'y=2x1x4x4')).toContain('there is x');
    expect(await wrong('--shape', 'x=1x1x4x4', '-i', 'x=flat.json')).toContain(
      'the file has 48 numbers (48), the model asks for f32[1,1,4,4]',
    );
    await cli.write('flat.json', '[1,2]');
    const stderr = await wrong('-i', 'x=flat.json');
    expect(stderr).toContain(
      'x: the file has 2 numbers (2); the bundle runs x f32[1,1,4,4], or x f32[3,1,4,4]',
    );
    expect(await done('verify', 'sizes')).toContain('sound');
  });
});

describe('compile, run and verify a bundle', () => {
  test('the whole way', async () => {
    await cli.write('small.onnx', small);
    const { code, stdout, stderr } = await cli.run([
      'compile',
      'small.onnx',
      '-o',
      'bundle',
      '--check',
      'full',
    ]);
    expect(code).toBe(0);
    expect(stderr).toContain('note[batch-assumed]');
    expect(stdout).toMatch(/model\.wasm +[\d.]+ (B|KiB)/);
    expect(stdout).toContain('wrote bundle');
    expect(await done('verify', 'bundle')).toContain('sound');
    expect(await done('run', 'bundle', '--random', '1')).toBe(
      await done('run', 'small.onnx', '--random', '1', '--backend', 'wasm'),
    );
    // a bundle may be replaced without more ado
    expect(await done('compile', 'small.onnx', '-o', 'bundle')).toBe('');
  });

  test('for WebGPU alone', async () => {
    await cli.write('small.onnx', small);
    const { stdout } = await cli.run(['compile', 'small.onnx', '-o', 'gpu', '--target', 'webgpu']);
    expect(stdout).toMatch(/kernels\.wgsl +[\d.]+ (B|KiB)/);
    expect(stdout).toContain('layers on WebAssembly against the reference');
    expect(stdout).not.toMatch(/\.wasm|weights\.bin/);
    expect(await done('verify', 'gpu')).toContain('the self-test runs on a GPU only');
    const nowhere = { env: { VK_ICD_FILENAMES: '/nowhere', NODEVICE_SELECT: '1' } };
    const run = await cli.run(['run', 'gpu', '--random', '1'], nowhere);
    expect(run.stderr).toContain('gpu-missing');
    expect(run.code).toBe(4);
  });

  test('what a bundle cannot do', async () => {
    await cli.write('small.onnx', small);
    await done('compile', 'small.onnx', '-o', 'b');
    for (const more of [
      ['--backend', 'reference'],
      ['--outputs', 'r'],
      ['--compare', 'reference,wasm'],
      ['--dim', 'batch=2'],
    ]) {
      const { code, stderr } = await cli.run(['run', 'b', '--random', '1', ...more]);
      expect(stderr).toContain('give the ONNX file instead of the bundle');
      expect(code).toBe(2);
    }
    await cli.write('flat.npy', formatNpy(f32([16], new Float32Array(16))));
    const { code, stderr } = await cli.run(['run', 'b', '-i', 'x=flat.npy']);
    expect(stderr).toContain(
      'hint: save an array of shape (1, 1, 4, 4); array.reshape(1, 1, 4, 4) is one if the numbers are in its order',
    );
    expect(code).toBe(2);
  });

  test('a damaged bundle', async () => {
    await cli.write('small.onnx', small);
    await done('compile', 'small.onnx', '-o', 'damaged');
    const weights = readFileSync(cli.at('damaged/weights.bin'));
    weights[5] = (weights[5] ?? 0) ^ 1;
    writeFileSync(cli.at('damaged/weights.bin'), weights);
    for (const args of [
      ['verify', 'damaged'],
      ['run', 'damaged', '--random', '1'],
    ]) {
      const { code, stdout, stderr } = await cli.run(args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain('error[bundle-corrupt]');
    }
  });
});

test('JSON for machines', async () => {
  await cli.write('small.onnx', small);
  const json = async (...args: readonly string[]) => JSON.parse(await done(...args, '--format', 'json'));
  expect(await json('compile', 'small.onnx', '-o', 'j')).toMatchObject({
    folder: 'j',
    stats: { macs: 1152 },
  });
  expect(await json('verify', 'j')).toMatchObject({ sound: true, name: 'small' });
  expect(await json('run', 'j', '--random', '1')).toMatchObject({
    outputs: [{ name: 'y', shape: [1, 8, 1, 1] }],
  });
  expect(await json('run', 'small.onnx', '--random', '1', '--compare', 'wasm,reference')).toMatchObject({
    backends: ['wasm', 'reference'],
    firstBeyond: null,
    outputs: [{ value: 'y' }],
  });
});

describe('the process', () => {
  test('an interruption ends it with 130 and leaves no file', async () => {
    const nodes = Array.from({ length: 400 }, (_, i) =>
      node('Conv', [i === 0 ? 'x' : `v${i}`, 'w'], [i === 399 ? 'y' : `v${i + 1}`], {
        pads: [1n, 1n, 1n, 1n],
      }),
    );
    const long = onnxModel({
      inputs: [info('x', [1, 16, 32, 32])],
      nodes,
      initializers: [stored('w', [16, 16, 3, 3], new Float32Array(16 * 16 * 9).fill(0.01))],
    });
    await cli.write('long.onnx', long);
    const { code, stdout, stderr } = await cli.run(['run', 'long.onnx', '--random', '1', '-o', 'long.npy'], {
      started: (kill) => setTimeout(() => kill('SIGINT'), 1500),
    });
    expect({ code, stdout, stderr }).toEqual({ code: 130, stdout: '', stderr: 'interrupted\n' });
    expect(existsSync(cli.at('long.npy'))).toBe(false);
  });

  test('a reader that goes away is no error', async () => {
    const wide = onnxModel({
      inputs: [info('x', [1, 1, 4, 4])],
      nodes: [node('Conv', ['x', 'w'], ['y'])],
      initializers: [
        stored(
          'w',
          [40000, 1, 1, 1],
          Float32Array.from({ length: 40000 }, (_, i) => i),
        ),
      ],
    });
    await cli.write('wide.onnx', wide);
    const command = `"${process.execPath}" "${cli.entry}" ir wide.onnx --full | head -c 10`;
    const { stdout, stderr } = await promisify(execFile)('sh', ['-c', command], { cwd: cli.at('.') });
    expect({ stdout, stderr }).toEqual({ stdout: 'graph "wid', stderr: '' });
  });

  test('colours only where asked for', async () => {
    await cli.write('small.onnx', small);
    const plain = await cli.run(['audit', 'small.onnx']);
    const forced = await cli.run(['audit', 'small.onnx'], { env: { FORCE_COLOR: '1' } });
    const both = await cli.run(['audit', 'small.onnx'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } });
    expect(plain.stdout).not.toContain('\u001b');
    expect(forced.stdout).toContain('\u001b[1m');
    expect(both.stdout).toBe(plain.stdout);
  });

  test('the format goes by the name of the file', async () => {
    await cli.write('small.onnx', small);
    for (const name of ['a.json', 'a.csv', 'a.md', 'a.dot', 'a.svg', 'a.txt'])
      await done('audit', 'small.onnx', '-o', name);
    const text = (name: string) => readFileSync(cli.at(name), 'utf8');
    expect(JSON.parse(text('a.json')).model).toBe('small');
    expect(text('a.csv')).toMatch(/^name,module,op/);
    expect(text('a.md')).toMatch(/^# small/);
    expect(text('a.dot')).toMatch(/^digraph/);
    expect(text('a.svg')).toContain('<svg');
    expect(text('a.txt')).toContain('MACs');
  });

  test('the text that ir --full prints is the graph', async () => {
    await cli.write('small.onnx', small);
    expect(parseGraph(await done('ir', 'small.onnx', '--full')).nodes).toHaveLength(3);
  });
});

withModels.test('mnist: reference and wasm agree at every layer', async () => {
  const model = collectionFile('models/mnist-vgg.onnx');
  const table = await done('run', model, '--random', '1', '--compare', 'reference,wasm', '--per-layer');
  expect(table).toContain('reference and wasm agree');
  expect(table.match(/ Relu /g)).toHaveLength(6);
});
