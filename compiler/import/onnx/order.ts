import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { GraphProto, NodeProto } from './generated/onnx-proto.js';
import { listed, printable } from './text.ts';

/** What people call a node: its name, or what it makes. */
export const nodeLabel = (node: NodeProto): string =>
  printable(node.name || `${node.opType} of ${node.output.find((o) => o !== '') ?? 'nothing'}`);

export interface OrderedNodes {
  readonly nodes: readonly NodeProto[];
  /** Every name that some node of the graph or of its subgraphs reads, or that is an output. */
  readonly read: ReadonlySet<string>;
  readonly problems: readonly Diagnostic[];
}

/** The parts of a graph, or of a function body, that order needs. */
export interface Body {
  readonly node: readonly NodeProto[];
  readonly stored: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export const bodyOf = (graph: GraphProto): Body => ({
  node: graph.node,
  stored: graph.initializer.map((t) => t.name),
  inputs: graph.input.map((i) => i.name),
  outputs: graph.output.map((o) => o.name),
});

/**
 * Topological order, that of the file where that is one. Checks that every name has one producer and that there is
 * no cycle. Iterative: models are deep.
 */
export function orderNodes(body: Body): OrderedNodes {
  const problems: Diagnostic[] = [];
  const producers = findProducers(body, problems);
  const reads = body.node.map(namesRead);
  const read = new Set(body.outputs);
  for (const names of reads) for (const name of names) read.add(name);

  // nodes by their place in the file
  const order: number[] = [];
  const state = new Array<'open' | 'done' | undefined>(reads.length).fill(undefined);
  for (const root of reads.keys()) {
    const stack = [root];
    for (let at = stack.at(-1); at !== undefined; at = stack.at(-1)) {
      if (state[at] === 'done') {
        stack.pop();
        continue;
      }
      const before: number[] = [];
      for (const name of reads[at] ?? []) {
        const producer = producers.get(name);
        if (producer !== undefined && state[producer] !== 'done') before.push(producer);
      }
      if (before.length === 0) {
        state[at] = 'done';
        order.push(at);
        stack.pop();
      } else if (state[at] === 'open') {
        const cycle = [...new Set(stack)].filter((n) => state[n] === 'open');
        const labels = cycle.flatMap((n) => body.node[n] ?? []).map(nodeLabel);
        problems.push(
          diagnostic('graph-cyclic', labels[0] ?? '', `these nodes wait for each other: ${listed(labels)}`),
        );
        return { nodes: [], read, problems };
      } else {
        state[at] = 'open';
        // one by one: arguments of a call are limited
        for (const producer of before.reverse()) stack.push(producer);
      }
    }
  }
  return { nodes: order.flatMap((at) => body.node[at] ?? []), read, problems };
}

/** The place in the file of the node that makes each value. */
function findProducers(body: Body, problems: Diagnostic[]): ReadonlyMap<string, number> {
  const duplicate = (name: string, who: string) =>
    problems.push(
      diagnostic('graph-duplicate-value', printable(name), `${who} gives a name that is already taken`),
    );
  const taken = new Set<string>();
  for (const name of body.stored) {
    if (taken.has(name)) duplicate(name, 'an initializer');
    taken.add(name);
  }
  // an input with an initializer of its name has that as its value
  const inputs = new Set<string>();
  for (const name of body.inputs) {
    if (inputs.has(name)) duplicate(name, 'an input');
    inputs.add(name);
    taken.add(name);
  }
  const producers = new Map<string, number>();
  for (const [at, node] of body.node.entries()) {
    for (const name of node.output) {
      if (name === '') continue;
      if (taken.has(name)) duplicate(name, `node "${nodeLabel(node)}"`);
      else producers.set(name, at);
      taken.add(name);
    }
  }
  return producers;
}

/** Names that a node reads: its inputs, and what its subgraphs take from outside. Depth is bounded by the decoder. */
export function namesRead(node: NodeProto): readonly string[] {
  const names = node.input.filter((name) => name !== '');
  for (const { g, graphs } of node.attribute) {
    for (const graph of g ? [g, ...graphs] : graphs) for (const name of captured(graph)) names.push(name);
  }
  return names;
}

function captured(graph: GraphProto): Set<string> {
  const names = new Set(graph.output.map((o) => o.name));
  for (const node of graph.node) for (const name of namesRead(node)) names.add(name);
  for (const { name } of [...graph.input, ...graph.initializer]) names.delete(name);
  for (const node of graph.node) for (const name of node.output) names.delete(name);
  return names;
}
