import { type AttrSchema, type AttrsInput, type AttrsOf, type AttrValue, resolveAttrs } from './attrs.ts';
import { fail, InternalError } from './diagnostics.ts';
import { arity, type Expr } from './expr.ts';
import type { Cost, OpContext, OpDef } from './op.ts';
import { OPS } from './ops/index.ts';
import type { Constant, Tensor } from './tensor.ts';
import type { TensorType } from './types.ts';

export type OpName = keyof typeof OPS;
type SchemaOf<K extends OpName> = (typeof OPS)[K]['attrs'];
export type OpAttrs<K extends OpName> = AttrsOf<SchemaOf<K>>;
export type OpAttrsInput<K extends OpName> = AttrsInput<SchemaOf<K>>;

/** The definition of an op, seen without its attribute types. */
export const opDef = (op: OpName): OpDef => OPS[op] as unknown as OpDef;
export const isOpName = (name: string): name is OpName => Object.hasOwn(OPS, name);

export type Source =
  | { readonly kind: 'input' }
  | { readonly kind: 'constant'; readonly constant: Constant }
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

export interface Use {
  readonly node: Node;
  readonly slot: number;
}

/** An SSA value. The name is a label: unique within its graph, without meaning. */
export interface Value {
  readonly id: number;
  readonly name: string;
  readonly type: TensorType;
  readonly source: Source;
  /** Every operand slot that reads this value. Graph outputs are not uses. */
  readonly uses: readonly Use[];
}

export interface Node<K extends OpName = OpName> {
  readonly id: number;
  readonly op: K;
  /** The exporter's name of the layer, or one derived from the op. */
  readonly name: string;
  readonly attrs: OpAttrs<K>;
  /** The op's own inputs (absent optional ones undefined), then the epilogue's extra operands. */
  readonly operands: readonly (Value | undefined)[];
  /** How many of the operands are the op's own. */
  readonly arity: number;
  readonly outputs: readonly Value[];
  /** Applied to each element of output 0: x0 is the op's result, x1… the extra operands, broadcast. */
  readonly epilogue: Expr | undefined;
  /** What the node is a part of, where it was written as something larger: `depthwiseSeparable`. */
  readonly origin?: string;
}

export interface GraphOutput {
  readonly name: string;
  readonly value: Value;
  /** Where the size of an axis depends on data: how many of its positions count. */
  readonly count?: OutputCount;
}

/** An i64 scalar that says how many positions of `axis` count; the value has room for all that there can be. */
export interface OutputCount {
  readonly axis: number;
  readonly value: Value;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type MutableValue = Omit<Mutable<Value>, 'uses'> & { uses: Use[] };
type MutableNode = Omit<Mutable<Node>, 'operands' | 'outputs'> & {
  operands: (Value | undefined)[];
  outputs: Value[];
};

/** What a node is, but for the values that it reads and makes. */
type NodeFacts = Pick<Node, 'op' | 'name' | 'attrs' | 'arity' | 'origin'> & Partial<Pick<Node, 'epilogue'>>;

export interface NodeOptions {
  readonly name?: string;
  /** Labels of the outputs; made up where absent or taken. */
  readonly outputs?: readonly string[];
  readonly epilogue?: { readonly expr: Expr; readonly operands: readonly Value[] };
  readonly origin?: string;
}

/** Does the node have this op? Narrows its attributes. */
export const isOp = <K extends OpName>(node: Node | undefined, op: K): node is Node<K> => node?.op === op;

/** The node that produces a value, if one does. */
export const producer = (value: Value | undefined): Node | undefined =>
  value?.source.kind === 'node' ? value.source.node : undefined;

/** The constant behind a value, whether or not its data is present. */
export const constantOf = (value: Value | undefined): Constant | undefined =>
  value?.source.kind === 'constant' ? value.source.constant : undefined;

/** The constant tensor behind a value, where its data is present. */
export function tensorOf(value: Value | undefined): Tensor | undefined {
  const constant = constantOf(value);
  // asking for `data` may read it from the file
  return constant && !('missing' in constant) ? constant : undefined;
}

/** The operands that are the op's own. */
export const ownInputs = ({ operands, arity }: Node): readonly (Value | undefined)[] =>
  operands.length === arity ? operands : operands.slice(0, arity);
export const epilogueOperands = (node: Node): readonly (Value | undefined)[] =>
  node.operands.slice(node.arity);

/** What the facets of a node's op are asked about. */
export const opContext = (node: Node): OpContext<AttrsOf<AttrSchema>> => ({
  attrs: node.attrs,
  inputs: ownInputs(node).map((v) => v?.type),
  outputs: node.outputs.map((v) => v.type),
});

/** The arithmetic of a node's op, without its epilogue. */
export const opCost = (node: Node): Cost => opDef(node.op).cost(opContext(node));

/** The op's own input `slot`; undefined where an optional one is absent. Epilogue operands never count. */
export const ownInput = (node: Node, slot: number): Value | undefined =>
  slot < node.arity ? node.operands[slot] : undefined;

/** The values that an output of a graph reads: its own, and its count where it has one. */
export const outputValues = ({ value, count }: GraphOutput): readonly Value[] =>
  count ? [value, count.value] : [value];

/** The value in operand slot `slot`. @throws InternalError if there is none: for slots that the op requires. */
export function operand(node: Node, slot: number): Value {
  const value = node.operands[slot];
  if (!value) throw new InternalError(`node "${node.name}" (${node.op}) has no operand ${slot}`);
  return value;
}

/** The output `index` of a node. @throws InternalError if there is none. */
export function result(node: Node, index = 0): Value {
  const value = node.outputs[index];
  if (!value) throw new InternalError(`node "${node.name}" (${node.op}) has no output ${index}`);
  return value;
}

/**
 * A network as nodes over values in single-assignment form. Edits go through its methods, which keep `uses` true;
 * `nodes` is always in topological order.
 */
export class Graph {
  readonly name: string;
  #inputs: Value[] = [];
  #outputs: GraphOutput[] = [];
  #nodes = new Set<Node>();
  /** Did each node read what was there before it? So it is until a node is given other operands. */
  #inOrder = true;
  #sorted: readonly Node[] | undefined;
  #names = new Set<string>();
  #nextId = 0;

  constructor(name: string) {
    this.name = name;
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }

  get outputs(): readonly GraphOutput[] {
    return this.#outputs;
  }

  /** Nodes in topological order, stable with respect to insertion. @throws CompileError if the graph is cyclic. */
  get nodes(): readonly Node[] {
    this.#sorted ??= this.#inOrder ? [...this.#nodes] : sortNodes(this.#nodes);
    return this.#sorted;
  }

  /** Every value: inputs, constants in use, node outputs; in order of first appearance. */
  get values(): readonly Value[] {
    const seen = new Set<Value>(this.#inputs);
    for (const node of this.nodes) {
      for (const value of node.operands) if (value) seen.add(value);
      for (const value of node.outputs) seen.add(value);
    }
    for (const value of this.#outputs.flatMap(outputValues)) seen.add(value);
    return [...seen];
  }

  /** `wanted`, or with a number appended if it is taken. */
  freshName(wanted: string): string {
    let name = wanted || 'value';
    for (let i = 1; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  addInput(name: string, type: TensorType): Value {
    const value = this.#value(name, type, { kind: 'input' });
    this.#inputs.push(value);
    return value;
  }

  addConstant(name: string, constant: Constant): Value {
    return this.#value(name, constant.type, { kind: 'constant', constant });
  }

  /** Adds a node; its output types are inferred. @throws OpError | RangeError where it does not fit its op. */
  addNode<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
    options: NodeOptions = {},
  ): Node<K> {
    const def = opDef(op);
    const resolved = resolveAttrs(def.attrs, attrs as Readonly<Record<string, AttrValue>>);
    const types = def.infer({
      attrs: resolved,
      inputs: inputs.map((v) => v?.type),
      constants: inputs.map((v) => tensorOf(v)),
    });
    const { epilogue, outputs, origin } = options;
    const name = options.name || `${op}_${this.#nodes.size}`;
    const node = this.#insert(
      { op, name, attrs: resolved as OpAttrs<OpName>, arity: inputs.length, ...(origin ? { origin } : {}) },
      types.map((type, i) => ({ name: outputs?.[i] ?? `${name}_out${i || ''}`, type })),
      inputs,
    );
    if (epilogue) this.setEpilogue(node, epilogue.expr, epilogue.operands);
    return node as unknown as Node<K>;
  }

  /** A node like one of another graph, over operands of the same types: nothing is inferred again. */
  addCopy(node: Node, operands: readonly (Value | undefined)[]): Node {
    return this.#insert(node, node.outputs, operands);
  }

  #insert(
    { op, name, attrs, arity, epilogue, origin }: NodeFacts,
    outputs: readonly Pick<Value, 'name' | 'type'>[],
    operands: readonly (Value | undefined)[],
  ): Node {
    const node: MutableNode = {
      id: this.#nextId++,
      op,
      name,
      attrs,
      operands: [],
      arity,
      outputs: [],
      epilogue,
      ...(origin ? { origin } : {}),
    };
    node.outputs = outputs.map(({ name, type }, index) =>
      this.#value(name, type, { kind: 'node', node: node as Node, index }),
    );
    this.#nodes.add(node as Node);
    this.#setOperands(node as Node, operands);
    return node as Node;
  }

  addOutput(name: string, value: Value, count?: OutputCount): void {
    this.#outputs.push(count ? { name, value, count } : { name, value });
  }

  /** These are the outputs, in place of those there were; nodes that nobody reads any more stay. */
  setOutputs(outputs: readonly GraphOutput[]): void {
    this.#outputs = [...outputs];
  }

  /** Appends to what is applied to the first output; replaces the whole epilogue. */
  setEpilogue(node: Node, expr: Expr | undefined, operands: readonly Value[]): void {
    if (expr && arity(expr) > operands.length + 1)
      throw new InternalError('epilogue reads an operand it lacks');
    (node as MutableNode).epilogue = expr;
    this.#inOrder = false;
    this.#setOperands(node, [...ownInputs(node), ...operands]);
  }

  setOperand(node: Node, slot: number, value: Value | undefined): void {
    const operands = [...node.operands];
    operands[slot] = value;
    this.#inOrder = false;
    this.#setOperands(node, operands);
  }

  /** Every use of `value`, graph outputs too, reads `by` instead. */
  replaceUses(value: Value, by: Value): void {
    if (value === by) return;
    for (const use of [...value.uses]) this.setOperand(use.node, use.slot, by);
    const other = (v: Value): Value => (v === value ? by : v);
    this.#outputs = this.#outputs.map(({ name, value: v, count }) => ({
      name,
      value: other(v),
      ...(count ? { count: { axis: count.axis, value: other(count.value) } } : {}),
    }));
  }

  /** Removes a node whose outputs nobody reads. */
  removeNode(node: Node): void {
    if (node.outputs.some((v) => this.isUsed(v)))
      throw new InternalError(`node "${node.name}" is still in use`);
    this.#setOperands(node, []);
    this.#nodes.delete(node);
    this.#sorted = undefined;
  }

  isUsed(value: Value): boolean {
    return value.uses.length > 0 || this.isOutput(value);
  }

  isOutput(value: Value): boolean {
    return this.#outputs.some((o) => o.value === value || o.count?.value === value);
  }

  #value(wanted: string, type: TensorType, source: Source): Value {
    return { id: this.#nextId++, name: this.freshName(wanted), type, source, uses: [] };
  }

  #setOperands(node: Node, operands: readonly (Value | undefined)[]): void {
    for (const value of node.operands) {
      if (value) (value as MutableValue).uses = value.uses.filter((use) => use.node !== node);
    }
    operands.forEach((value, slot) => {
      if (value) (value as MutableValue).uses.push({ node, slot });
    });
    (node as MutableNode).operands = [...operands];
    this.#sorted = undefined;
  }
}

/** Depth-first, in insertion order; recursion is replaced by a stack, as models are deep. */
function sortNodes(nodes: ReadonlySet<Node>): readonly Node[] {
  const sorted: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  for (const root of nodes) {
    const stack: Node[] = [root];
    while (stack.length > 0) {
      const node = stack[stack.length - 1] as Node;
      if (state.get(node) === 'done') {
        stack.pop();
        continue;
      }
      const before: Node[] = [];
      for (const value of node.operands) {
        const p = producer(value);
        if (p && state.get(p) !== 'done') before.push(p);
      }
      if (before.length === 0) {
        state.set(node, 'done');
        sorted.push(node);
        stack.pop();
        continue;
      }
      if (state.get(node) === 'open') fail('graph-cyclic', node.name, 'this node depends on its own result');
      state.set(node, 'open');
      // one by one: arguments of a call are limited
      for (const p of before.reverse()) stack.push(p);
    }
  }
  return sorted;
}
