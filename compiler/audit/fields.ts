/** What a report says about receptive fields. */
import type { Graph, Node } from '#ir/graph.ts';
import { envelope } from '#ir/window.ts';
import { type PartingPaths, partingPaths } from '#passes/analysis/parting-paths.ts';
import {
  type AxisTrace,
  type InputTrace,
  type ReceptiveFields,
  receptiveFields,
} from '#passes/analysis/receptive-field.ts';
import type { AuditField, AuditLayer, AuditReport } from './schema.ts';

/** The fields of a graph, and those of the same network at other sizes of what was not given. */
export interface FieldFacts extends ReceptiveFields {
  readonly elsewhere: readonly ReadonlyMap<string, readonly InputTrace[]>[];
}

export function fieldFacts(graph: Graph, others: readonly Graph[]): FieldFacts {
  const elsewhere = others.map((other) => {
    const { traces } = receptiveFields(other);
    return new Map(other.nodes.map((node) => [node.name, tracesOf(node, traces)]));
  });
  return { ...receptiveFields(graph), elsewhere };
}

const tracesOf = ({ outputs: [first] }: Node, traces: ReceptiveFields['traces']): readonly InputTrace[] =>
  (first && traces.get(first)) ?? [];

type LayerFields = Pick<AuditLayer, 'receptiveField' | 'localReceptiveField' | 'pathSizes' | 'globalBy'>;

/** The field in the first input that reaches the layer. */
export function fieldOf(node: Node, { traces, elsewhere }: FieldFacts): LayerFields {
  const axes = tracesOf(node, traces)[0]?.axes;
  if (!axes) return { receptiveField: null };
  const others = elsewhere.flatMap((fields) => fields.get(node.name)?.slice(0, 1) ?? []);
  const local = axes.map((axis, i) =>
    axisField(
      axis,
      others.map((other) => other.axes[i]),
    ),
  );
  const seen = axes.map(({ global }, i): AuditField => (global ? 'global' : (local[i] ?? 'global')));
  const globalBy = axes.find((axis) => axis.globalBy)?.globalBy;
  const more = { ...pathSizes(axes), ...(globalBy ? { globalBy: globalBy.name } : {}) };
  if (seen.some((f) => f !== 'global')) return { receptiveField: seen, ...more };
  const gated = local.some((f) => f !== 'global');
  return { receptiveField: 'global', ...(gated ? { localReceptiveField: local } : {}), ...more };
}

/** Where sizes that were not given change it, what they change is not known. */
function axisField({ moving }: AxisTrace, others: readonly (AxisTrace | undefined)[]): AuditField {
  const field = moving && envelope(moving.map);
  const elsewhere = others.map((axis) => axis?.moving && envelope(axis.moving.map));
  const varies = (of: (f: typeof field) => number | undefined) => elsewhere.some((f) => of(f) !== of(field));
  if (varies((f) => f?.size) || varies((f) => f?.stride) || varies((f) => f?.period)) return 'unknown';
  if (!field) return 'global';
  return varies((f) => f?.padding) ? { ...field, padding: null } : field;
}

/** Sizes along single paths; none where all paths see as much as their union. */
function pathSizes(axes: readonly AxisTrace[]): Pick<AuditLayer, 'pathSizes'> {
  // those of a chain are the same object
  if (axes.every(({ moving: m }) => !m || (m.shortest === m.map && m.longest === m.map))) return {};
  const sizes = axes.map(({ moving }) =>
    moving
      ? {
          shortest: envelope(moving.shortest).size,
          longest: envelope(moving.longest).size,
          union: envelope(moving.map).size,
        }
      : undefined,
  );
  if (sizes.every((s) => s === undefined || (s.shortest === s.union && s.longest === s.union))) return {};
  return { pathSizes: sizes.map((s) => (s ? { shortest: s.shortest, longest: s.longest } : 'global')) };
}

/** Layers of a path that are named: so many of the first and of the last. */
const NAMED_ENDS = 3;

export function misalignedOf(graph: Graph, { misaligned }: ReceptiveFields): AuditReport['misaligned'] {
  const parting = partingPaths(graph);
  const known = new Map<Node, PartingPaths>();
  return misaligned.map((at) => {
    const { from, paths } = known.get(at.node) ?? parting(at);
    known.set(at.node, { from, paths });
    return {
      layer: at.node.name,
      axis: at.inputAxis,
      from: from?.name ?? null,
      paths: at.paths.map(({ via, field, centre }, i) => {
        const names = (paths[i] ?? []).map((node) => node.name);
        const hidden = Math.max(0, names.length - 2 * NAMED_ENDS);
        return {
          via: via.name,
          layers: hidden === 0 ? names : [...names.slice(0, NAMED_ENDS), ...names.slice(-NAMED_ENDS)],
          hiddenLayers: hidden,
          field,
          centre,
        };
      }),
    };
  });
}
