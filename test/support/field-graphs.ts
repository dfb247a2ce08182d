/**
 * Random networks along one axis, and the truth about their receptive fields: one input position at a time is raised far
 * above the others, and outputs that change see it. All weights are positive and every op is monotone, so that no
 * influence cancels.
 */
import fc from 'fast-check';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { mapAt } from '#ir/window.ts';
import { receptiveFields } from '#passes/analysis/receptive-field.ts';
import { type Range, seenAt } from '#passes/analysis/seen-at.ts';

export const LENGTH = 72;

type Layer =
  | { readonly op: 'conv'; readonly k: number; readonly s: number; readonly d: number; readonly p: number }
  | { readonly op: 'transposed'; readonly k: number; readonly s: number; readonly p: number }
  | { readonly op: 'average' | 'max'; readonly k: number; readonly s: number }
  | { readonly op: 'nearest' | 'linear'; readonly scale: number }
  | { readonly op: 'pad'; readonly begin: number; readonly end: number; readonly mode: 'constant' | 'edge' }
  | { readonly op: 'crop'; readonly begin: number; readonly step: number }
  | { readonly op: 'branch'; readonly k: number; readonly shift: number }
  | { readonly op: 'gate' };

export type FieldStep =
  | (Layer & { readonly from: number })
  | { readonly op: 'add' | 'concat'; readonly from: number; readonly other: number };

const small = (min: number, max: number) => fc.integer({ min, max });
const layer: fc.Arbitrary<Layer> = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({
      op: fc.constant('conv'),
      k: small(1, 3),
      s: small(1, 3),
      d: small(1, 3),
      p: small(0, 2),
    }),
  },
  {
    weight: 20,
    arbitrary: fc.record({ op: fc.constant('transposed'), k: small(1, 4), s: small(1, 3), p: small(0, 1) }),
  },
  {
    weight: 20,
    arbitrary: fc.record({ op: fc.constantFrom('average', 'max'), k: small(1, 3), s: small(1, 3) }),
  },
  { weight: 10, arbitrary: fc.record({ op: fc.constantFrom('nearest', 'linear'), scale: small(2, 3) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constant('pad'),
      begin: small(0, 3),
      end: small(0, 3),
      mode: fc.constantFrom('constant', 'edge'),
    }),
  },
  { weight: 10, arbitrary: fc.record({ op: fc.constant('crop'), begin: small(0, 2), step: small(1, 2) }) },
  {
    weight: 30,
    arbitrary: fc.record({ op: fc.constant('branch'), k: fc.constantFrom(1, 3, 5), shift: small(-1, 1) }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('gate') }) },
);
const from = small(0, 3);

/** Steps of a network, each on from one of the latest values. */
export const fieldSteps = (most: number): fc.Arbitrary<FieldStep[]> =>
  fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.tuple(layer, from).map(([l, f]): FieldStep => ({ ...l, from: f })) },
      { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('add', 'concat'), from, other: from }) },
    ),
    { minLength: 1, maxLength: most },
  );

const weight = (b: Builder, k: number): Value =>
  b.constant('w', f32([1, 1, k], new Array<number>(k).fill(1 / k)));

const sizeOf = (x: Value): number => x.type.shape[2] ?? 0;

export interface FieldNetwork {
  readonly graph: Graph;
  readonly values: readonly Value[];
  /** Behind what repeats its border, so that positions near it see where their interval is not. */
  readonly clamped: ReadonlySet<Value>;
  /** Behind what leaves positions out between those it reads: at a border, what it reads may begin inside of a hull. */
  readonly holey: ReadonlySet<Value>;
}

export function fieldNetwork(steps: readonly FieldStep[]): FieldNetwork {
  const b = new Builder();
  const input = b.input('x', [1, 1, LENGTH]);
  const values = [input];
  /** Repeats or leaves out what is before it: dilation over that has holes at its ends. */
  const upsampled = new Set<Value>();
  const clamped = new Set<Value>();
  const holey = new Set<Value>();
  for (const step of steps) {
    const x = values.at(-1 - (step.from % values.length));
    const other = x && 'other' in step ? otherOf(x, values, step.other) : undefined;
    if (!x || sizeOf(x) < 12 || x === other) continue;
    const y = 'other' in step ? other && join(b, x, other, step.op) : apply(b, x, step, upsampled.has(x));
    if (!y || sizeOf(y) > 300) continue;
    const inherits = (set: ReadonlySet<Value>) => set.has(x) || (other !== undefined && set.has(other));
    if (UPSAMPLING.has(step.op) || inherits(upsampled)) upsampled.add(y);
    if (step.op === 'linear' || (step.op === 'pad' && step.mode === 'edge') || inherits(clamped))
      clamped.add(y);
    if (leavesOut(step) || UPSAMPLING.has(step.op) || inherits(holey)) holey.add(y);
    values.push(y);
  }
  b.output('y', values.at(-1) ?? input);
  return { graph: b.graph, values: values.slice(1), clamped, holey };
}

const leavesOut = (step: FieldStep): boolean =>
  ('d' in step && step.d > 1) || ('s' in step && step.s > step.k) || ('step' in step && step.step > 1);

const UPSAMPLING: ReadonlySet<FieldStep['op']> = new Set(['transposed', 'nearest', 'linear']);

const otherOf = (x: Value, values: readonly Value[], other: number): Value | undefined => {
  const alike = values.filter((v) => sizeOf(v) === sizeOf(x));
  return alike.at(-1 - (other % alike.length));
};

function join(b: Builder, x: Value, y: Value, op: 'add' | 'concat'): Value {
  if (op === 'add') return b.add(x, y);
  return b.conv(b.op('Concat', [x, y], { axis: 1 }), b.constant('mix', f32([1, 2, 1], [0.5, 0.5])));
}

function apply(b: Builder, x: Value, step: Layer, upsampled: boolean): Value {
  const one = { strides: [1], dilations: [1] };
  switch (step.op) {
    case 'conv': {
      const dilations = [upsampled ? 1 : step.d];
      return b.conv(x, weight(b, step.k), { strides: [step.s], dilations, pads: [step.p, step.p] });
    }
    case 'transposed': {
      const attrs = { ...one, strides: [step.s], pads: [step.p, step.p], group: 1, outputPadding: [0] };
      return b.op('ConvTranspose', [x, weight(b, step.k)], attrs);
    }
    case 'average':
    case 'max': {
      const attrs = { ...one, kernel: [step.k], strides: [step.s], pads: [0, 0] };
      return step.op === 'max' ? b.op('MaxPool', [x], attrs) : b.op('AveragePool', [x], attrs);
    }
    case 'nearest':
    case 'linear':
      return b.op('Resize', [x], {
        mode: step.op,
        coordinates: step.op === 'nearest' ? 'asymmetric' : 'half_pixel',
        nearestMode: 'floor',
        scales: [1, 1, step.scale],
        sizes: [1, 1, sizeOf(x) * step.scale],
      });
    case 'pad':
      return b.op('Pad', [x], { mode: step.mode, pads: [0, 0, step.begin, 0, 0, step.end] });
    case 'crop': {
      const sizes = [1, 1, Math.ceil((sizeOf(x) - step.begin) / step.step)];
      return b.op('Slice', [x], { starts: [0, 0, step.begin], steps: [1, 1, step.step], sizes });
    }
    case 'branch': {
      const [half, shift] = [(step.k - 1) / 2, step.k > 1 ? step.shift : 0];
      return b.add(x, b.conv(x, weight(b, step.k), { pads: [half + shift, half - shift] }));
    }
    case 'gate':
      return b.op('Mul', [x, b.op('GlobalAveragePool', [x], {})], {});
  }
}

/** Of the input, by one position; of no length where it sees nothing but padding. */
function leftOf(graph: Graph, value: Value, position: number): Range {
  const whole = { start: 0, end: 1 };
  const seen = seenAt(graph, value, [whole, whole, { start: position, end: position + 1 }]);
  const [input] = graph.inputs;
  return (input && seen.get(input)?.[2]) ?? { start: 0, end: 0 };
}

/** Raised so far above the others that the largest of a window is what it reaches. */
const RAISED = 1e6;

export interface FieldComparison {
  /** Positions whose analytic interval is the hull of what they see. */
  readonly exact: number;
  readonly errors: readonly string[];
}

/**
 * Each value's field against what its positions see: no less, and exactly that far from the border. Near it, exactly what
 * is left of the field when every value on the way is cut at its border.
 */
export function compareFields({ graph, values, clamped, holey }: FieldNetwork): FieldComparison {
  const { traces } = receptiveFields(graph);
  const run = (raised: number) => {
    const input = Array.from({ length: LENGTH }, (_, i) => (i === raised ? RAISED : 1));
    return evaluateGraph(graph, new Map([['x', f32([1, 1, LENGTH], input)]]), { keep: new Set(values) });
  };
  const base = run(-1);
  const raised = Array.from({ length: LENGTH }, (_, i) => run(i));
  const errors: string[] = [];
  let exact = 0;
  for (const value of values) {
    const axis = traces.get(value)?.[0]?.axes[0];
    const before = base.get(value)?.data ?? [];
    for (let o = 0; o < before.length; o++) {
      const seen = raised.flatMap((after, i) => (after.get(value)?.data[o] === before[o] ? [] : [i]));
      const hull = [seen[0] ?? 0, (seen.at(-1) ?? -1) + 1] as const;
      if (axis?.global) {
        // between gates with zeros in the padding something may see nothing at all
        if (seen.length === LENGTH) exact++;
        continue;
      }
      const [start, size] = axis?.moving ? mapAt(axis.moving.map, o) : [0, 0];
      const says = `${value.name}[${o}] is said to see ${start} to ${start + size}, and sees ${hull.join(' to ')}`;
      if (!clamped.has(value) && seen.length > 0 && (hull[0] < start || hull[1] > start + size))
        errors.push(says);
      if (start < LENGTH / 4 || start + size > (3 * LENGTH) / 4) {
        const { start: low, end: high } = leftOf(graph, value, o);
        const tight = hull[0] === low && hull[1] === high;
        const within = seen.length === 0 || (hull[0] >= low && hull[1] <= high);
        if (seen.length === 0 ? high <= low : tight) exact++;
        else if (!within || !holey.has(value)) {
          errors.push(
            `${value.name}[${o}] is to see ${low} to ${high} at the border, and sees ${hull.join(' to ')}`,
          );
        }
        continue;
      }
      if (seen.length === 0 ? size === 0 : hull[0] === start && hull[1] === start + size) exact++;
      else errors.push(says);
    }
  }
  return { exact, errors };
}
