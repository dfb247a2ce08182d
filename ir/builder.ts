/** Builds graphs by hand: `b.op('Conv', [x, w], {…})` and shorthands. For importers, rewrites and tests. */
import {
  Graph,
  type Node,
  type NodeOptions,
  type OpAttrsInput,
  type OpName,
  result,
  type Value,
} from './graph.ts';
import { type Constant, f32 } from './tensor.ts';
import type { DType, Shape } from './types.ts';

export interface ConvOptions {
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly group?: number;
  readonly bias?: Value;
  readonly name?: string;
}

export class Builder {
  readonly graph: Graph;
  readonly #of: Node | undefined;

  /** @param of the node that what is built is part of: new nodes are named after it */
  constructor(graph: Graph | string = 'graph', of?: Node) {
    this.graph = typeof graph === 'string' ? new Graph(graph) : graph;
    this.#of = of;
  }

  input(name: string, shape: Shape, dtype: DType = 'f32'): Value {
    return this.graph.addInput(name, { dtype, shape });
  }

  constant(name: string, constant: Constant): Value {
    return this.graph.addConstant(name, constant);
  }

  /** A f32 constant of rank 0. */
  scalar(value: number, name = 'scalar'): Value {
    return this.graph.addConstant(name, f32([], [value]));
  }

  output(name: string, value: Value): void {
    this.graph.addOutput(name, value);
  }

  node<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
    options?: NodeOptions,
  ): Node<K> {
    return this.graph.addNode(op, inputs, attrs, { ...this.#derived(op), ...options });
  }

  /** Adds a node and returns its first output. */
  op<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
    options?: NodeOptions,
  ): Value {
    return result(this.node(op, inputs, attrs, options) as Node);
  }

  #derived(op: OpName): NodeOptions {
    const { name, origin } = this.#of ?? {};
    return name === undefined ? {} : { name: `${name}/${op}`, ...(origin === undefined ? {} : { origin }) };
  }

  /** Convolution; stride and dilation 1, no padding and one group unless said. */
  conv(x: Value, weight: Value, options: ConvOptions = {}): Value {
    const rank = x.type.shape.length - 2;
    const ones = new Array<number>(rank).fill(1);
    return this.op(
      'Conv',
      options.bias ? [x, weight, options.bias] : [x, weight],
      {
        strides: options.strides ?? ones,
        dilations: options.dilations ?? ones,
        pads: options.pads ?? new Array<number>(2 * rank).fill(0),
        group: options.group ?? 1,
      },
      options.name === undefined ? {} : { name: options.name },
    );
  }

  relu(x: Value): Value {
    return this.op('Relu', [x], {});
  }

  add(x: Value, y: Value): Value {
    return this.op('Add', [x, y], {});
  }
}
