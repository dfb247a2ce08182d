/**
 * ONNX's protobuf messages (schema of ONNX 1.10; fields added since are skipped), read and written without eval
 * and without Node's Buffer.
 *
 * - An absent field reads as its default ('' 0 [] or null); `Object.hasOwn(message, 'name')` tells whether it was there.
 *   The lists are always own properties.
 * - Bytes (`rawData`, `s`, `strings`, `stringData`) are views of the decoded input, not copies: `rawData` is not aligned.
 * - Sizes and versions are exact numbers; a value beyond 2^53 makes `decode` throw.
 * - `Int64` fields (an attribute may hold INT64_MAX) are numbers where exact, else bigints.
 * - Typed tensor data is a typed array of its own.
 */
import type { ByteSource } from '#compiler/import/byte-source.ts';

export type Int64 = number | bigint;

/** Malformed bytes: not protobuf, cut short, nested more than 100 deep, or a size beyond 2^53. `cause` has the original. */
export declare class ProtobufError extends Error {}

/** What `encode` takes: every field may be left out, and lists may be of any kind. */
export type Init<T> = T extends Float32Array | Float64Array | Int32Array
  ? ArrayLike<number>
  : T extends BigInt64Array | BigUint64Array
    ? ArrayLike<Int64>
    : T extends Uint8Array
      ? Uint8Array
      : T extends readonly (infer Element)[]
        ? readonly Init<Element>[]
        : T extends object
          ? { readonly [Field in keyof T]?: Init<T[Field]> | undefined }
          : T;

export interface Codec<T> {
  /** @throws ProtobufError */
  decode(bytes: Uint8Array): T;
  /** The same from a source, of which the data of large tensors is not read. @throws ProtobufError, and what `read` throws */
  decodeFrom(source: ByteSource): T;
  /** The result owns its ArrayBuffer. @throws RangeError for a 64-bit field given as an inexact number */
  encode(message: Init<T>): Uint8Array<ArrayBuffer>;
}

export declare const ModelProto: Codec<ModelProto>;
export declare const GraphProto: Codec<GraphProto>;
export declare const NodeProto: Codec<NodeProto>;
export declare const AttributeProto: Codec<AttributeProto>;
export declare const TensorProto: Codec<TensorProto>;
export declare const TypeProto: Codec<TypeProto>;
export declare const ValueInfoProto: Codec<ValueInfoProto>;

export interface ModelProto {
  readonly irVersion: number;
  readonly opsetImport: readonly OperatorSetIdProto[];
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain: string;
  readonly modelVersion: Int64;
  readonly docString: string;
  readonly graph: GraphProto | null;
  readonly metadataProps: readonly StringStringEntryProto[];
  readonly functions: readonly FunctionProto[];
}

export interface OperatorSetIdProto {
  readonly domain: string;
  readonly version: number;
}

export interface StringStringEntryProto {
  readonly key: string;
  readonly value: string;
}

export interface FunctionProto {
  readonly name: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly string[];
  readonly node: readonly NodeProto[];
  readonly docString: string;
  readonly opsetImport: readonly OperatorSetIdProto[];
  readonly domain: string;
}

export interface GraphProto {
  readonly node: readonly NodeProto[];
  readonly name: string;
  readonly initializer: readonly TensorProto[];
  readonly sparseInitializer: readonly SparseTensorProto[];
  readonly docString: string;
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
  readonly valueInfo: readonly ValueInfoProto[];
  readonly quantizationAnnotation: readonly TensorAnnotation[];
}

export interface TensorAnnotation {
  readonly tensorName: string;
  readonly quantParameterTensorNames: readonly StringStringEntryProto[];
}

export interface NodeProto {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly attribute: readonly AttributeProto[];
  readonly docString: string;
}

export interface AttributeProto {
  readonly name: string;
  readonly refAttrName: string;
  readonly docString: string;
  /** AttributeProto.AttributeType: UNDEFINED 0, FLOAT 1, INT 2, STRING 3, TENSOR 4, GRAPH 5, FLOATS 6, INTS 7, STRINGS 8, TENSORS 9, GRAPHS 10, SPARSE_TENSOR 11, SPARSE_TENSORS 12, TYPE_PROTO 13, TYPE_PROTOS 14. */
  readonly type: number;
  readonly f: number;
  readonly i: Int64;
  readonly s: Uint8Array;
  readonly t: TensorProto | null;
  readonly g: GraphProto | null;
  readonly sparseTensor: SparseTensorProto | null;
  readonly tp: TypeProto | null;
  readonly floats: readonly number[];
  readonly ints: readonly Int64[];
  readonly strings: readonly Uint8Array[];
  readonly tensors: readonly TensorProto[];
  readonly graphs: readonly GraphProto[];
  readonly sparseTensors: readonly SparseTensorProto[];
  readonly typeProtos: readonly TypeProto[];
}

/** Bytes of the source that was decoded. */
export interface ByteRange {
  readonly start: number;
  readonly length: number;
}

export interface TensorProto {
  readonly dims: readonly number[];
  /** TensorProto.DataType: FLOAT 1, UINT8 2, INT8 3, UINT16 4, INT16 5, INT32 6, INT64 7, STRING 8, BOOL 9, FLOAT16 10, DOUBLE 11, UINT32 12, UINT64 13, COMPLEX64 14, COMPLEX128 15, BFLOAT16 16, and newer ones as they are. */
  readonly dataType: number;
  readonly segment: { readonly begin: number; readonly end: number } | null;
  readonly name: string;
  readonly docString: string;
  /** Little-endian, a view of the input. */
  readonly rawData: Uint8Array;
  /** In place of `rawData`: where it lies in the source. Never encoded. */
  readonly rawRange: ByteRange | null;
  /** In place of `floatData`: where its bytes lie, as those of `rawData` would. Never encoded. */
  readonly floatRange: ByteRange | null;
  readonly floatData: Float32Array;
  readonly doubleData: Float64Array;
  readonly int32Data: Int32Array;
  readonly int64Data: BigInt64Array;
  readonly uint64Data: BigUint64Array;
  readonly stringData: readonly Uint8Array[];
  readonly externalData: readonly StringStringEntryProto[];
  /** TensorProto.DataLocation: DEFAULT 0, EXTERNAL 1. */
  readonly dataLocation: number;
}

export interface SparseTensorProto {
  readonly values: TensorProto | null;
  readonly indices: TensorProto | null;
  readonly dims: readonly number[];
}

export interface ValueInfoProto {
  readonly name: string;
  readonly type: TypeProto | null;
  readonly docString: string;
}

/** One of the five is not null in a valid model; a malformed one may set more. */
export interface TypeProto {
  readonly tensorType: { readonly elemType: number; readonly shape: TensorShapeProto | null } | null;
  readonly sequenceType: { readonly elemType: TypeProto | null } | null;
  readonly mapType: { readonly keyType: number; readonly valueType: TypeProto | null } | null;
  readonly optionalType: { readonly elemType: TypeProto | null } | null;
  readonly sparseTensorType: { readonly elemType: number; readonly shape: TensorShapeProto | null } | null;
  readonly denotation: string;
}

export interface TensorShapeProto {
  readonly dim: readonly Dimension[];
}

/** A size, a symbol, or, where both are null, unknown. A malformed model may set both. */
export interface Dimension {
  readonly dimValue: number | null;
  readonly dimParam: string | null;
  readonly denotation: string;
}
