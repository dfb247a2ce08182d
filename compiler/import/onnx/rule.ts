import { fail, type HintedCode } from '#ir/diagnostics.ts';
import { type OpAttrsInput, type OpName, tensorOf, type Value } from '#ir/graph.ts';
import { numbers, type Tensor } from '#ir/tensor.ts';
import type { DType, Shape } from '#ir/types.ts';
import type { Attributes } from './attributes.ts';
import type { GraphProto, TensorProto } from './generated/onnx-proto.js';

/**
 * Imports one ONNX operator: checks its form, resolves what differs between operator set versions, and adds ops of
 * the IR. Returns the values of its outputs; a list may be shorter than the node's where the rest is not supported.
 */
export type ImportRule = (node: NodeImport) => Value | readonly Value[];

/** What a rule may ask of the importer. */
export interface ImportServices {
  /** Adds an op, or computes it where all its inputs are known. */
  emit<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
    name: string,
    labels: readonly string[],
  ): readonly Value[];
  constant(label: string, tensor: Tensor): Value;
  /** A constant of one value, where its size is within what import computes. */
  filled(label: string, dtype: DType, shape: Shape, value: number | bigint): Value | undefined;
  tensor(label: string, proto: TensorProto): Value;
  element(code: number, subject: string): DType;
  subgraph(graph: GraphProto, label: string): readonly Value[];
  isRead(name: string): boolean;
}

export interface NodeFacts {
  readonly op: string;
  /** What messages call it. */
  readonly label: string;
  /** The exporter's name, or one made up. */
  readonly name: string;
  /** Version of the operator set of the node's domain. */
  readonly opset: number;
  readonly attrs: Attributes;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly string[];
}

/** One ONNX node as a rule sees it. */
export class NodeImport {
  readonly op: string;
  readonly name: string;
  readonly opset: number;
  readonly attrs: Attributes;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly string[];
  readonly #label: string;
  readonly #services: ImportServices;
  #steps = 0;

  constructor(facts: NodeFacts, services: ImportServices) {
    this.op = facts.op;
    this.name = facts.name;
    this.opset = facts.opset;
    this.attrs = facts.attrs;
    this.inputs = facts.inputs;
    this.outputs = facts.outputs;
    this.#label = facts.label;
    this.#services = services;
  }

  /** The input in slot `i`. @throws CompileError where it is left out */
  input(i: number): Value {
    return this.inputs[i] ?? this.refuse(`${this.op} needs input ${i}`, 'graph-invalid');
  }

  shape(i: number): Shape {
    return this.input(i).type.shape;
  }

  /** Adds the op that stands for this node and carries its name and the names of its outputs. */
  emit<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
  ): readonly Value[] {
    return this.#services.emit(op, inputs, attrs, this.name, this.outputs);
  }

  /** Adds a helper op before or beside it. */
  step<K extends OpName>(op: K, inputs: readonly (Value | undefined)[], attrs: OpAttrsInput<K>): Value {
    const name = `${this.name}/${op}${this.#steps++ || ''}`;
    const [value] = this.#services.emit(op, inputs, attrs, name, [`${this.outputs[0] ?? name}/${op}`]);
    return value ?? this.refuse(`${op} has no output`);
  }

  /** A constant as this node's output `i`. */
  constant(tensor: Tensor, i = 0): Value {
    return this.#services.constant(this.outputs[i] ?? this.name, tensor);
  }

  /** A constant that helps. */
  literal(tensor: Tensor): Value {
    return this.#services.constant(`${this.outputs[0] ?? this.name}/literal`, tensor);
  }

  filled(dtype: DType, shape: Shape, value: number | bigint, i = 0): Value | undefined {
    return this.#services.filled(this.outputs[i] ?? this.name, dtype, shape, value);
  }

  storedTensor(proto: TensorProto): Value {
    return this.#services.tensor(this.outputs[0] ?? this.name, proto);
  }

  /** The numbers of input `i`, which decide shapes; undefined where it is left out. */
  knownNumbers(i: number, what: string): readonly number[] | undefined {
    const value = this.inputs[i];
    if (!value) return undefined;
    const tensor = tensorOf(value);
    if (tensor) return numbers(tensor);
    if (value.source.kind === 'constant') {
      this.refuse(`${what} of ${this.op} is a stored tensor whose data is missing`, 'weights-missing');
    }
    this.refuse(`${what} of ${this.op} depends on the values of the model's inputs`, 'shape-data-dependent');
  }

  requiredNumbers(i: number, what: string): readonly number[] {
    return (
      this.knownNumbers(i, what) ?? this.refuse(`${this.op} needs its ${what} (input ${i})`, 'graph-invalid')
    );
  }

  /** Data of input `i` where it is a constant that is present. */
  known(i: number): Tensor | undefined {
    return tensorOf(this.inputs[i]);
  }

  dtypeOf(code: number): DType {
    return this.#services.element(code, this.name);
  }

  subgraph(name: string): readonly Value[] {
    const graph = this.attrs.graph(name) ?? this.refuse(`${this.op} has no ${name}`, 'graph-invalid');
    return this.#services.subgraph(graph, this.#label);
  }

  /** Does anything read output `i`? */
  wants(i: number): boolean {
    const name = this.outputs[i];
    return name !== undefined && name !== '' && this.#services.isRead(name);
  }

  /** @throws CompileError where an input is not of floats */
  requireFloats(): void {
    for (const value of this.inputs) {
      if (value && value.type.dtype !== 'f32')
        this.refuse(`${this.op} of ${value.type.dtype} is not supported`);
    }
  }

  /** An axis counted from the front. @throws CompileError where it is out of range */
  axis(axis: number, rank: number): number {
    const positive = axis < 0 ? axis + rank : axis;
    if (positive >= 0 && positive < rank) return positive;
    this.refuse(`axis ${axis} is out of range for rank ${rank}`, 'shape-mismatch');
  }

  /** Axes counted from the front, ascending, each once. */
  axes(axes: readonly number[], rank: number): readonly number[] {
    return [...new Set(axes.map((a) => this.axis(a, rank)))].sort((a, b) => a - b);
  }

  refuse(message: string, code: HintedCode = 'op-unsupported-form', hint?: string): never {
    fail(code, this.name, message, hint);
  }
}
