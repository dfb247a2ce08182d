import type * as onnx from '#compiler/import/onnx/generated/onnx-proto.js';
import { ModelProto, type NodeProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import type { TensorData } from '#ir/tensor.ts';

type AttributeInit = onnx.Init<onnx.AttributeProto>;
type TensorInit = onnx.Init<onnx.TensorProto>;
type Dim = number | string | null;

/** What a test writes as an attribute: integers of the ONNX kind as bigints, floats as numbers. */
export type AttributeValue =
  | bigint
  | number
  | string
  | readonly bigint[]
  | readonly number[]
  | { readonly tensor: TensorInit }
  | { readonly graph: onnx.Init<onnx.GraphProto> };

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export function attribute(name: string, value: AttributeValue): AttributeInit {
  if (typeof value === 'bigint') return { name, type: 2, i: value };
  if (typeof value === 'number') return { name, type: 1, f: value };
  if (typeof value === 'string') return { name, type: 3, s: utf8(value) };
  if ('tensor' in value) return { name, type: 4, t: value.tensor };
  if ('graph' in value) return { name, type: 5, g: value.graph };
  const ints = value.filter((v) => typeof v === 'bigint');
  return ints.length === value.length
    ? { name, type: 7, ints }
    : { name, type: 6, floats: value.map(Number) };
}

/** A node, as `node('Conv', ['x', 'w'], ['y'], { group: 2n })`. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  more: { readonly name?: string; readonly domain?: string } = {},
): onnx.Init<NodeProto> {
  return {
    opType: op,
    input: inputs,
    output: outputs,
    name: more.name ?? `${outputs[0] ?? op}_node`,
    domain: more.domain ?? '',
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  };
}

const DATA_TYPES = new Map<unknown, number>([
  [Float32Array, 1],
  [Uint8Array, 2],
  [Int8Array, 3],
  [Uint16Array, 4],
  [Int16Array, 5],
  [Int32Array, 6],
  [BigInt64Array, 7],
  [Uint32Array, 12],
  [BigUint64Array, 13],
]);

/** A stored tensor in raw_data; `dataType` where the array does not tell. */
export function stored(
  name: string,
  dims: readonly number[],
  data: TensorData | Float64Array,
  dataType = data instanceof Float64Array ? 11 : DATA_TYPES.get(data.constructor),
): TensorInit {
  const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dims, rawData, ...(dataType === undefined ? {} : { dataType }) };
}

/** An i64 list. */
export const storedInts = (name: string, values: readonly number[]): TensorInit =>
  stored(name, [values.length], BigInt64Array.from(values, BigInt));

/** A tensor in a file beside the model. */
export function external(
  name: string,
  dims: readonly number[],
  location: string,
  more: Readonly<Record<string, string>> = {},
): TensorInit {
  const entries = { location, ...more };
  return {
    name,
    dims,
    dataType: 1,
    dataLocation: 1,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  };
}

/** An input or output; a string is a symbol, null an unknown size; no shape at all where left out. */
export function info(name: string, shape?: readonly Dim[], elemType = 1): onnx.Init<onnx.ValueInfoProto> {
  const dim = shape?.map((d) =>
    typeof d === 'number' ? { dimValue: d } : d === null ? {} : { dimParam: d },
  );
  return { name, type: { tensorType: { elemType, ...(dim ? { shape: { dim } } : {}) } } };
}

export interface TestModel {
  readonly nodes?: readonly onnx.Init<NodeProto>[];
  readonly inputs?: readonly onnx.Init<onnx.ValueInfoProto>[];
  /** Names, where nothing is declared. */
  readonly outputs?: readonly (string | onnx.Init<onnx.ValueInfoProto>)[];
  readonly initializers?: readonly TensorInit[];
  readonly opset?: number;
  readonly irVersion?: number;
  readonly functions?: readonly onnx.Init<onnx.FunctionProto>[];
  readonly domains?: Readonly<Record<string, number>>;
}

export function subgraph(model: TestModel): onnx.Init<onnx.GraphProto> {
  return {
    name: 'test',
    node: model.nodes ?? [],
    input: model.inputs ?? [],
    output: (model.outputs ?? ['y']).map((output) => (typeof output === 'string' ? info(output) : output)),
    initializer: model.initializers ?? [],
  };
}

/** The bytes of a small model; opset 17 and output `y` unless said. */
export function onnxModel(model: TestModel): Uint8Array<ArrayBuffer> {
  const domains = Object.entries(model.domains ?? {}).map(([domain, version]) => ({ domain, version }));
  return ModelProto.encode({
    irVersion: model.irVersion ?? 8,
    producerName: 'test',
    opsetImport: [{ domain: '', version: model.opset ?? 17 }, ...domains],
    graph: subgraph(model),
    functions: model.functions ?? [],
  });
}

/** A convolution and its Relu. */
export const small = onnxModel({
  inputs: [info('x', [1, 4, 8, 8])],
  nodes: [node('Conv', ['x', 'w'], ['c'], {}, { name: 'stem' }), node('Relu', ['c'], ['y'])],
  initializers: [
    stored(
      'w',
      [8, 4, 3, 3],
      Float32Array.from({ length: 288 }, (_, i) => Math.sin(i)),
    ),
  ],
});
