/** The module that the importer and the exporter see; its types are in onnx-proto.d.ts beside this file. */
import { onnx } from 'onnx-proto/dist/onnx.js';
import { Reader, Writer } from './protobuf-runtime.js';
import { ByteRange, RangeReader } from './range-reader.js';

/** Malformed bytes: not protobuf, cut short, or nested too deeply. */
export class ProtobufError extends Error {
  name = 'ProtobufError';
}

/** The fields of a tensor that come out as typed arrays, with what they are where there is nothing in them. */
const typed = Object.entries({
  floatData: new Float32Array(),
  doubleData: new Float64Array(),
  int32Data: new Int32Array(),
  int64Data: new BigInt64Array(),
  uint64Data: new BigUint64Array(),
});

onnx.TensorProto.prototype.rawRange = null;
onnx.TensorProto.prototype.floatRange = null;

function complete(tensor) {
  if (tensor.floatData instanceof ByteRange) {
    tensor.floatRange = tensor.floatData;
    tensor.floatData = [];
  }
  for (const [field, empty] of typed) {
    const kind = empty.constructor;
    if (tensor[field] instanceof kind) continue;
    const big = kind === BigInt64Array || kind === BigUint64Array;
    tensor[field] = tensor[field].length === 0 ? empty : kind.from(tensor[field], big ? BigInt : undefined);
  }
  return tensor;
}

/** Bounds every nested decode: the generated code looks `decode` up on each call, so replacing it is enough. */
function guard(namespace) {
  for (const type of Object.values(namespace)) {
    if (typeof type !== 'function') continue;
    guard(type);
    if (!Object.hasOwn(type, 'decode')) continue;
    const fields = type.decode;
    const isTensor = type === onnx.TensorProto;
    type.decode = (reader, length) => {
      const message = reader.nested(length, fields);
      return isTensor ? complete(message) : message;
    };
  }
}
guard(onnx);

function codec(type) {
  const decode = (reader) => {
    try {
      return type.decode(reader, reader.len);
    } catch (error) {
      // what a source says of itself is no fault of the bytes
      if (reader.failure !== undefined) throw reader.failure;
      const message = error instanceof Error ? error.message : String(error);
      throw new ProtobufError(reader.located(message), { cause: error });
    }
  };
  return {
    // a plain view, so that no field is a Buffer where the input is one
    decode: (bytes) => decode(new Reader(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))),
    decodeFrom: (source) => decode(new RangeReader(source)),
    encode: (message) => type.encode(message, new Writer()).finish(),
  };
}

export const ModelProto = codec(onnx.ModelProto);
export const GraphProto = codec(onnx.GraphProto);
export const NodeProto = codec(onnx.NodeProto);
export const AttributeProto = codec(onnx.AttributeProto);
export const TensorProto = codec(onnx.TensorProto);
export const TypeProto = codec(onnx.TypeProto);
export const ValueInfoProto = codec(onnx.ValueInfoProto);
