/** What one position of a layer's output sees of the inputs, for `audit --at`. */
import { fail } from '#ir/diagnostics.ts';
import type { Graph, Node, Value } from '#ir/graph.ts';
import { mapAt } from '#ir/window.ts';
import { type InputTrace, type ReceptiveFields, receptiveFields } from '#passes/analysis/receptive-field.ts';
import { type Range, seenAt } from '#passes/analysis/seen-at.ts';
import { didYouMean } from '../suggest.ts';
import { modulePath } from './layers.ts';

/** Positions along one axis of an input: from `start` to before `end`. */
export interface SeenAxis {
  /** The axis of the input. */
  readonly axis: number;
  readonly size: number;
  /** The receptive field, which may lie beyond the image; null where it is all of the input. */
  readonly field: Range | null;
  /** What of the image is seen; null where the position sees none of it. */
  readonly seen: Range | null;
}

export interface SeenInput {
  readonly input: string;
  readonly axes: readonly SeenAxis[];
  /** Part of the field that lies outside the image. */
  readonly paddingShare: number;
}

export interface SeenPosition {
  readonly layer: string;
  /** The activation whose position it is, where the layer has several. */
  readonly output: string | null;
  readonly position: readonly number[];
  /** Inputs that the layer depends on and that have spatial axes. */
  readonly inputs: readonly SeenInput[];
}

/**
 * @param layer its name, or that of one of its outputs; of several outputs a layer answers by the first
 * @param position one number per spatial axis of the output, from 0
 * @throws CompileError `usage-invalid` for a layer or a position that there is not
 */
export function seenFrom(
  graph: Graph,
  layer: string,
  position: readonly number[],
  fields: ReceptiveFields = receptiveFields(graph),
): SeenPosition {
  const { node, value } = layerNamed(graph, layer);
  const { shape } = value.type;
  const spatial = shape.slice(2);
  if (spatial.length === 0) {
    fail(
      'usage-invalid',
      layer,
      `its output ${shape.join('×')} has no spatial axes`,
      'name a layer before it',
    );
  }
  if (position.length !== spatial.length) {
    const like = spatial.map((size) => Math.floor(size / 2)).join('x');
    fail(
      'usage-invalid',
      layer,
      `${position.length} numbers for ${spatial.length} spatial axes`,
      `one number per axis of ${spatial.join('×')}, such as ${like}`,
    );
  }
  const wrong = position.findIndex((p, i) => !(Number.isInteger(p) && p >= 0 && p < (spatial[i] ?? 0)));
  if (wrong >= 0) {
    fail(
      'usage-invalid',
      layer,
      `position ${position[wrong]} is outside axis ${wrong + 2}, which has ${spatial[wrong]} positions`,
      `positions run from 0 to ${spatial.map((size) => size - 1).join('x')}`,
    );
  }
  const box = shape.map((size, axis): Range => {
    const at = position[axis - 2];
    return at === undefined ? { start: 0, end: size } : { start: at, end: at + 1 };
  });
  const seen = seenAt(graph, value, box);
  return {
    layer: node.name,
    output: node.outputs.length > 1 ? value.name : null,
    position,
    inputs: (fields.traces.get(value) ?? []).map((trace) =>
      seenInput(trace, seen.get(trace.input), [0, 0, ...position]),
    ),
  };
}

/** `LAYER,3x5`. @throws CompileError `usage-invalid` */
export function parsePosition(text: string): {
  readonly layer: string;
  readonly position: readonly number[];
} {
  const [, layer, numbers] = /^(.+),\s*(\d+(?:x\d+)*)$/s.exec(text) ?? [];
  if (layer === undefined || numbers === undefined) {
    fail(
      'usage-invalid',
      `--at ${text}`,
      'it is not LAYER,POSITION',
      'such as --at /features/conv1/Conv,3x5',
    );
  }
  return { layer, position: numbers.split('x').map(Number) };
}

export function layerNamed(graph: Graph, name: string): { readonly node: Node; readonly value: Value } {
  const named = graph.nodes.find((n) => n.name === name);
  const output = named ? undefined : outputNamed(graph, name);
  const node = named ?? output?.node ?? shownAs(graph, name);
  const value = output?.value ?? node?.outputs[0];
  if (node && value) return { node, value };
  const names = graph.nodes.map((n) => n.name);
  return fail(
    'usage-invalid',
    name,
    'there is no layer of this name',
    didYouMean(name, names) ?? 'convolith audit MODEL --format json lists the layers',
  );
}

function outputNamed(graph: Graph, name: string): { readonly node: Node; readonly value: Value } | undefined {
  for (const node of graph.nodes) {
    const value = node.outputs.find((v) => v.name === name);
    if (value) return { node, value };
  }
  return undefined;
}

/** The only node of a module, or of a module and a last part, as tables name layers. */
function shownAs(graph: Graph, name: string): Node | undefined {
  const found = graph.nodes.filter((node) => {
    const module = modulePath(node.name);
    return module !== '' && (module === name || `${module}/${node.name.split('/').at(-1)}` === name);
  });
  return found.length === 1 ? found[0] : undefined;
}

function seenInput(
  { input, axes }: InputTrace,
  box: readonly Range[] | undefined,
  position: readonly number[],
): SeenInput {
  const seen = axes.map(({ inputAxis, global, moving }): SeenAxis => {
    const size = input.type.shape[inputAxis] ?? 0;
    const [start, length] = moving ? mapAt(moving.map, position[moving.axis] ?? 0) : [0, 0];
    return {
      axis: inputAxis,
      size,
      field: global || !moving ? null : { start, end: start + length },
      seen: box?.[inputAxis] ?? null,
    };
  });
  const inside = seen.map(({ field, size }) => {
    if (!field) return 1;
    const length = field.end - field.start;
    return length === 0 ? 0 : Math.max(0, Math.min(size, field.end) - Math.max(0, field.start)) / length;
  });
  return { input: input.name, axes: seen, paddingShare: 1 - inside.reduce((a, b) => a * b, 1) };
}
