/** NumPy's .npy files (format 1.0 to 3.0), C order, of the element types that tensors have. */
import { fail } from '#ir/diagnostics.ts';
import { bytesOfData, type Tensor, viewBytes } from '#ir/tensor.ts';
import { bytesOf, type DType, elementCount, type Shape } from '#ir/types.ts';

const MAGIC = '\x93NUMPY';

/** NumPy's type strings; f8 is read as f32. */
const TYPES: Readonly<Record<string, DType>> = {
  '<f4': 'f32',
  '|i1': 'i8',
  '|u1': 'u8',
  '<i2': 'i16',
  '<u2': 'u16',
  '<i4': 'i32',
  '<u4': 'u32',
  '<i8': 'i64',
  '<u8': 'u64',
  '|b1': 'bool',
};

const SAVE = 'save the array again, with numpy.save(file, array)';

/** @throws CompileError `input-invalid` for what is not such a file; `subject` names it */
export function parseNpy(file: Uint8Array, subject: string): Tensor {
  // a Buffer is an array whose slice() does not copy
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || latin1(bytes.subarray(0, 6)) !== MAGIC)
    fail('input-invalid', subject, 'not an .npy file', SAVE);
  const wide = (bytes[6] ?? 0) > 1;
  const start = wide ? 12 : 10;
  const end = start + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  if (end > bytes.length) fail('input-invalid', subject, 'the .npy file ends inside its header', SAVE);
  const { descr, shape } = parseHeader(latin1(bytes.subarray(start, end)), subject);
  const dtype = descr === '<f8' ? 'f32' : TYPES[descr];
  if (!dtype) {
    const hint = 'convert it before it is saved, as by array.astype("float32")';
    fail('input-invalid', subject, `element type "${descr}" is not supported`, hint);
  }
  const count = elementCount(shape);
  const needed = count * (descr === '<f8' ? 8 : bytesOf(dtype));
  const data = bytes.subarray(end);
  if (data.length !== needed) {
    fail(
      'input-invalid',
      subject,
      `has ${data.length} bytes of data; shape (${shape.join(', ')}) of ${descr} needs ${needed}`,
      SAVE,
    );
  }
  if (descr !== '<f8') return { type: { dtype, shape }, data: viewBytes(dtype, data) };
  const values = Float32Array.from({ length: count }, (_, i) => view.getFloat64(end + 8 * i, true));
  return { type: { dtype, shape }, data: values };
}

/** The header is a Python dict literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. */
function parseHeader(text: string, subject: string): { descr: string; shape: Shape } {
  const descr = /'descr':\s*'([^']*)'/.exec(text)?.[1];
  const fortran = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const sizes = /'shape':\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (descr === undefined || fortran === undefined || sizes === undefined) {
    fail('input-invalid', subject, 'the header of the .npy file is not understood', SAVE);
  }
  const shape = sizes.split(',').flatMap((s) => (s.trim() === '' ? [] : [Number(s)]));
  if (!Number.isSafeInteger(elementCount(shape)))
    fail('input-invalid', subject, `shape (${sizes}) is too large`, SAVE);
  if (fortran === 'True' && shape.filter((s) => s > 1).length > 1) {
    fail('input-invalid', subject, 'the array is in Fortran order', 'save numpy.ascontiguousarray(array)');
  }
  return { descr, shape };
}

/** An .npy file of format 1.0, its data aligned to 64 bytes. */
export function formatNpy({ type, data }: Tensor): Uint8Array {
  const descr = Object.keys(TYPES).find((key) => TYPES[key] === type.dtype) ?? '<f4';
  const sizes = type.shape.length === 1 ? `${type.shape[0]},` : type.shape.join(', ');
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const end = Math.ceil((10 + header.length + 1) / 64) * 64;
  const file = new Uint8Array(end + data.byteLength);
  const text = `${MAGIC}\x01\x00\x00\x00${header.padEnd(end - 11)}\n`;
  for (let i = 0; i < end; i++) file[i] = text.charCodeAt(i);
  new DataView(file.buffer).setUint16(8, end - 10, true);
  file.set(bytesOfData(data), end);
  return file;
}

const latin1 = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
