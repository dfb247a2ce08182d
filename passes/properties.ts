import type { Graph, OpName } from '#ir/graph.ts';

/** Something that can be true of a graph, which passes require and ensure. */
export interface GraphProperty {
  readonly name: string;
  /** Where it does not hold, in words; undefined where it holds. */
  violation(graph: Graph): string | undefined;
}

/** No node has an epilogue: every node does what its op says, so that rewrites need not look further. */
export const noEpilogues: GraphProperty = {
  name: 'no-epilogues',
  violation(graph) {
    const node = graph.nodes.find((n) => n.epilogue);
    return node && `"${node.name}" has an epilogue`;
  },
};

/** Every node has a reader. */
export const noDeadNodes: GraphProperty = {
  name: 'no-dead-nodes',
  violation(graph) {
    const node = graph.nodes.find((n) => n.outputs.every((v) => !graph.isUsed(v)));
    return node && `nobody reads "${node.name}"`;
  },
};

/** No node has this op. */
export const without = (op: OpName): GraphProperty => ({
  name: `no-${op}`,
  violation(graph) {
    const node = graph.nodes.find((n) => n.op === op);
    return node && `"${node.name}" is one`;
  },
});
