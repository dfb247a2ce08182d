import { CompileError, fail } from '#ir/diagnostics.ts';
import { allocate, type Constant, type TensorData, viewBytes, write } from '#ir/tensor.ts';
import { elementCount, type Shape, type TensorType } from '#ir/types.ts';
import { halfToFloat } from '#runtime/stored-weights.ts';
import { bytesAt, type FileBytes, isInMemory, sizeOf } from '../byte-source.ts';
import { type ElementType, elementType, shapeProblem } from './element-types.ts';
import { externalReference } from './external.ts';
import type { TensorProto } from './generated/onnx-proto.js';
import { printable } from './text.ts';

/** What reading tensors needs from outside, and what it finds. */
export interface TensorContext {
  /** The model's own file. */
  readonly model: FileBytes;
  /** A file in the model's folder; undefined if it is not there. */
  readonly externalData: (location: string) => FileBytes | undefined;
  readonly missingFiles: Set<string>;
  /** Names of the ONNX element types that were converted to f32. */
  readonly converted: Set<string>;
}

/**
 * A stored tensor as a constant. Its data views the file where alignment allows, or is read when first asked for; a missing external file gives a
 * constant without data. @throws CompileError for unsupported element types and for sizes that do not fit
 */
export function importTensor(proto: TensorProto, context: TensorContext): Constant {
  const subject = printable(proto.name || 'tensor');
  const element = elementType(proto.dataType, subject);
  const problem = shapeProblem(proto.dims);
  if (problem) fail('tensor-size', subject, problem);
  if (proto.segment) fail('dtype-unsupported', subject, 'tensors in segments are not supported');
  const type: TensorType = { dtype: element.dtype, shape: [...proto.dims] };
  if (element.converted) context.converted.add(element.name);
  if (proto.dataLocation === 1) return externalTensor(proto, element, type, context);
  const { rawRange, floatRange } = proto;
  if (rawRange || Object.hasOwn(proto, 'rawData')) {
    checkSize((rawRange ?? proto.rawData).length, element, type.shape, subject);
    return rawRange
      ? constant(type, element, context.model, rawRange.start)
      : constant(type, element, proto.rawData, 0);
  }
  if (floatRange && element.name === 'float32') {
    checkCount(floatRange.length / element.stored, proto, elementCount(type.shape), subject);
    return constant(type, element, context.model, floatRange.start);
  }
  return { type, data: fromField(proto, element, elementCount(type.shape), subject) };
}

function externalTensor(
  proto: TensorProto,
  element: ElementType,
  type: TensorType,
  context: TensorContext,
): Constant {
  const subject = printable(proto.name);
  const { location, offset, length } = externalReference(proto);
  const needed = elementCount(type.shape) * element.stored;
  if (length !== undefined && length !== needed) {
    fail(
      'tensor-size',
      subject,
      `external data has ${length} bytes; shape [${type.shape.join(',')}] of ${element.name} needs ${needed}`,
    );
  }
  const file = context.externalData(location);
  if (!file) {
    context.missingFiles.add(location);
    return { type, data: null, missing: `the file "${printable(location)}" is not there` };
  }
  if (offset + needed > sizeOf(file)) {
    const message = `needs bytes ${offset} to ${offset + needed} of "${printable(location)}", which has ${sizeOf(file)}`;
    fail('tensor-size', subject, message);
  }
  return constant(type, element, file, offset);
}

function checkSize(length: number, element: ElementType, shape: Shape, subject: string): void {
  const needed = elementCount(shape) * element.stored;
  if (length === needed) return;
  fail(
    'tensor-size',
    subject,
    `has ${length} bytes; shape [${shape.join(',')}] of ${element.name} needs ${needed}`,
  );
}

/** Below this size a copy costs nothing. */
const SMALL = 4096;

/**
 * Of the bytes that begin at `start`. Audits read few weights, for what they find in them: what is not in memory is read
 * when it is first asked for, and as files do not align weights, what needs a copy makes it then.
 */
function constant(type: TensorType, element: ElementType, file: FileBytes, start: number): Constant {
  const length = elementCount(type.shape) * element.stored;
  const make = (): TensorData => fromBytes(element, bytesAt(file, start, start + length));
  if (isInMemory(file)) {
    const aligned = (file.byteOffset + start) % element.stored === 0;
    if (length <= SMALL || (!element.converted && aligned)) return { type, data: make() };
  }
  let data: TensorData | undefined;
  return {
    type,
    get data() {
      data ??= make();
      return data;
    },
    get part() {
      if (data || isInMemory(file)) return undefined;
      return (from: number, to: number, scratch?: Uint8Array) =>
        fromBytes(
          element,
          bytesAt(file, start + from * element.stored, start + to * element.stored, scratch),
        );
    },
  };
}

function fromBytes(element: ElementType, bytes: Uint8Array): TensorData {
  if (element.name === 'float16') {
    const out = new Float32Array(bytes.length / 2);
    for (let i = 0; i < out.length; i++)
      out[i] = halfToFloat((bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8));
    return out;
  }
  if (element.name === 'float64') {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const out = new Float32Array(bytes.length / 8);
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
    return out;
  }
  if (element.dtype === 'bool' && bytes.some((b) => b > 1))
    return Uint8Array.from(bytes, (b) => (b === 0 ? 0 : 1));
  return viewBytes(element.dtype, bytes);
}

function fromField(proto: TensorProto, element: ElementType, count: number, subject: string): TensorData {
  const values = field(proto, element);
  checkCount(values.length, proto, count, subject);
  if (element.dtype === 'f32' && values instanceof Float32Array) return values;
  if (element.dtype === 'i64' && values instanceof BigInt64Array) return values;
  if (element.dtype === 'u64' && values instanceof BigUint64Array) return values;
  if (element.dtype === 'i32' && values instanceof Int32Array) return values;
  const data = allocate(element.dtype, count);
  for (let i = 0; i < count; i++) {
    const value = values[i] ?? 0;
    if (element.name === 'float16') data[i] = halfToFloat(Number(value) & 0xffff);
    else if (element.dtype === 'bool') data[i] = Number(value) === 0 ? 0 : 1;
    else write(data, i, value);
  }
  return data;
}

function checkCount(given: number, { dims }: TensorProto, count: number, subject: string): void {
  if (given === count) return;
  fail('tensor-size', subject, `has ${given} values; shape [${dims.join(',')}] needs ${count}`);
}

/** The typed field that holds elements of this type when `raw_data` is absent. */
function field(proto: TensorProto, element: ElementType): ArrayLike<number | bigint> {
  switch (element.name) {
    case 'float32':
      return proto.floatData;
    case 'float64':
      return proto.doubleData;
    case 'int64':
      return proto.int64Data;
    case 'uint32':
    case 'uint64':
      return proto.uint64Data;
    default:
      return proto.int32Data;
  }
}

/** Calls `read` once per location. Its failures are remembered, too, so that each is told once. */
export function cachedFiles(
  read: (location: string) => FileBytes | undefined,
): TensorContext['externalData'] {
  const files = new Map<string, FileBytes | CompileError | undefined>();
  return (location) => {
    if (!files.has(location)) {
      try {
        const file = read(location);
        // a Buffer is an array whose slice() does not copy
        const bytes =
          file && isInMemory(file) ? new Uint8Array(file.buffer, file.byteOffset, file.length) : file;
        files.set(location, bytes);
      } catch (error) {
        if (!(error instanceof CompileError)) throw error;
        files.set(location, error);
      }
    }
    const file = files.get(location);
    if (file instanceof CompileError) throw file;
    return file;
  };
}
