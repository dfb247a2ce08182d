/**
 * What one position of a value sees of the graph's inputs: the ops' `field` facets followed backwards, cut at the border
 * of every value on the way. The receptive field of a value holds for positions far from any border; this holds at it.
 */
import type { Graph, Value } from '#ir/graph.ts';
import type { AxisField } from '#ir/op.ts';
import { hullOf } from '#ir/window.ts';
import { operandFields } from './operand-fields.ts';

/** Positions from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One range per axis. */
export type Box = readonly Range[];

/**
 * For each value that the box of `value` depends on, the smallest box found to hold what it sees; inputs among them. What
 * is not there is not seen. Tight where ops mix all of an axis or move along it; holes count as seen.
 */
export function seenAt(graph: Graph, value: Value, box: Box): ReadonlyMap<Value, Box> {
  const seen = new Map<Value, Box>([[value, box]]);
  for (const node of [...graph.nodes].reverse()) {
    node.outputs.forEach((output, index) => {
      const from = seen.get(output);
      if (!from) return;
      for (const { operand, fields } of operandFields(node, index, isComputed)) {
        const reached = operandBox(from, fields, operand.type.shape);
        if (reached) seen.set(operand, hullOfBoxes(seen.get(operand), reached));
      }
    });
  }
  return seen;
}

const isComputed = ({ source }: Value): boolean => source.kind !== 'constant';

/** Undefined where nothing is seen but padding. */
function operandBox(box: Box, fields: readonly AxisField[], shape: readonly number[]): Box | undefined {
  const ranges = shape.map((size, axis): Range => {
    const along = fields.findIndex((f) => f.kind === 'axis' && f.axis === axis);
    const field = fields[along];
    const from = box[along];
    if (field?.kind !== 'axis' || !from) return { start: 0, end: size };
    const { start, size: length } = hullOf(field.map, from.start, from.end - from.start);
    return length === 0 ? { start: 0, end: 0 } : atBorder(field, { start, end: start + length }, size);
  });
  return ranges.some((r) => r.end <= r.start) ? undefined : ranges;
}

/** The range inside an axis, with what positions outside of it stand for. */
function atBorder(field: AxisField & { kind: 'axis' }, { start, end }: Range, size: number): Range {
  const inside = { start: Math.max(0, start), end: Math.min(size, end) };
  const clamp = (p: number) => Math.max(0, Math.min(size - 1, p));
  if (field.border === undefined || (start >= 0 && end <= size)) return inside;
  if (field.border === 'edge') return { start: clamp(start), end: clamp(end - 1) + 1 };
  const whole = { start: 0, end: size };
  if (field.border === 'wrap') {
    const [first, last] = [wrapped(start, size), wrapped(end - 1, size)];
    // as one piece, unless an end of the axis lies within
    return end - start >= size || first > last ? whole : { start: first, end: last + 1 };
  }
  const period = Math.max(1, 2 * (size - 1));
  if (end - start >= period) return whole;
  const [first, last] = [mirrored(start, size, period), mirrored(end - 1, size, period)];
  /** Does one of the positions show what is at `p`, and at every period from there? */
  const shows = (p: number): boolean => p + Math.ceil((start - p) / period) * period < end;
  return {
    start: shows(0) ? 0 : Math.min(first, last),
    end: shows(size - 1) ? size : Math.max(first, last) + 1,
  };
}

const wrapped = (p: number, period: number): number => ((p % period) + period) % period;

function mirrored(p: number, size: number, period: number): number {
  const at = wrapped(p, period);
  return at < size ? at : period - at;
}

const hullOfBoxes = (a: Box | undefined, b: Box): Box =>
  b.map((range, axis) => ({
    start: Math.min(range.start, a?.[axis]?.start ?? range.start),
    end: Math.max(range.end, a?.[axis]?.end ?? range.end),
  }));
