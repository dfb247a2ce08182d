import { describe, expect, test } from 'vitest';
import { formatNpy, parseNpy } from '#compiler/files/index.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { DTYPES } from '#ir/types.ts';

/** A file with the header that NumPy would write. */
function file(header: string, data: Uint8Array, version = 1): Uint8Array {
  const prefix = version === 1 ? [header.length & 255, header.length >> 8] : [header.length, 0, 0, 0];
  const head = [0x93, ...new TextEncoder().encode('NUMPY'), version, 0, ...prefix];
  return Uint8Array.of(...head, ...new TextEncoder().encode(header), ...data);
}

const dict = (descr: string, shape: string, order = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }          \n`;

describe('.npy', () => {
  test.each(DTYPES)('%s survives writing and reading', (dtype) => {
    const given = tensor(dtype, [2, 3], [0, 1, 0, 1, 1, 0]);
    expect(parseNpy(formatNpy(given), 'x.npy')).toEqual(given);
  });

  test.each<[string, Tensor]>([
    ['a scalar', tensor('f32', [], [4])],
    ['a list', tensor('f32', [3], [1, 2, 3])],
    ['nothing', tensor('f32', [0, 2], [])],
  ])('%s survives writing and reading', (_, given) => {
    expect(parseNpy(formatNpy(given), 'x.npy')).toEqual(given);
  });

  test('data starts at a multiple of 64 bytes', () => {
    expect((formatNpy(tensor('f32', [2], [1, 2])).length - 8) % 64).toBe(0);
  });

  test('a Buffer at any offset will do', () => {
    const given = tensor('f32', [2], [1, 2]);
    expect(parseNpy(Buffer.concat([Buffer.of(0), formatNpy(given)]).subarray(1), 'x.npy')).toEqual(given);
  });

  test('doubles are read as floats, whatever their alignment', () => {
    const data = new Uint8Array(Float64Array.of(0.1, 2).buffer);
    expect(parseNpy(file(dict('<f8', '(2,)'), data), 'x').data).toEqual(Float32Array.of(0.1, 2));
    expect(parseNpy(file(dict('<f8', '(2,)'), data, 2), 'x').data).toEqual(Float32Array.of(0.1, 2));
  });

  test.each<[string, Uint8Array]>([
    ['Fortran order', file(dict('<f4', '(2, 1, 2)', 'True'), new Uint8Array(16))],
    ['big-endian data', file(dict('>f4', '(1,)'), new Uint8Array(4))],
    ['objects', file(dict('|O', '(1,)'), new Uint8Array(8))],
    ['too little data', file(dict('<f4', '(3,)'), new Uint8Array(8))],
    ['too much data', file(dict('<f4', '(1,)'), new Uint8Array(8))],
    ['a cut header', file(dict('<f4', '(1,)'), new Uint8Array(0)).subarray(0, 30)],
    ['another file', new TextEncoder().encode('PNG and so on, and on')],
    ['nothing at all', new Uint8Array()],
    ['a shape beyond all memory', file(dict('<f4', '(99999999999, 99999999999)'), new Uint8Array(8))],
  ])('%s is refused', (_, bytes) => {
    expect(() => parseNpy(bytes, 'x.npy')).toThrow(CompileError);
  });

  test('one row in Fortran order is the same in C order', () => {
    expect(parseNpy(file(dict('<f4', '(1, 2)', 'True'), new Uint8Array(8)), 'x').type.shape).toEqual([1, 2]);
  });
});
