/** Layers with kernels behind the point where a field spans the whole image. */
import { type Node, operand, result } from '#ir/graph.ts';
import { envelope, type FieldEnvelope } from '#ir/window.ts';
import { counted, percent } from '../figures.ts';
import type { InputTrace } from '../receptive-field.ts';
import { defineRule, evidence, type FindingContext, type Place, saving, total } from './finding.ts';

/** The least share of the MACs or parameters that is worth a word. */
const LEAST = 0.01;

export const pastBorder = defineRule({
  ofSizes: true,
  command: null,
  find(context) {
    const places = context.graph.nodes.flatMap((node, position) => placeAt(node, position, context));
    const share = (key: string) => total(places, (p) => evidence(p, key));
    return Math.max(share('macsShare'), share('parametersShare')) < LEAST ? [] : places;
  },
  describe(places, { graph, name }) {
    // a map of classes or of points is made by layers that see everything already
    const placed = graph.outputs.some(({ value }) => value.type.shape.slice(2).some((size) => size > 1));
    const image = graph.inputs[0]?.type.shape.slice(2).join('×') ?? '';
    const share = (key: string) => percent(total(places, (p) => evidence(p, key)));
    const first = places.reduce((a, b) => (evidence(b, 'position') < evidence(a, 'position') ? b : a));
    const last = places.reduce((a, b) => (evidence(b, 'position') > evidence(a, 'position') ? b : a));
    return `${counted(places.length, 'layer')} with kernels, from ${first.nodes.map(name).join()} on, ${places.length === 1 ? 'widens a field that spans' : 'widen fields that span'} the ${image} input already, with ${share('macsShare')} of the MACs and ${share('parametersShare')} of the parameters; ${percent(evidence(last, 'paddingShare'))} of what a corner of the last sees is padding${placed ? '; as outputs have positions, these layers may still place what they see' : ''}`;
  },
});

function placeAt(node: Node, position: number, { fields, cost, classes }: FindingContext): readonly Place[] {
  const is = classes.get(node);
  if (!is || is.pointwise || is.transposed) return [];
  const before = fieldsOf(fields.traces.get(operand(node, 0)));
  const after = fieldsOf(fields.traces.get(result(node)));
  if (before.length === 0 || !before.every(({ field, size }) => field.size >= size)) return [];
  const inside = after.reduce((part, { field, size }) => part * shareInside(field, size), 1);
  const own = cost.nodes.get(node);
  const share = (part = 0, whole: number) => (whole === 0 ? 0 : part / whole);
  return [
    {
      nodes: [node],
      evidence: {
        position,
        field: before[0]?.field.size ?? 0,
        paddingShare: 1 - inside,
        macsShare: share(own?.macs, cost.totals.macs),
        parametersShare: share(own?.parameters, cost.totals.parameters),
      },
      saves: saving(),
    },
  ];
}

interface SizedField {
  readonly field: FieldEnvelope;
  /** Of the input along this axis. */
  readonly size: number;
}

/** Along all axes of the first input that is seen, gates left out; none where an axis is seen only as a whole. */
function fieldsOf(traces: readonly InputTrace[] | undefined): readonly SizedField[] {
  const [trace] = traces ?? [];
  const fields = (trace?.axes ?? []).flatMap(({ moving, inputAxis }) =>
    moving ? [{ field: envelope(moving.map), size: trace?.input.type.shape[inputAxis] ?? 0 }] : [],
  );
  return fields.length === trace?.axes.length ? fields : [];
}

/** Of the field of output 0. */
function shareInside({ size, padding }: FieldEnvelope, input: number): number {
  const inside = Math.min(size - padding, input) - Math.max(0, -padding);
  return size === 0 ? 1 : Math.max(0, inside) / size;
}
