/** Nodes that are one layer of a description: a convolution with the norm and the activation after it, x·σ(x). */
import { type Graph, isOp, type Node, operand, outputValues, result, type Value } from '#ir/graph.ts';
import { layerOf, type WrittenLayer } from './rules.ts';

/** What is written as one layer. */
export interface Group {
  /** Where it is written; the rest of its nodes follow. */
  readonly head: Node;
  readonly layer: WrittenLayer;
  readonly results: readonly Value[];
}

/** Layers, in order; a text is why the node has none. */
export type Written = Group | { readonly node: Node; readonly layer: string | undefined };

/** The graph as layers, as few as say it. */
export function groupLayers(graph: Graph): Written[] {
  const outputs = new Set(graph.outputs.flatMap(outputValues));
  const absorbed = new Set<Node>();
  const written: Written[] = [];
  for (const node of graph.nodes) {
    if (absorbed.has(node)) continue;
    const gate = gateOf(node, outputs);
    const head = gate?.last ?? node;
    if (gate) for (const other of gate.nodes) absorbed.add(other);
    const layer = gate ? { kind: 'activation', options: gate.name, inputs: [gate.input] } : layerOf(node);
    if (typeof layer !== 'object') written.push({ node, layer });
    else written.push(withFollowers({ head, layer, results: head.outputs }, outputs, absorbed));
  }
  return written;
}

/** Kinds that take a norm, and those that take an activation. */
const NORMED = new Set(['conv', 'transposed']);
const ACTIVATED = new Set(['conv', 'transposed', 'dense']);

/** The group with the norm and the activation that alone read it, which are then absorbed. */
function withFollowers(group: Group, outputs: ReadonlySet<Value>, absorbed: Set<Node>): Group {
  let { layer } = group;
  let [value] = group.results;
  if (!value || !ACTIVATED.has(layer.kind)) return group;
  let norm: WrittenLayer | undefined;
  const [reader] = onlyReaders(value, outputs, 1);
  if (reader && NORMED.has(layer.kind) && operand(reader, 0) === value) {
    const next = reader.epilogue ? undefined : layerOf(reader);
    if (typeof next === 'object' && next.kind === 'norm') {
      norm = next;
      value = result(reader);
      absorbed.add(reader);
    }
  }
  const activation = activationOf(value, outputs);
  if (activation) {
    value = result(activation.last);
    for (const node of activation.nodes) absorbed.add(node);
  }
  if (!norm && !activation) return group;
  const { bias: _, ...rest } =
    typeof layer.options === 'number' ? { units: layer.options } : (layer.options as { bias?: boolean });
  // a layer has a bias unless told, or unless a norm follows
  const hasBias = layer.weights?.bias !== undefined;
  layer = {
    ...layer,
    options: {
      ...rest,
      ...(hasBias === (norm === undefined) ? {} : { bias: hasBias }),
      ...(norm ? { norm: norm.options } : {}),
      ...(activation ? { activation: activation.name } : {}),
    },
    weights: {
      ...layer.weights,
      ...Object.fromEntries(Object.entries(norm?.weights ?? {}).map(([key, w]) => [`norm.${key}`, w])),
    },
  };
  return { ...group, layer, results: [value] };
}

interface Activation {
  readonly name: string;
  readonly input: Value;
  readonly nodes: readonly Node[];
  readonly last: Node;
}

/** The activation without options of its own that alone reads the value. */
function activationOf(value: Value, outputs: ReadonlySet<Value>): Activation | undefined {
  const [reader] = onlyReaders(value, outputs, 1);
  if (reader && !reader.epilogue) {
    const layer = layerOf(reader);
    if (typeof layer !== 'object' || layer.kind !== 'activation' || typeof layer.options !== 'string')
      return undefined;
    return { name: layer.options, input: value, nodes: [reader], last: reader };
  }
  return onlyReaders(value, outputs, 2)
    .map((node) => gateOf(node, outputs))
    .find((gate) => gate?.input === value);
}

/** Functions of x that x is multiplied by, and what the product is called. */
const GATES: Readonly<Record<string, string>> = { sigmoid: 'silu', hardSigmoid: 'hardSwish' };

/** x·σ(x), from either of its nodes; no one else reads σ(x). */
function gateOf(node: Node, outputs: ReadonlySet<Value>): Activation | undefined {
  if (node.epilogue) return undefined;
  if (isOp(node, 'Mul')) {
    const operands = [operand(node as Node, 0), operand(node as Node, 1)] as const;
    return productOf(node, operands, outputs) ?? productOf(node, [operands[1], operands[0]], outputs);
  }
  const [first] = node.outputs;
  const [reader] = first ? onlyReaders(first, outputs, 1) : [];
  return isOp(reader, 'Mul') ? gateOf(reader as Node, outputs) : undefined;
}

function productOf(
  last: Node,
  [input, gate]: readonly [Value, Value],
  outputs: ReadonlySet<Value>,
): Activation | undefined {
  const sigmoid = gate.source.kind === 'node' ? gate.source.node : undefined;
  if (!sigmoid || sigmoid.epilogue || onlyReaders(gate, outputs, 1).length === 0) return undefined;
  const layer = layerOf(sigmoid);
  if (typeof layer !== 'object' || layer.kind !== 'activation' || layer.inputs[0] !== input) return undefined;
  const name = GATES[String(layer.options)];
  return name === undefined ? undefined : { name, input, nodes: [sigmoid, last], last };
}

/** Those that read the value, if they are so many and it is no output. */
function onlyReaders(value: Value, outputs: ReadonlySet<Value>, count: number): readonly Node[] {
  const readers = [...new Set(value.uses.map(({ node }) => node))];
  return outputs.has(value) || readers.length !== count ? [] : readers;
}
