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
  const reads = new Map(body.node.map((node) => [node, namesRead(node)]));
  const read = new Set(body.outputs);
  for (const names of reads.values()) for (const name of names) read.add(name);

  const nodes: NodeProto[] = [];
  const state = new Map<NodeProto, 'open' | 'done'>();
  for (const root of body.node) {
    const stack = [root];
    for (let node = stack.at(-1); node; node = stack.at(-1)) {
      if (state.get(node) === 'done') {
        stack.pop();
        continue;
      }
      const before: NodeProto[] = [];
      for (const name of reads.get(node) ?? []) {
        const producer = producers.get(name);
        if (producer && state.get(producer) !== 'done') before.push(producer);
      }
      if (before.length === 0) {
        state.set(node, 'done');
        nodes.push(node);
        stack.pop();
      } else if (state.get(node) === 'open') {
        const cycle = [...new Set(stack)].filter((n) => state.get(n) === 'open').map(nodeLabel);
        problems.push(
          diagnostic('graph-cyclic', cycle[0] ?? '', `these nodes wait for each other: ${listed(cycle)}`),
        );
        return { nodes: [], read, problems };
      } else {
        state.set(node, 'open');
        // one by one: arguments of a call are limited
        for (const node of before.reverse()) stack.push(node);
      }
    }
  }
  return { nodes, read, problems };
}

function findProducers(body: Body, problems: Diagnostic[]): Map<string, NodeProto> {
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
  const producers = new Map<string, NodeProto>();
  for (const node of body.node) {
    for (const name of node.output) {
      if (name === '') continue;
      if (taken.has(name)) duplicate(name, `node "${nodeLabel(node)}"`);
      else producers.set(name, node);
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
