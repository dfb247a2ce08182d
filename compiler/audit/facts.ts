/** What the sections of a report are written from: the analyses of one graph, each made once. */
import { type ConvClass, convClasses } from '#ir/conv-kind.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import { type Composite, composites } from '#passes/analysis/composites.ts';
import { type GraphCost, graphCost, type NodeCost } from '#passes/analysis/cost.ts';
import { type GraphLiveness, graphLiveness } from '#passes/analysis/liveness.ts';
import type { Preset } from '#passes/analysis/presets/index.ts';
import { type FieldFacts, fieldFacts } from './fields.ts';

export interface Facts {
  readonly graph: Graph;
  readonly cost: GraphCost;
  readonly preset: Preset;
  readonly liveness: GraphLiveness;
  readonly fields: FieldFacts;
  readonly live: Map<Node, number>;
  readonly classes: ReadonlyMap<Node, ConvClass>;
  readonly composites: readonly Composite[];
  /** The composite that a node is part of. */
  readonly compositeOf: ReadonlyMap<Node, Composite>;
  /** Are the sizes those of the question, and not examples? */
  readonly sizeKnown: boolean;
}

/** @param others the same network at other sizes of what was not given; undefined where all was given */
export function factsOf(graph: Graph, preset: Preset, others?: readonly Graph[]): Facts {
  const liveness = graphLiveness(graph);
  const classes = convClasses(graph);
  const found = composites(graph, classes);
  return {
    graph,
    cost: graphCost(graph),
    preset,
    liveness,
    fields: fieldFacts(graph, others ?? []),
    live: new Map(liveness.timeline.map(({ node, bytes }) => [node, bytes])),
    classes,
    composites: found,
    compositeOf: new Map(found.flatMap((c) => c.nodes.map((node) => [node, c] as const))),
    sizeKnown: others === undefined,
  };
}

export const sizedCosts = (cost: NodeCost, known: boolean) => ({
  flops: known ? cost.flops : null,
  otherOps: known ? cost.otherOps : null,
  bytesRead: known ? cost.bytesRead : null,
  bytesWritten: known ? cost.bytesWritten : null,
  intensity: known ? cost.intensity : null,
});

export const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

export const tensorOf = (value: Value) => ({
  name: value.name,
  dtype: value.type.dtype,
  shape: [...value.type.shape],
});
