/** Recurrent layers. Their gates are scalar expressions over products, the same for the reference and every target. */
import { type AttrSchema, type AttrsOf, attr } from '../attrs.ts';
import { arg, binary, compileExpr, type Expr, parseExpr, substitute, unary } from '../expr.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  type InputSpec,
  inputData,
  inputType,
  OpError,
  type OpTraits,
} from '../op.ts';
import { allocate, read, type TensorData } from '../tensor.ts';
import { formatShape, type Shape, type TensorType } from '../types.ts';
import { axisField } from './common.ts';
import { checkedShape, checkLength } from './offsets.ts';

const RECURRENT_ATTRS = {
  direction: attr.word('forward', 'reverse', 'bidirectional'),
  /** Expressions of x0, separated by `; `: those of the forward direction, then those of the reverse one. */
  activations: attr.string(),
  /** Bound on what goes into an activation; 0 for none. */
  clip: attr.float(0),
  /** Steps of each batch element; empty where all have all. */
  lengths: attr.ints([]),
};

type RecurrentAttrs = AttrsOf<typeof RECURRENT_ATTRS>;
type LstmAttrs = RecurrentAttrs & { readonly inputForget: boolean };
type GruAttrs = RecurrentAttrs & { readonly linearBeforeReset: boolean };

const SEQUENCE_INPUTS = [
  { name: 'x', role: 'data' },
  { name: 'weight', role: 'weight' },
  { name: 'recurrence', role: 'weight' },
  { name: 'bias', role: 'weight', optional: true },
  { name: 'initialH', role: 'data', optional: true },
] as const satisfies readonly InputSpec[];

export const directions = ({ direction }: { readonly direction: string }): number =>
  direction === 'bidirectional' ? 2 : 1;

/** Does direction `d` run from the last step to the first? */
export const isReversed = ({ direction }: { readonly direction: string }, d: number): boolean =>
  direction === 'reverse' || d === 1;

const activation = (attrs: RecurrentAttrs, d: number, i: number): Expr => {
  const all = attrs.activations.split('; ');
  return parseExpr(all[(d * all.length) / directions(attrs) + i] ?? '');
};

/** The activation of a sum of terms, bounded first. */
function applied(attrs: RecurrentAttrs, d: number, i: number, x: Expr): Expr {
  const bounded = attrs.clip > 0 ? binary('min', binary('max', x, -attrs.clip), attrs.clip) : x;
  return substitute(activation(attrs, d, i), () => bounded);
}

const add = (x: Expr, y: Expr): Expr => binary('add', x, y);
const mul = (x: Expr, y: Expr): Expr => binary('mul', x, y);

/** Of an LSTM in direction d: the cell state from (i, f, c̃, C[, Pᵢ, Pf]) and the output from (o, C[, Pₒ]). */
export function lstmCell(attrs: LstmAttrs, d: number, peepholes: boolean): { cell: Expr; output: Expr } {
  const [i, f, candidate, state] = [arg(0), arg(1), arg(2), arg(3)];
  const gate = (x: Expr, weight: number, of: Expr) =>
    applied(attrs, d, 0, peepholes ? add(x, mul(arg(weight), of)) : x);
  const input = gate(i, 4, state);
  const forget = attrs.inputForget ? binary('sub', 1, input) : gate(f, 5, state);
  return {
    cell: add(mul(forget, state), mul(input, applied(attrs, d, 1, candidate))),
    output: mul(
      gate(arg(0), 2, arg(1)),
      substitute(activation(attrs, d, 2), () => arg(1)),
    ),
  };
}

/**
 * Of a GRU in direction d: the state from (z, h̃, H), where h̃ is a finished sum; the reset state r·H from (r, H); and with
 * linear_before_reset the state from (z, r, h̃ of the input, h̃ of the state, H).
 */
export function gruCell(attrs: GruAttrs, d: number): { reset: Expr; state: Expr; linear: Expr } {
  const blend = (z: Expr, candidate: Expr, h: Expr) => add(mul(binary('sub', 1, z), candidate), mul(z, h));
  const gate = (x: Expr) => applied(attrs, d, 0, x);
  return {
    reset: mul(gate(arg(0)), arg(1)),
    state: blend(gate(arg(0)), applied(attrs, d, 1, arg(1)), arg(2)),
    linear: blend(gate(arg(0)), applied(attrs, d, 1, add(arg(2), mul(gate(arg(1)), arg(3)))), arg(4)),
  };
}

export const rnnCell = (attrs: RecurrentAttrs, d: number): Expr => applied(attrs, d, 0, arg(0));

/** Sizes of a recurrent layer. */
export interface RecurrentSizes {
  readonly steps: number;
  readonly batch: number;
  readonly input: number;
  readonly hidden: number;
  readonly directions: number;
}

export function recurrentSizes(inputs: readonly (TensorType | undefined)[]): RecurrentSizes {
  const [steps = 0, batch = 0, input = 0] = inputType({ inputs }, 0).shape;
  const [count = 0, , hidden = 0] = inputType({ inputs }, 2).shape;
  return { steps, batch, input, hidden, directions: count };
}

/** Steps of batch element `b`. */
export const lengthOf = (attrs: RecurrentAttrs, b: number, steps: number): number =>
  Math.max(0, Math.min(steps, attrs.lengths[b] ?? steps));

interface Kind {
  readonly gates: number;
  /** Does it carry a cell state beside its output? */
  readonly cell: boolean;
  readonly activations: number;
}

function inferRecurrent(
  kind: Kind,
  attrs: RecurrentAttrs,
  inputs: readonly (TensorType | undefined)[],
): TensorType[] {
  const { steps, batch, input, hidden, directions: count } = recurrentSizes(inputs);
  for (const type of inputs)
    if (type && type.dtype !== 'f32') throw new OpError(`values are ${type.dtype}, not f32`);
  if (inputType({ inputs }, 0).shape.length !== 3) throw new OpError('x has not the rank 3');
  if (count !== directions(attrs)) throw new OpError(`weights of ${count} directions for ${attrs.direction}`);
  const expected: readonly (Shape | undefined)[] = [
    undefined,
    [count, kind.gates * hidden, input],
    [count, kind.gates * hidden, hidden],
    [count, 2 * kind.gates * hidden],
    [count, batch, hidden],
    [count, batch, hidden],
    [count, 3 * hidden],
  ];
  inputs.forEach((type, i) => {
    const want = expected[i];
    if (type && want && type.shape.join() !== want.join())
      throw new OpError(`input ${i} is ${formatShape(type.shape)}, not ${formatShape(want)}`);
  });
  if (attrs.lengths.length > 0) checkLength('lengths', attrs.lengths, batch);
  if (attrs.activations.split('; ').length !== kind.activations * count)
    throw new OpError(`"${attrs.activations}" is not a list of ${kind.activations * count} activations`);
  const state: TensorType = { dtype: 'f32', shape: [count, batch, hidden] };
  const y: TensorType = { dtype: 'f32', shape: checkedShape([steps, count, batch, hidden]) };
  return kind.cell ? [y, state, state] : [y, state];
}

const recurrentCost = (kind: Kind, inputs: readonly (TensorType | undefined)[]) => {
  const { steps, batch, input, hidden, directions: count } = recurrentSizes(inputs);
  const gates = steps * batch * count * kind.gates * hidden;
  return { macs: gates * (input + hidden), otherOps: 4 * gates };
};

const WHOLE: AxisField = { kind: 'whole' };

/** Every step sees every other one, through the state; batch elements stay apart. */
const recurrentField = (output: number): AxisField[] =>
  output === 0 ? [WHOLE, WHOLE, axisField(1), WHOLE] : [WHOLE, axisField(1), WHOLE];

const TRAITS: OpTraits = { layout: 'rowMajor' };

/** One step of one batch element in one direction: from its gates' sums and the states before to the states after. */
type Step = (
  input: Float64Array,
  h: Float64Array,
  c: Float64Array,
  recur: (state: Float64Array, gate: number, j: number) => number,
) => void;

/** Runs a recurrence. `step` changes h and c in place; `input` holds W·x + b for every gate. */
function runRecurrence(
  kind: Kind,
  context: EvalContext<RecurrentAttrs>,
  slots: { readonly c: number },
  makeStep: (d: number) => Step,
  bias: (d: number, gate: number, j: number) => number,
): TensorData[] {
  const { attrs } = context;
  const { steps, batch, input, hidden, directions: count } = recurrentSizes(context.inputs);
  const x = inputData(context, 0);
  const w = inputData(context, 1);
  const r = inputData(context, 2);
  const y = allocate('f32', steps * count * batch * hidden) as Float32Array;
  const lastH = allocate('f32', count * batch * hidden) as Float32Array;
  const lastC = allocate('f32', count * batch * hidden) as Float32Array;
  for (let d = 0; d < count; d++) {
    const step = makeStep(d);
    const rows = d * kind.gates * hidden;
    const recur = (state: Float64Array, gate: number, j: number): number => {
      const row = (rows + gate * hidden + j) * hidden;
      let sum = 0;
      for (let k = 0; k < hidden; k++) sum += read(r, row + k) * (state[k] as number);
      return sum;
    };
    for (let b = 0; b < batch; b++) {
      const at = (d * batch + b) * hidden;
      const initial = (slot: number) => {
        const data = context.data[slot];
        return Float64Array.from({ length: hidden }, (_, j) => (data ? read(data, at + j) : 0));
      };
      const h = initial(4);
      const c = initial(slots.c);
      const length = lengthOf(attrs, b, steps);
      for (let s = 0; s < length; s++) {
        const t = isReversed(attrs, d) ? length - 1 - s : s;
        const sums = Float64Array.from({ length: kind.gates * hidden }, (_, g) => {
          let sum = bias(d, Math.floor(g / hidden), g % hidden);
          for (let k = 0; k < input; k++)
            sum += read(w, (rows + g) * input + k) * read(x, (t * batch + b) * input + k);
          return sum;
        });
        step(sums, h, c, recur);
        y.set(h, ((t * count + d) * batch + b) * hidden);
      }
      lastH.set(h, at);
      lastC.set(c, at);
    }
  }
  return kind.cell ? [y, lastH, lastC] : [y, lastH];
}

/** The biases of W and R at gate g, element j, as stored: all of W, then all of R. */
function biases(kind: Kind, context: EvalContext<RecurrentAttrs>) {
  const data = context.data[3];
  const { hidden } = recurrentSizes(context.inputs);
  return (d: number, part: 0 | 1, gate: number, j: number): number =>
    data ? read(data, ((d * 2 + part) * kind.gates + gate) * hidden + j) : 0;
}

const LSTM_KIND: Kind = { gates: 4, cell: true, activations: 3 };

/**
 * x [T, N, I], weight [D, 4H, I] and recurrence [D, 4H, H] of the gates i, o, f, c, bias [D, 8H], states [D, N, H],
 * peepholes [D, 3H] of i, o, f → y [T, D, N, H], last h and c [D, N, H] (Hochreiter & Schmidhuber, 1997).
 */
export const LSTM = defineOp({
  name: 'LSTM',
  attrs: { ...RECURRENT_ATTRS, inputForget: attr.bool(false) } satisfies AttrSchema,
  inputs: [
    ...SEQUENCE_INPUTS,
    { name: 'initialC', role: 'data', optional: true },
    { name: 'peepholes', role: 'weight', optional: true },
  ],
  traits: TRAITS,
  infer: ({ attrs, inputs }) => inferRecurrent(LSTM_KIND, attrs, inputs),
  cost: ({ inputs }) => recurrentCost(LSTM_KIND, inputs),
  field: (_, output) => recurrentField(output),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { hidden } = recurrentSizes(context.inputs);
      const peepholes = context.data[6];
      const bias = biases(LSTM_KIND, context);
      const makeStep = (d: number): Step => {
        const { cell, output } = lstmCell(context.attrs, d, peepholes !== undefined);
        const [nextCell, nextOutput] = [compileExpr(cell), compileExpr(output)];
        const p = (gate: number, j: number) => (peepholes ? read(peepholes, (d * 3 + gate) * hidden + j) : 0);
        return (sums, h, c, recur) => {
          const total = (gate: number, j: number) =>
            (sums[gate * hidden + j] as number) + recur(before, gate, j);
          const before = h.slice();
          for (let j = 0; j < hidden; j++) {
            const o = total(1, j);
            c[j] = nextCell([total(0, j), total(2, j), total(3, j), c[j] as number, p(0, j), p(2, j)]);
            h[j] = nextOutput([o, c[j] as number, p(1, j)]);
          }
        };
      };
      return runRecurrence(
        LSTM_KIND,
        context,
        { c: 5 },
        makeStep,
        (d, g, j) => bias(d, 0, g, j) + bias(d, 1, g, j),
      );
    },
  },
});

const GRU_KIND: Kind = { gates: 3, cell: false, activations: 2 };

/** x [T, N, I], weights [D, 3H, I] and [D, 3H, H] of the gates z, r, h, bias [D, 6H] → y [T, D, N, H], last h (Cho, 2014). */
export const GRU = defineOp({
  name: 'GRU',
  attrs: { ...RECURRENT_ATTRS, linearBeforeReset: attr.bool(false) } satisfies AttrSchema,
  inputs: SEQUENCE_INPUTS,
  traits: TRAITS,
  infer: ({ attrs, inputs }) => inferRecurrent(GRU_KIND, attrs, inputs),
  cost: ({ inputs }) => recurrentCost(GRU_KIND, inputs),
  field: (_, output) => recurrentField(output),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { hidden } = recurrentSizes(context.inputs);
      const { linearBeforeReset } = context.attrs;
      const bias = biases(GRU_KIND, context);
      const makeStep = (d: number): Step => {
        const cell = gruCell(context.attrs, d);
        const [reset, state, linear] = [
          compileExpr(cell.reset),
          compileExpr(cell.state),
          compileExpr(cell.linear),
        ];
        return (sums, h, _c, recur) => {
          const before = h.slice();
          const total = (gate: number, j: number) =>
            (sums[gate * hidden + j] as number) + recur(before, gate, j);
          const damped = before.map((old, j) => reset([total(1, j), old]));
          for (let j = 0; j < hidden; j++) {
            const old = before[j] as number;
            const own = sums[2 * hidden + j] as number;
            h[j] = linearBeforeReset
              ? linear([total(0, j), total(1, j), own, recur(before, 2, j) + bias(d, 1, 2, j), old])
              : state([total(0, j), own + recur(damped, 2, j), old]);
          }
        };
      };
      return runRecurrence(GRU_KIND, context, { c: -1 }, makeStep, (d, g, j) =>
        linearBeforeReset && g === 2 ? bias(d, 0, g, j) : bias(d, 0, g, j) + bias(d, 1, g, j),
      );
    },
  },
});

const RNN_KIND: Kind = { gates: 1, cell: false, activations: 1 };

/** h' = f(W·x + R·h + b). x [T, N, I], weights [D, H, I] and [D, H, H], bias [D, 2H] → y [T, D, N, H], last h [D, N, H]. */
export const RNN = defineOp({
  name: 'RNN',
  attrs: RECURRENT_ATTRS,
  inputs: SEQUENCE_INPUTS,
  traits: TRAITS,
  infer: ({ attrs, inputs }) => inferRecurrent(RNN_KIND, attrs, inputs),
  cost: ({ inputs }) => recurrentCost(RNN_KIND, inputs),
  field: (_, output) => recurrentField(output),
  reference: {
    kind: 'whole',
    evaluate(context) {
      const bias = biases(RNN_KIND, context);
      const makeStep = (d: number): Step => {
        const next = compileExpr(rnnCell(context.attrs, d));
        return (sums, h, _c, recur) => {
          const before = h.slice();
          for (let j = 0; j < h.length; j++) h[j] = next([(sums[j] as number) + recur(before, 0, j)]);
        };
      };
      return runRecurrence(
        RNN_KIND,
        context,
        { c: -1 },
        makeStep,
        (d, g, j) => bias(d, 0, g, j) + bias(d, 1, g, j),
      );
    },
  },
});

/** The activations that recurrent layers of ONNX name, by lower-case name, with their defaults of alpha and beta. */
export const RECURRENT_ACTIVATIONS: Readonly<Record<string, (alpha?: number, beta?: number) => Expr>> = {
  relu: () => binary('max', arg(0), 0),
  tanh: () => unary('tanh', arg(0)),
  sigmoid: () => binary('div', 1, add(unary('exp', unary('neg', arg(0))), { kind: 'const', value: 1 })),
  affine: (alpha = 1, beta = 0) =>
    add(mul(arg(0), { kind: 'const', value: alpha }), { kind: 'const', value: beta }),
  leakyrelu: (alpha = 0.01) => add(binary('max', arg(0), 0), binary('mul', binary('min', arg(0), 0), alpha)),
  thresholdedrelu: (alpha = 1) => mul(arg(0), binary('gt', arg(0), alpha)),
  scaledtanh: (alpha = 1, beta = 1) => binary('mul', unary('tanh', binary('mul', arg(0), beta)), alpha),
  hardsigmoid: (alpha = 0.2, beta = 0.5) =>
    binary('min', binary('max', binary('add', binary('mul', arg(0), alpha), beta), 0), 1),
  elu: (alpha = 1) =>
    add(
      binary('max', arg(0), 0),
      binary('mul', binary('sub', unary('exp', binary('min', arg(0), 0)), 1), alpha),
    ),
  softsign: () => binary('div', arg(0), binary('add', unary('abs', arg(0)), 1)),
  softplus: () =>
    add(
      binary('max', arg(0), 0),
      unary('log', binary('add', unary('exp', unary('neg', unary('abs', arg(0)))), 1)),
    ),
};

export const RECURRENT = { LSTM, GRU, RNN } as const;
