/** Tensors as JSON: numbers in lists nested as the axes are. Integers are read and written digit by digit. */
import { fail } from '#ir/diagnostics.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { type DType, elementCount, formatType, type Shape, sameShape, type TensorType } from '#ir/types.ts';
import { arrayConversion } from './array-hint.ts';
import { malformed } from './json-text.ts';

/** Numbers from a file, before the type that the network asks for is known. */
export interface JsonNumbers {
  /** The lengths of the lists, outermost first; undefined for a flat list, which takes any shape of its size. */
  readonly shape: Shape | undefined;
  /** What there is, in few words. */
  readonly found: string;
  fits(type: TensorType): boolean;
  /** What to do so that they fit; undefined where other numbers are needed. */
  toFit(type: TensorType): string | undefined;
  /** @throws CompileError `input-invalid` where they are not of this shape, or not numbers of this type */
  as(type: TensorType, subject: string): Tensor;
}

/** Nested lists, or one flat list. @throws CompileError `input-invalid`; `subject` names the file */
export function parseJsonTensor(text: string, subject: string): JsonNumbers {
  const content = parseExactly(text, subject);
  const lengths: number[] = [];
  for (let level = content; Array.isArray(level); level = level[0]) lengths.push(level.length);
  const values: (number | bigint)[] = [];
  const take = (item: unknown, depth: number): void => {
    if (depth === lengths.length && (typeof item === 'number' || typeof item === 'bigint')) values.push(item);
    else if (Array.isArray(item) && item.length === lengths[depth]) for (const x of item) take(x, depth + 1);
    else
      fail(
        'input-invalid',
        subject,
        'lists of numbers, nested as the axes are and equally long, are expected',
        FORM,
      );
  };
  take(content, 0);
  const flat = lengths.length === 1;
  const fits = ({ shape }: TensorType) =>
    flat ? values.length === elementCount(shape) : sameShape(lengths, shape);
  const found = `${values.length} numbers (${lengths.join('×') || 'one, in no list'})`;
  const toFit = ({ shape, dtype }: TensorType) => {
    const conversion = flat ? undefined : arrayConversion({ shape: lengths, dtype }, { shape, dtype });
    return conversion === undefined
      ? undefined
      : `nest the lists as ${shape.join('×') || 'no axis'}, as by ${conversion}.tolist()`;
  };
  return {
    shape: flat ? undefined : lengths,
    found,
    fits,
    toFit,
    as(type, name) {
      if (!fits(type)) {
        const nested = `nest lists of ${type.shape.join('×') || 'no axis'}`;
        const hint = toFit(type) ?? `${nested}, or write ${elementCount(type.shape)} numbers in one list`;
        fail('input-invalid', name, `the file has ${found}, the model asks for ${formatType(type)}`, hint);
      }
      const wrong = values.findIndex((value) => !isOfType(value, type.dtype));
      if (wrong >= 0) {
        const message = `number ${wrong} of the file is ${values[wrong]}, which is no ${type.dtype}`;
        const [low, high] = rangeOf(type.dtype);
        fail('input-invalid', name, message, `the input takes whole numbers from ${low} to ${high}`);
      }
      return tensor(type.dtype, type.shape, values);
    },
  };
}

const FORM = 'write for example [[1, 2, 3], [4, 5, 6]] for two rows of three, or all numbers in one list';

/** As JSON.parse, with integers that no double holds as bigints. */
function parseExactly(written: string, subject: string): unknown {
  const text = written.replace(/^\uFEFF/, '');
  try {
    // where there are no texts, what is quoted now is a long number
    if (text.includes('"')) return JSON.parse(text);
    const quoted = text.replace(NUMBER, (literal) => (isLong(literal) ? `"${literal}"` : literal));
    return JSON.parse(quoted, (_, value) => (typeof value === 'string' ? BigInt(value) : value));
  } catch {
    return malformed(text, { code: 'input-invalid', subject, form: FORM, numbers: true });
  }
}

const NUMBER = /-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi;
const isLong = (literal: string): boolean =>
  /^-?[1-9]\d*$/.test(literal) && !Number.isSafeInteger(Number(literal));

/** The least and greatest whole numbers of an integer type. */
function rangeOf(dtype: DType): readonly [bigint, bigint] {
  if (dtype === 'bool') return [0n, 1n];
  const bits = BigInt(dtype.slice(1));
  return dtype.startsWith('u') ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
}

function isOfType(value: number | bigint, dtype: DType): boolean {
  if (dtype === 'f32') return true;
  const [low, high] = rangeOf(dtype);
  return (typeof value === 'bigint' || Number.isInteger(value)) && value >= low && value <= high;
}

/** Nested by axis; NaN and infinities, which JSON lacks, are null. */
export function formatJsonTensor({ type, data }: Tensor): string {
  const part = (shape: Shape, start: number): string => {
    const [size, ...rest] = shape;
    if (size === undefined) return literal(data[start] ?? 0);
    const step = elementCount(rest);
    return `[${Array.from({ length: size }, (_, i) => part(rest, start + i * step)).join(',')}]`;
  };
  return part(type.shape, 0);
}

const literal = (value: number | bigint): string =>
  typeof value === 'bigint' ? String(value) : JSON.stringify(value);
