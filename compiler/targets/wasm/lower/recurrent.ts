/**
 * Recurrent layers: the input's part of all gates and steps is one product; then each step is a product with the state
 * before it and a few elementwise maps, whose expressions are those of the reference.
 */
import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import {
  lengthsOf,
  part,
  type RecurrentBiases,
  recurrentBiases,
  transposedWeights,
} from '#compiler/schedule/recurrent.ts';
import { sliceView, type View } from '#compiler/schedule/view.ts';
import { arg, binary, type Expr, formatExpr, substitute } from '#ir/expr.ts';
import { isOp, type Node, operand, ownInput } from '#ir/graph.ts';
import {
  gruCell,
  isReversed,
  type lengthOf,
  lstmCell,
  type RecurrentSizes,
  recurrentSizes,
  rnnCell,
} from '#ir/ops/recurrent.ts';
import { f32 } from '#ir/tensor.ts';
import type { LowerContext } from '../context.ts';
import { readingAlong } from '../context.ts';

/** Rows of a matrix that lie a step apart, its elements side by side. */
type Matrix = View;

const columnsOf = (matrix: Matrix, start: number, count: number): Matrix =>
  sliceView(matrix, [0, start], [matrix.shape[0] ?? 1, count]);

/** out = a · b + added, row by row; `added` is a matrix, or one row for all. */
function product(context: LowerContext, a: Matrix, b: Matrix, added: View, out: Matrix): void {
  const [rows = 1, depth = 1] = a.shape;
  const columns = out.shape[1] ?? 1;
  const addedStep = added.shape.length === 2 ? (added.strides[0] ?? 0) : 0;
  context.call(
    {
      family: 'gemm',
      params: {
        outer: [],
        pixels: { count: rows, steps: [a.strides[0] ?? 0, out.strides[0] ?? 0, addedStep] },
        groups: { count: 1, steps: [] },
        taps: [],
        run: depth,
        channels: columns,
        weights: { kind: 'rows', bytes: b.strides[0] ?? 0 },
        bias: false,
        tile: context.rowsTile(rows, columns),
        epilogue: { expr: 'add(x0, x1)', operands: ['vector'] },
      },
    },
    [a, b, out, added],
  );
}

function map(context: LowerContext, expr: Expr, inputs: readonly View[], out: View): void {
  const strides = [out, ...inputs].map((view) => [
    ...new Array<number>(out.shape.length - view.shape.length).fill(0),
    ...view.strides,
  ]);
  // the units of one row stay the inner loop, be it one unit only
  const loops = loopsOver(out.shape, strides);
  const inner = loops[loops.length - 1] ?? { count: 1, steps: [] };
  const outer = mergeLoops(loops.slice(0, -1));
  context.call(
    {
      family: 'map',
      params: {
        outer,
        count: inner.count,
        inputs: inner.steps.slice(1).map((step) => readingAlong(step, 4)),
        types: strides.map(() => 'f32' as const),
        expr: formatExpr(expr),
      },
    },
    [...inputs, out],
  );
}

/** One step of some batch elements: the state before → the state after, at `out`. */
type Step = (gates: Matrix, h: Matrix, out: Matrix) => void;

interface Layer {
  readonly gates: number;
  /** Gates from this one on keep the bias of their state apart. */
  readonly apart: number;
  /** Prepares the steps of `rows` batch elements from `first` on, in one direction; the last state is asked for at the end. */
  begin(
    d: number,
    first: number,
    rows: number,
    bias: RecurrentBiases,
  ): { readonly step: Step; finish?(): void };
}

/** Runs a layer: batch elements together, or one by one where their lengths differ. */
function lowerLayer(
  node: Node,
  context: LowerContext,
  sizes: RecurrentSizes,
  attrs: Parameters<typeof lengthOf>[0],
  layer: (y: View) => Layer,
): void {
  const { steps, batch, input, hidden } = sizes;
  const x = context.view(operand(node, 0), 'rowMajor');
  const y = context.output(node, 0);
  const lastH = context.output(node, 1);
  const initial = ownInput(node, 4);
  const states = initial && context.view(initial, 'rowMajor');
  const lengths = lengthsOf(attrs, sizes);
  if (lengths.some((length) => length < steps)) context.fill(y, 0);
  const together = lengths.every((length) => length === lengths[0]);
  const { gates, apart, begin } = layer(y);
  for (let d = 0; d < sizes.directions; d++) {
    const bias = recurrentBiases(
      node,
      context,
      d,
      { gates, apart, hidden },
      {
        add: (p, q, out) => map(context, binary('add', arg(0), arg(1)), [p, q], out),
        keep: (sums) => context.constant(f32([sums.length], sums)),
      },
    );
    const sums = context.scratch([steps * batch, gates * hidden], 'f32');
    const rows: Matrix = { ...x, shape: [steps * batch, input], strides: [input * 4, 4] };
    if (steps * batch > 0)
      product(context, rows, transposedWeights(context, operand(node, 1), d), bias.input, sums);
    for (let b = 0; b < batch; b += together ? batch : 1) {
      const count = together ? batch : 1;
      const { step, finish } = begin(d, b, count, bias);
      let h: Matrix = states ? part(part(states, d), b, count) : context.scratch([count, hidden], 'f32');
      if (!states) context.fill(h, 0);
      const length = lengths[b] ?? 0;
      for (let s = 0; s < length; s++) {
        const t = isReversed(attrs, d) ? length - 1 - s : s;
        const out = part(part(part(y, t), d), b, count);
        step(part(sums, t * batch + b, count), h, out);
        h = out;
      }
      context.copy(h, part(part(lastH, d), b, count));
      finish?.();
    }
  }
}

const gate = (sums: Matrix, index: number, hidden: number): Matrix => columnsOf(sums, index * hidden, hidden);

export function lowerLstm(node: Node, context: LowerContext): void {
  if (!isOp(node, 'LSTM')) return;
  const sizes = recurrentSizes(node.operands.slice(0, node.arity).map((v) => v?.type));
  const { hidden } = sizes;
  const initialC = ownInput(node, 5);
  const peepholes = ownInput(node, 6);
  const weights = peepholes && context.view(peepholes, 'rowMajor');
  lowerLayer(node, context, sizes, node.attrs, () => {
    const lastC = context.output(node, 2);
    return {
      gates: 4,
      apart: 4,
      begin(d, first, rows) {
        const { cell, output } = lstmCell(node.attrs, d, weights !== undefined);
        const recurrence = transposedWeights(context, operand(node, 2), d);
        const sums = context.scratch([rows, 4 * hidden], 'f32');
        const c = context.scratch([rows, hidden], 'f32');
        if (initialC) context.copy(part(part(context.view(initialC, 'rowMajor'), d), first, rows), c);
        else context.fill(c, 0);
        const p = (index: number): View[] =>
          weights ? [sliceView(part(weights, d), [index * hidden], [hidden])] : [];
        const own = (index: number) => gate(sums, index, hidden);
        return {
          step(gates, h, out) {
            product(context, h, recurrence, gates, sums);
            map(context, cell, [own(0), own(2), own(3), c, ...p(0), ...p(2)], c);
            map(context, output, [own(1), c, ...p(1)], out);
          },
          finish: () => context.copy(c, part(part(lastC, d), first, rows)),
        };
      },
    };
  });
}

export function lowerGru(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GRU')) return;
  const sizes = recurrentSizes(node.operands.slice(0, node.arity).map((v) => v?.type));
  const { hidden } = sizes;
  const { linearBeforeReset } = node.attrs;
  lowerLayer(node, context, sizes, node.attrs, () => ({
    gates: 3,
    apart: linearBeforeReset ? 2 : 3,
    begin(d, _first, rows, bias) {
      const { reset, state, linear } = gruCell(node.attrs, d);
      const recurrence = transposedWeights(context, operand(node, 2), d);
      const sums = context.scratch([rows, 3 * hidden], 'f32');
      const damped = context.scratch([rows, hidden], 'f32');
      const own = (index: number) => gate(sums, index, hidden);
      if (linearBeforeReset) {
        const terms = [binary('add', arg(0), arg(1)), binary('add', arg(2), arg(3)), arg(4), arg(5), arg(6)];
        const expr = substitute(linear, (i) => terms[i] ?? arg(i));
        const step: Step = (gates, h, out) => {
          product(context, h, recurrence, bias.state, sums);
          const given = (index: number) => gate(gates, index, hidden);
          map(context, expr, [given(0), own(0), given(1), own(1), given(2), own(2), h], out);
        };
        return { step };
      }
      const step: Step = (gates, h, out) => {
        product(
          context,
          h,
          columnsOf(recurrence, 0, 2 * hidden),
          columnsOf(gates, 0, 2 * hidden),
          columnsOf(sums, 0, 2 * hidden),
        );
        map(context, reset, [own(1), h], damped);
        product(context, damped, columnsOf(recurrence, 2 * hidden, hidden), gate(gates, 2, hidden), own(2));
        map(context, state, [own(0), own(2), h], out);
      };
      return { step };
    },
  }));
}

export function lowerRnn(node: Node, context: LowerContext): void {
  if (!isOp(node, 'RNN')) return;
  const sizes = recurrentSizes(node.operands.slice(0, node.arity).map((v) => v?.type));
  lowerLayer(node, context, sizes, node.attrs, () => ({
    gates: 1,
    apart: 1,
    begin(d, _first, rows) {
      const recurrence = transposedWeights(context, operand(node, 2), d);
      const sums = context.scratch([rows, sizes.hidden], 'f32');
      const cell = rnnCell(node.attrs, d);
      const step: Step = (gates, h, out) => {
        product(context, h, recurrence, gates, sums);
        map(context, cell, [sums], out);
      };
      return { step };
    },
  }));
}
