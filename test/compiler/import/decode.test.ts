import { describe, expect, test } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { info, node, onnxModel, stored, subgraph } from '../../support/onnx.ts';
import { codesOf } from './codes.ts';

const relu = onnxModel({ nodes: [node('Relu', ['x'], ['y'])], inputs: [info('x', [1, 2])] });

describe('files that are not whole models', () => {
  test('a file cut anywhere is truncated', () => {
    for (let length = 0; length < relu.length; length++) {
      expect(codesOf(() => importOnnx(relu.subarray(0, length)))).toEqual(['onnx-truncated']);
    }
  });

  test.each([
    ['an HTML page', '<!DOCTYPE html><html><body>404</body></html>', /HTML/],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', /Git LFS pointer/],
    ['a zip archive', 'PK\u0003\u0004 and so on', /zip/],
    ['text', 'hello, this is not a model at all', /text, neither an ONNX model/],
  ])('%s is malformed, and the message says what it looks like', (_, text, message) => {
    const read = () => importOnnx(new TextEncoder().encode(text));
    expect(codesOf(read)).toEqual(['onnx-malformed']);
    expect(read).toThrow(message);
  });

  test('a model without a graph is malformed', () => {
    expect(codesOf(() => importOnnx(Uint8Array.of(0x12, 1, 0x61)))).toEqual(['onnx-malformed']);
  });

  test('branches nested beyond reason are malformed, not a stack overflow', () => {
    let inner = subgraph({ nodes: [node('Relu', ['x'], ['y'])] });
    for (let depth = 0; depth < 200; depth++) {
      const branches = { then_branch: { graph: inner }, else_branch: { graph: inner } };
      // one branch only, so that the file stays small
      const { then_branch } = branches;
      inner = subgraph({ nodes: [node('If', ['c'], ['y'], { then_branch })] });
    }
    const model = onnxModel({
      nodes: inner.node ?? [],
      inputs: [info('x', [1])],
      initializers: [stored('c', [], Uint8Array.of(1), 9)],
    });
    expect(codesOf(() => importOnnx(model))).toEqual(['onnx-malformed']);
  });
});

test('errors carry the name that the caller gives the file', () => {
  try {
    importOnnx(new Uint8Array(), { name: 'nothing.onnx' });
    expect.unreachable();
  } catch (error) {
    expect(error instanceof CompileError && error.diagnostics[0]?.subject).toBe('nothing.onnx');
  }
});
