/** A network in parts that run one after the other, alternately on one target and another. */
import { Graph, type GraphOutput, type Node, outputValues, type Value } from '#ir/graph.ts';

export interface Part {
  readonly onDevice: boolean;
  readonly graph: Graph;
  /** Which value each input and output of its graph is. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** Values that go from part to part have numbers; the inputs of the network are the first. */
export interface Partition {
  readonly parts: readonly Part[];
  /** Which value each output of the network is. */
  readonly outputs: readonly number[];
}

/**
 * Each part takes every node that it can before the other target has its turn: no order has fewer parts that begins on the
 * same one.
 * @returns undefined where the size of an output depends on a count that another part computes
 */
export function partition(graph: Graph, onDevice: (node: Node) => boolean): Partition | undefined {
  const [one, other] = [true, false].map((first) => groupsOf(graph, onDevice, first));
  const groups = (one?.length ?? 0) <= (other?.length ?? 0) ? one : other;
  const partOf = new Map<Value, number>();
  groups?.forEach(({ nodes }, k) => {
    for (const value of nodes.flatMap((node) => node.outputs)) partOf.set(value, k);
  });
  const home = ({ value }: GraphOutput): number => partOf.get(value) ?? 0;
  const apart = graph.outputs.some(
    (output) => output.count && (partOf.get(output.count.value) ?? 0) !== home(output),
  );
  if (!groups || apart) return undefined;
  const numbers = new Map(graph.inputs.map((value, k) => [value, k]));
  for (const { nodes } of groups) {
    for (const value of new Set(nodes.flatMap(({ operands }) => operands))) {
      const from = value && partOf.get(value);
      if (!value || from === undefined || numbers.has(value)) continue;
      if (value.uses.some(({ node }) => partOf.get(node.outputs[0] as Value) !== from))
        numbers.set(value, numbers.size);
    }
  }
  const crossing = numbers.size;
  const leaving: Leaving[][] = groups.map(() => []);
  graph.outputs.forEach((output, i) => {
    leaving[home(output)]?.push({ output, number: crossing + i });
  });
  const parts = groups.map(({ nodes, device }, k) => ({
    onDevice: device,
    ...partGraph(graph.name, nodes, numbers, leaving[k] ?? []),
  }));
  return { parts, outputs: graph.outputs.map((_, i) => crossing + i) };
}

interface Group {
  readonly device: boolean;
  readonly nodes: readonly Node[];
}

/** Every node is looked at once: it waits for as many nodes as it reads results of, and then for the turn of its target. */
function groupsOf(graph: Graph, onDevice: (node: Node) => boolean, first: boolean): Group[] {
  const places = new Map(graph.nodes.map((node, place) => [node, place]));
  const readers = new Map<Node, Node[]>();
  const waitsFor = new Map<Node, number>();
  const ready = { device: [] as Node[], other: [] as Node[] };
  const readyOn = (device: boolean) => (device ? ready.device : ready.other);
  for (const node of graph.nodes) {
    const read = node.operands.flatMap((value) => (value?.source.kind === 'node' ? [value.source.node] : []));
    waitsFor.set(node, read.length);
    for (const from of read) {
      const list = readers.get(from);
      if (list) list.push(node);
      else readers.set(from, [node]);
    }
    if (read.length === 0) readyOn(onDevice(node)).push(node);
  }
  const groups: Group[] = [];
  for (let device = first; ready.device.length + ready.other.length > 0; device = !device) {
    const nodes: Node[] = [];
    const queue = readyOn(device);
    for (let node = queue.pop(); node; node = queue.pop()) {
      nodes.push(node);
      for (const reader of readers.get(node) ?? []) {
        const left = (waitsFor.get(reader) ?? 0) - 1;
        waitsFor.set(reader, left);
        if (left === 0) readyOn(onDevice(reader)).push(reader);
      }
    }
    nodes.sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
    if (nodes.length > 0) groups.push({ device, nodes });
  }
  return groups;
}

/** An output of the network, and which value it is. */
interface Leaving {
  readonly output: GraphOutput;
  readonly number: number;
}

function partGraph(
  name: string,
  nodes: readonly Node[],
  numbers: ReadonlyMap<Value, number>,
  leaving: readonly Leaving[],
): Omit<Part, 'onDevice'> {
  const graph = new Graph(name);
  const copies = new Map<Value, Value>();
  const entering: number[] = [];
  const enter = (value: Value): void => {
    if (copies.has(value)) return;
    const { source } = value;
    if (source.kind === 'constant') copies.set(value, graph.addConstant(value.name, source.constant));
    else {
      copies.set(value, graph.addInput(value.name, value.type));
      entering.push(numbers.get(value) ?? -1);
    }
  };
  const own = new Set(nodes.flatMap((node) => node.outputs));
  const read = new Set([
    ...nodes.flatMap(({ operands }) => operands.filter((v) => v !== undefined)),
    ...leaving.flatMap(({ output }) => outputValues(output)),
  ]);
  // inputs of the network in their order
  const inputs = [...read].filter(({ source }) => source.kind === 'input');
  for (const value of inputs.sort((a, b) => (numbers.get(a) ?? 0) - (numbers.get(b) ?? 0))) enter(value);
  for (const value of read) if (!own.has(value)) enter(value);
  for (const node of nodes) {
    const copy = graph.addCopy(
      node,
      node.operands.map((v) => v && copies.get(v)),
    );
    node.outputs.forEach((value, i) => {
      copies.set(value, copy.outputs[i] as Value);
    });
  }
  const outputs: number[] = [];
  for (const value of own) {
    const number = numbers.get(value);
    if (number === undefined) continue;
    graph.addOutput(`value ${number}`, copies.get(value) as Value);
    outputs.push(number);
  }
  for (const { output, number } of leaving) {
    const count = output.count && {
      axis: output.count.axis,
      value: copies.get(output.count.value) as Value,
    };
    graph.addOutput(output.name, copies.get(output.value) as Value, count);
    outputs.push(number);
  }
  return { graph, inputs: entering, outputs };
}
