/** A small hostile file must not keep the importer busy. */
import { expect, test } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { codesOf } from '../compiler/import/codes.ts';
import { node, onnxModel, stored, storedInts } from '../support/onnx.ts';

test('work that a small file asks for is bounded', () => {
  const start = performance.now();
  const model = {
    initializers: [
      storedInts('big', [1000, 1000, 1000, 100]),
      stored('base', [], BigInt64Array.of(3n)),
      stored('exponent', [], BigInt64Array.of(2n ** 62n)),
    ],
    nodes: [
      node('ConstantOfShape', ['big'], ['a']),
      node('Relu', ['a'], ['b']),
      node('Pow', ['base', 'exponent'], ['y']),
    ],
  };
  codesOf(() => importOnnx(onnxModel(model)));
  expect(performance.now() - start).toBeLessThan(1000);
});
