/** What the rules of export write with. */

import { type Node, type OpName, result, type Value } from '#ir/graph.ts';
import { bytesOfData, f32, i64, type Tensor, tensor } from '#ir/tensor.ts';
import type { DType } from '#ir/types.ts';
import type { AttributeProto, Init, NodeProto, TensorProto } from '../../import/onnx/generated/onnx-proto.js';

/** How a node of an op is written: one or more ONNX nodes. */
export type ExportRule<K extends OpName = OpName> = (node: Node<K>, out: NodeExport) => void;

type Attribute = Init<AttributeProto>;

/** TensorProto.DataType by element type. */
export const DATA_TYPES: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  bool: 9,
  u32: 12,
  u64: 13,
};

/** Attributes by ONNX's kinds. */
export const int = (i: number | boolean): Attribute => ({ type: 2, i: Number(i) });
export const float = (f: number): Attribute => ({ type: 1, f });
export const ints = (list: readonly number[]): Attribute => ({ type: 7, ints: [...list] });
export const word = (text: string): Attribute => ({ type: 3, s: new TextEncoder().encode(text) });
export const words = (list: readonly string[]): Attribute => ({
  type: 8,
  strings: list.map((text) => new TextEncoder().encode(text)),
});
export const stored = (t: Tensor): Attribute => ({ type: 4, t: storedTensor('', t) });

export const storedTensor = (name: string, { type, data }: Tensor): Init<TensorProto> => ({
  name,
  dims: [...type.shape],
  dataType: DATA_TYPES[type.dtype],
  rawData: bytesOfData(data),
});

/** A form of an op that ONNX cannot say. */
export class ExportRefusal extends Error {
  override readonly name = 'ExportRefusal';
}

/** The ONNX nodes that one node of the graph becomes. */
export class NodeExport {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: Init<NodeProto>[] = [];
  readonly constants: (readonly [name: string, tensor: Tensor])[] = [];
  /** The first operator set that has what was written. */
  opset = 0;
  readonly #node: Node;
  readonly #fresh: (wanted: string) => string;

  /** The operator set that is to be kept where that can be. */
  readonly wanted: number;

  constructor(
    node: Node,
    nameOf: (value: Value) => string,
    fresh: (wanted: string) => string,
    wanted: number,
  ) {
    this.wanted = wanted;
    this.#node = node;
    this.#fresh = fresh;
    const names = node.operands.slice(0, node.arity).map((v) => (v ? nameOf(v) : ''));
    while (names.at(-1) === '') names.pop();
    this.inputs = names;
    this.outputs = node.outputs.map(nameOf);
  }

  /** A node of the same inputs and outputs, unless said; without `op`, of the same name. */
  emit(
    op: string,
    attributes: Readonly<Record<string, Attribute>> = {},
    {
      inputs = this.inputs,
      outputs = this.outputs,
    }: { inputs?: readonly string[]; outputs?: readonly string[] } = {},
  ): void {
    const { name } = this.#node;
    this.nodes.push({
      opType: op,
      name: this.nodes.length === 0 ? name : `${name}/${this.nodes.length}`,
      input: [...inputs],
      output: [...outputs],
      attribute: Object.entries(attributes).map(([key, value]) => ({ name: key, ...value })),
    });
  }

  /** A node whose result only the rule reads. */
  step(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    const name = this.#fresh(`${this.outputs[0] ?? op}_${op}`);
    this.emit(op, attributes, { inputs, outputs: [name] });
    return name;
  }

  constant(t: Tensor, what: string): string {
    const name = this.#fresh(`${this.outputs[0] ?? 'node'}_${what}`);
    this.constants.push([name, t]);
    return name;
  }

  /** A list of i64 as an input. */
  list(values: readonly number[], what: string): string {
    return this.constant(i64(values), what);
  }

  floats(values: readonly number[], what: string): string {
    return this.constant(f32([values.length], values), what);
  }

  /** A scalar of the type of the first output. */
  scalar(value: number, what: string): string {
    const dtype = result(this.#node).type.dtype;
    const number = dtype === 'i64' || dtype === 'u64' ? BigInt(Math.trunc(value)) : value;
    return this.constant(tensor(dtype, [], [number]), what);
  }
}
