/** What is told of files that are not what a model or a bundle asks for. */
import { beforeAll, describe, expect, test } from 'vitest';
import { formatNpy } from '#compiler/files/npy.ts';
import { f32 } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { useCli } from '../../support/cli.ts';
import { info, node, onnxModel } from '../../support/onnx.ts';

const cli = useCli();

const relu = (...shape: (number | string)[]) =>
  onnxModel({ inputs: [info('image', shape)], nodes: [node('Relu', ['image'], ['y'])] });
const npy = (...shape: Shape) => formatNpy(f32(shape, new Float32Array(elementCount(shape))));

beforeAll(async () => {
  await cli.write('fixed.onnx', relu(1, 3, 8, 8));
  await cli.write('open.onnx', relu('batch', 3, 'height', 'width'));
  await cli.write(
    'pair.onnx',
    onnxModel({
      inputs: [info('a', ['batch', 2]), info('b', ['batch', 2])],
      nodes: [node('Add', ['a', 'b'], ['y'])],
    }),
  );
  await cli.write('nhwc.npy', npy(1, 8, 8, 3));
  await cli.write('chw.npy', npy(3, 8, 8));
  await cli.write('hwc.npy', npy(6, 4, 3));
  await cli.write('four.npy', npy(1, 4, 8, 8));
  await cli.write('flat.npy', npy(192));
  await cli.write('two.npy', npy(2, 2));
  await cli.write('three.npy', npy(3, 2));
  for (const args of [
    ['fixed.onnx', '-o', 'fixed'],
    ['open.onnx', '-o', 'sizes', '--shape', 'image=1x3x8x8', '--shape', 'image=1x3x6x4'],
  ]) {
    const { code, stderr } = await cli.run(['compile', ...args, '-q']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  }
});

async function refused(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli.run(['run', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).not.toContain('COMMAND --help');
  return stderr;
}

const has = (what: string, hint: string) =>
  `error[input-invalid] image: the file has ${what}\n  hint: ${hint}\n`;

describe('a file of another shape', () => {
  const nhwc = has(
    'f32[1,8,8,3], the model asks for f32[1,3,8,8]',
    'put its axes in this order, as by array.transpose(0, 3, 1, 2)',
  );
  const chw = has(
    'f32[3,8,8], the model asks for f32[1,3,8,8]',
    'give it this shape, as by array.reshape(1, 3, 8, 8)',
  );

  test('with channels last, a bundle and a model hint to transpose it, not to reshape it', async () => {
    for (const what of ['fixed', 'fixed.onnx', 'open.onnx'])
      expect(await refused(what, '-i', 'image=nhwc.npy')).toBe(nhwc);
  });

  test('without a batch, a model tells the shape of the file, not of one that was given', async () => {
    for (const what of ['fixed', 'fixed.onnx', 'open.onnx'])
      expect(await refused(what, '-i', 'image=chw.npy')).toBe(chw);
    expect(await refused('open.onnx', '-i', 'image=hwc.npy')).toBe(
      has(
        'f32[6,4,3], the model asks for f32[1,3,6,4]',
        'put its axes in this order, as by array.reshape(1, 6, 4, 3).transpose(0, 3, 1, 2)',
      ),
    );
  });

  test('that fits in no order', async () => {
    expect(await refused('fixed.onnx', '-i', 'image=four.npy')).toBe(
      has('f32[1,4,8,8], the model asks for f32[1,3,8,8]', 'save an array of shape (1, 3, 8, 8)'),
    );
    expect(await refused('open.onnx', '-i', 'image=four.npy')).toContain(
      'image: axis 1 is given as 4; the model fixes it at 3; the file has f32[1,4,8,8]\n',
    );
    expect(await refused('fixed.onnx', '-i', 'image=flat.npy')).toContain('the file has f32[192], the model');
  });

  test('than that of another file', async () => {
    expect(await refused('pair.onnx', '-i', 'a=two.npy', '-i', 'b=three.npy')).toContain(
      'b: axis 0 ("batch") is given as 3, and elsewhere as 2; the file has f32[3,2]\n',
    );
  });

  test('than --shape is still the model at the size of --shape', async () => {
    expect(await refused('open.onnx', '-i', 'image=hwc.npy', '--shape', 'image=1x3x6x4')).toContain(
      'the file has f32[6,4,3], the model asks for f32[1,3,6,4]',
    );
    expect(await refused('fixed.onnx', '-i', 'image=chw.npy', '--shape', 'image=3x8x8')).toContain(
      'error[dimension-invalid] image: the given shape has 3 dimensions',
    );
  });

  test('for an input that there is not', async () => {
    expect(await refused('fixed.onnx', '-i', 'imge=nhwc.npy')).toContain(
      'error[input-invalid] imge: there is no input of this name; there is image\n  hint: did you mean image?',
    );
  });

  test('than those of a bundle of several sizes: what the file has, and what to do', async () => {
    const sizes = 'the bundle runs image f32[1,3,8,8], or image f32[1,3,6,4]';
    expect(await refused('sizes', '-i', 'image=hwc.npy')).toBe(
      has(
        `f32[6,4,3]; ${sizes}`,
        'put its axes in this order, as by array.reshape(1, 6, 4, 3).transpose(0, 3, 1, 2)',
      ),
    );
    expect(await refused('sizes', '-i', 'image=four.npy')).toBe(
      has(`f32[1,4,8,8]; ${sizes}`, 'give values of one of these shapes and types, or run the model itself'),
    );
  });
});

test('two files for one input are not taken as one', async () => {
  expect(await refused('fixed.onnx', '-i', 'image=nhwc.npy', '-i', 'image=chw.npy')).toBe(
    'error[usage-invalid] --input image=chw.npy: "image" is given twice\n' +
      '  hint: keep --input image=nhwc.npy or --input image=chw.npy; an input has one value\n',
  );
});
