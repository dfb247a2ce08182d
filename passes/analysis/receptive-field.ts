/**
 * Receptive fields: which positions of a graph input each value sees, per spatial axis, by a fold of the ops' `field`
 * facets over the graph. Exact per axis, up to holes: an interval stands for what may be sparse within it (dilation).
 */
import type { Graph, Node, Value } from '#ir/graph.ts';
import type { AxisField } from '#ir/op.ts';
import {
  composeMaps,
  envelope,
  type FieldEnvelope,
  IDENTITY_MAP,
  type PositionMap,
  unionMaps,
} from '#ir/window.ts';
import { operandFields } from './operand-fields.ts';

/** A field along one spatial axis of an input: positions that move with those of axis `axis` of the value. */
export interface MovingField {
  readonly axis: number;
  /** Over all paths. */
  readonly map: PositionMap;
  /**
   * Of the path with the smallest field, and of that with the largest, found join by join: exact but for upsampling,
   * behind which a field that is larger now may be smaller later.
   */
  readonly shortest: PositionMap;
  readonly longest: PositionMap;
}

/**
 * What a value sees along one axis of a graph input. `global`: all of it. `moving` is the field, or, beside `global`,
 * the field without the paths that see everything (the gate of a squeeze-excite).
 */
export interface AxisTrace {
  /** The axis of the graph input. */
  readonly inputAxis: number;
  readonly global: boolean;
  /** The first node on the way that sees all of the input; undefined where it is not global, or sees it axis by axis. */
  readonly globalBy?: Node;
  /** Why the field counts as global where it need not be. */
  readonly reason?: string;
  readonly moving?: MovingField;
}

/** What a value sees of one graph input; its spatial axes are those from 2 on. */
export interface InputTrace {
  readonly input: Value;
  readonly axes: readonly AxisTrace[];
}

/** Two paths to one node whose fields move differently or have other centres; `partingPaths` names their layers. */
export interface Misalignment {
  readonly node: Node;
  readonly inputAxis: number;
  readonly paths: readonly { readonly via: Value; readonly field: FieldEnvelope; readonly centre: number }[];
}

export interface ReceptiveFields {
  /** Per value that depends on an input. */
  readonly traces: ReadonlyMap<Value, readonly InputTrace[]>;
  readonly misaligned: readonly Misalignment[];
}

/** Periods beyond this are not followed: the field counts as global. */
export const PERIOD_LIMIT = 4096;

/** Centre of the field of output 0, in input positions; output i has it `stride`·i further on. */
export const fieldCentre = (field: FieldEnvelope): number => -field.padding + (field.size - 1) / 2;

export function receptiveFields(graph: Graph): ReceptiveFields {
  const traces = new Map<Value, readonly InputTrace[]>();
  const misaligned: Misalignment[] = [];
  for (const input of graph.inputs) {
    const axes = input.type.shape.flatMap((_, axis): AxisTrace[] =>
      axis < 2 ? [] : [{ inputAxis: axis, global: false, moving: singlePath(axis, IDENTITY_MAP) }],
    );
    if (axes.length > 0) traces.set(input, [{ input, axes }]);
  }
  for (const node of graph.nodes) {
    node.outputs.forEach((output, index) => {
      const arriving = arrivals(node, index, traces);
      if (arriving.length > 0) traces.set(output, joinArrivals(node, arriving, misaligned));
    });
  }
  return { traces, misaligned };
}

const singlePath = (axis: number, map: PositionMap): MovingField => ({
  axis,
  map,
  shortest: map,
  longest: map,
});

interface Arrival {
  readonly via: Value;
  readonly trace: InputTrace;
}

/** The traces of a node's operands, each followed through the node to one of its outputs. */
const arrivals = (
  node: Node,
  output: number,
  traces: ReadonlyMap<Value, readonly InputTrace[]>,
): readonly Arrival[] =>
  operandFields(node, output, (operand) => traces.has(operand)).flatMap(({ operand, fields }) =>
    (traces.get(operand) ?? []).map(({ input, axes }) => ({
      via: operand,
      trace: { input, axes: axes.map((trace) => through(node, trace, fields)) },
    })),
  );

/** An axis that no output axis follows is seen whole. */
function through(node: Node, trace: AxisTrace, fields: readonly AxisField[]): AxisTrace {
  const { moving } = trace;
  const axis = moving ? fields.findIndex((f) => f.kind === 'axis' && f.axis === moving.axis) : -1;
  const field = fields[axis];
  if (!moving || field?.kind !== 'axis') return lostAt(node, trace);
  if (field.map === IDENTITY_MAP && axis === moving.axis) return trace;
  const { map, shortest, longest } = moving;
  if (periodAfter(field.map, map) > PERIOD_LIMIT) return { ...lostAt(node, trace), reason: tooLong() };
  const followed = composeMaps(field.map, map);
  // most fields are those of a single path
  const alike = (path: PositionMap) => (path === map ? followed : composeMaps(field.map, path));
  return { ...trace, moving: { axis, map: followed, shortest: alike(shortest), longest: alike(longest) } };
}

const lostAt = (node: Node, { moving: _, ...seen }: AxisTrace): AxisTrace => ({
  ...seen,
  global: true,
  globalBy: seen.globalBy ?? node,
});

const tooLong = (): string => `the field repeats only after more than ${PERIOD_LIMIT} positions`;

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

const periodAfter = (outer: PositionMap, inner: PositionMap): number =>
  outer.phases.length * (inner.phases.length / gcd(outer.advance, inner.phases.length));

function joinArrivals(
  node: Node,
  arriving: readonly Arrival[],
  misaligned: Misalignment[],
): readonly InputTrace[] {
  const [only, more] = arriving;
  if (only && !more) return [only.trace];
  const inputs = new Set(arriving.map(({ trace }) => trace.input));
  return [...inputs].map((input) => {
    const paths = arriving.filter(({ trace }) => trace.input === input);
    const count = paths[0]?.trace.axes.length ?? 0;
    return {
      input,
      axes: Array.from({ length: count }, (_, i) => {
        const joined = paths.flatMap(({ via, trace }) => {
          const axis = trace.axes[i];
          return axis ? [{ via, axis }] : [];
        });
        const report = misalignment(node, joined);
        if (report) misaligned.push(report);
        return joined.map((p) => p.axis).reduce((a, b) => joinTraces(node, a, b));
      }),
    };
  });
}

function joinTraces(node: Node, a: AxisTrace, b: AxisTrace): AxisTrace {
  const reason = a.reason ?? b.reason;
  const globalBy = a.globalBy ?? b.globalBy;
  const base: AxisTrace = {
    inputAxis: a.inputAxis,
    global: a.global || b.global,
    ...(reason === undefined ? {} : { reason }),
    ...(globalBy === undefined ? {} : { globalBy }),
  };
  if (!a.moving || !b.moving) {
    const moving = a.moving ?? b.moving;
    return moving ? { ...base, moving } : base;
  }
  const lost = (why: string): AxisTrace => ({
    ...base,
    global: true,
    globalBy: globalBy ?? node,
    reason: why,
  });
  if (a.moving.axis !== b.moving.axis) return lost('paths arrive on different axes');
  const [pa, pb] = [a.moving.map.phases.length, b.moving.map.phases.length];
  if ((pa * pb) / gcd(pa, pb) > PERIOD_LIMIT) return lost(tooLong());
  const map = unionMaps(a.moving.map, b.moving.map);
  if (!map) return lost('paths with different effective strides meet');
  const shortest = smaller(a.moving.shortest, b.moving.shortest);
  const longest = smaller(a.moving.longest, b.moving.longest, -1);
  return { ...base, moving: { axis: a.moving.axis, map, shortest, longest } };
}

/** That of two fields which is smaller; larger, with a sign of −1. */
const smaller = (a: PositionMap, b: PositionMap, sign: 1 | -1 = 1): PositionMap =>
  sign * envelope(b).size < sign * envelope(a).size ? b : a;

/** Reports paths whose stride or centre differs from that of the first. */
function misalignment(
  node: Node,
  joined: readonly { readonly via: Value; readonly axis: AxisTrace }[],
): Misalignment | undefined {
  const paths = joined.flatMap(({ via, axis }) => {
    if (!axis.moving) return [];
    const field = envelope(axis.moving.map);
    return field.size === 0 ? [] : [{ via, field, centre: fieldCentre(field) }];
  });
  const [first, ...rest] = paths;
  const other = rest.find((p) => p.field.stride !== first?.field.stride || p.centre !== first.centre);
  if (!first || !other) return undefined;
  return { node, inputAxis: joined[0]?.axis.inputAxis ?? 0, paths: [first, other] };
}
