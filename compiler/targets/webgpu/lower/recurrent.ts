/** Recurrent layers: the input's part of all gates and steps is one product; the recurrence is one call per direction. */
import {
  lengthsOf,
  part,
  type RecurrentBiases,
  recurrentBiases,
  transposedWeights,
} from '#compiler/schedule/recurrent.ts';
import type { View } from '#compiler/schedule/view.ts';
import { formatExpr } from '#ir/expr.ts';
import { isOp, type Node, operand, ownInput, tensorOf } from '#ir/graph.ts';
import {
  gruCell,
  isReversed,
  lstmCell,
  type RecurrentSizes,
  recurrentSizes,
  rnnCell,
} from '#ir/ops/recurrent.ts';
import { type LowerContext, packedWords, toWords } from '../context.ts';
import { GATES, MOST_UNITS, type RecurrentCell } from '../kernels/recurrent.ts';
import { emitWeighted } from './product.ts';

const sizesOf = (node: Node): RecurrentSizes =>
  recurrentSizes(node.operands.slice(0, node.arity).map((v) => v?.type));

export function recurrentRefusal(node: Node): string | undefined {
  const { hidden } = sizesOf(node);
  return hidden > MOST_UNITS
    ? `${node.op} of ${hidden} units; a workgroup holds the states of ${MOST_UNITS}`
    : undefined;
}

export function lowerLstm(node: Node, context: LowerContext): void {
  if (!isOp(node, 'LSTM')) return;
  const [initialC, peepholes] = [5, 6].map((slot) => ownInput(node, slot) && context.rowMajor(node, slot));
  lowerLayer(node, context, node.attrs, 4, (d) => {
    const { cell, output } = lstmCell(node.attrs, d, peepholes !== undefined);
    const given = { peepholes: peepholes !== undefined, initialC: initialC !== undefined };
    return {
      cell: { kind: 'lstm', cell: formatExpr(cell), output: formatExpr(output), ...given },
      inputs: [initialC, peepholes].flatMap((view) => (view ? [part(view, d)] : [])),
    };
  });
}

export function lowerGru(node: Node, context: LowerContext): void {
  if (!isOp(node, 'GRU')) return;
  const { linearBeforeReset } = node.attrs;
  lowerLayer(node, context, node.attrs, linearBeforeReset ? 2 : 3, (d) => {
    const { reset, state, linear } = gruCell(node.attrs, d);
    if (linearBeforeReset) return { cell: { kind: 'linearGru', linear: formatExpr(linear) }, inputs: [] };
    return { cell: { kind: 'gru', reset: formatExpr(reset), state: formatExpr(state) }, inputs: [] };
  });
}

export function lowerRnn(node: Node, context: LowerContext): void {
  if (!isOp(node, 'RNN')) return;
  lowerLayer(node, context, node.attrs, 1, (d) => ({
    cell: { kind: 'rnn', next: formatExpr(rnnCell(node.attrs, d)) },
    inputs: [],
  }));
}

interface Direction {
  readonly cell: RecurrentCell;
  /** Of the initial cell state and the peepholes, those that there are. */
  readonly inputs: readonly View[];
}

function lowerLayer(
  node: Node,
  context: LowerContext,
  attrs: Parameters<typeof lengthsOf>[0] & Parameters<typeof isReversed>[0],
  apart: number,
  direction: (d: number) => Direction,
): void {
  const sizes = sizesOf(node);
  const { steps, batch, hidden } = sizes;
  const outs = node.outputs.map((_, k) => context.output(node, k));
  const [y, ...lasts] = outs;
  if (!y) return;
  const states = ownInput(node, 4) && context.rowMajor(node, 4);
  const lengths = lengthsOf(attrs, sizes);
  if (lengths.some((length) => length < steps)) context.fill(y, 0);
  for (let d = 0; d < sizes.directions; d++) {
    const { cell, inputs } = direction(d);
    const bias = recurrentBiases(
      node,
      context,
      d,
      { gates: GATES[cell.kind], apart, hidden },
      {
        add: (p, q, out) => context.map('add(x0, x1)', [p, q], out, 'f32'),
        // whole in half precision too, where a sum would be rounded once more
        keep: (added) => context.table(packedWords(added)),
      },
    );
    const sums = context.scratch([steps * batch, GATES[cell.kind] * hidden], 'f32');
    if (steps * batch > 0) inputProduct(node, context, d, sums, bias);
    const args = [
      sums,
      transposedWeights(context, operand(node, 2), d),
      ...(cell.kind === 'linearGru' ? [bias.state] : []),
      ...(states ? [part(states, d)] : []),
      ...inputs,
      ...[
        part({ ...y, shape: y.shape.slice(1), strides: y.strides.slice(1) }, d),
        ...lasts.map((v) => part(v, d)),
      ],
    ];
    const params = {
      cell,
      hidden,
      lengths,
      reversed: isReversed(attrs, d),
      outputStep: toWords(y.strides[0] ?? 0),
      initialH: states !== undefined,
    };
    context.call({ family: 'recurrent', params }, args);
  }
}

/** The input's part of every gate, for all steps and batch elements. */
function inputProduct(node: Node, context: LowerContext, d: number, out: View, bias: RecurrentBiases): void {
  const { steps, batch, input } = sizesOf(node);
  const x = context.rowMajor(node, 0);
  const a: View = { ...x, shape: [steps * batch, input], strides: [input * 4, 4] };
  const weight = operand(node, 1);
  const data = tensorOf(weight)?.data;
  const columns = out.shape[1] ?? 1;
  if (data instanceof Float32Array) {
    const weightAt = (k: number, n: number) => data[(d * columns + n) * input + k] ?? 0;
    const epilogue = { kernel: { expr: 'add(x0, x1)', strides: [[0, 1]] }, views: [bias.input] };
    emitWeighted(context, { a, out, weightAt, bias: undefined, epilogue });
    return;
  }
  const params = {
    rows: [{ count: steps * batch, steps: [input, 0, columns, 0] }],
    columns: { count: columns, steps: [1, 1, 1] },
    depth: input,
    aStep: 1,
    bStep: columns,
    expr: 'add(x0, x1)',
    operands: 1,
  };
  context.call({ family: 'matmul', params }, [a, transposedWeights(context, weight, d), out, bias.input]);
}
