/** Gemm and MatMul: with constant weights as convolutions of one tap, or a workgroup for each result where rows are few. */
import { type Loop, mergeLoops } from '#compiler/schedule/loops.ts';
import { broadcastViewStrides, permuteView, type View } from '#compiler/schedule/view.ts';
import { arg, binary, constant, type Expr, formatExpr, substitute } from '#ir/expr.ts';
import { epilogueOperands, isOp, type Node, operand, ownInput, tensorOf, type Value } from '#ir/graph.ts';
import type { Shape } from '#ir/types.ts';
import { inWords, isAligned, type LowerContext, toWords } from '../context.ts';
import { paddedRows } from './window.ts';

/** Rows up to which a workgroup divides the depth of each result. */
const FEW_ROWS = 4;

interface WeightedProduct {
  /** [rows, depth] and [rows, columns]. */
  readonly a: View;
  readonly out: View;
  /** Element (k, n) of the weights. */
  readonly weightAt: (k: number, n: number) => number;
  readonly bias: Float32Array | undefined;
  readonly epilogue: ReturnType<LowerContext['epilogueOver']>;
}

export function emitWeighted(
  context: LowerContext,
  { a, out, weightAt, bias, epilogue }: WeightedProduct,
): void {
  const [rows = 1, depth = 1] = a.shape;
  const columns = out.shape[1] ?? 1;
  const row = Math.ceil(columns / 4) * 4;
  const weights = context.packed({
    bytes: depth * row * 4,
    write(target) {
      const words = new Float32Array(target.buffer, target.byteOffset, depth * row);
      for (let k = 0; k < depth; k++) for (let n = 0; n < columns; n++) words[k * row + n] = weightAt(k, n);
    },
  });
  const biases = bias ? [context.floats(paddedRows(bias, 1, columns, row))] : [];
  const steps = { input: a.strides.map(toWords), output: out.strides.map(toWords) };
  const [aRow = 0, aStep = 0] = steps.input;
  const [outRow = 0, outStep = 0] = steps.output;
  const args = [a, weights, ...biases, out, ...epilogue.views];
  if (rows <= FEW_ROWS && depth >= 64) {
    const params = {
      rows,
      rowSteps: [aRow, outRow] as const,
      depth,
      inputStep: aStep,
      columns,
      outputStep: outStep,
      bias: bias !== undefined,
      epilogue: epilogue.kernel,
    };
    context.call({ family: 'dense', params }, args);
    return;
  }
  const vectors =
    columns % 4 === 0 &&
    outStep === 1 &&
    outRow % 4 === 0 &&
    isAligned(out) &&
    (depth % 4 !== 0 || aStep !== 1 || (isAligned(a) && aRow % 4 === 0)) &&
    (epilogue.kernel?.strides ?? []).every((s, k) => {
      const view = epilogue.views[k];
      return s[1] !== 1 || ((s[0] ?? 0) % 4 === 0 && view !== undefined && isAligned(view));
    });
  const axis = { input: rows, output: rows, kernel: 1, stride: 1, dilation: 1, pad: 0 };
  context.call(
    {
      family: 'conv',
      params: {
        transposed: false,
        batch: { count: 1, inputStep: 0, outputStep: 0 },
        axes: [{ ...axis, inputStep: aRow, outputStep: outRow }],
        groups: 1,
        perGroup: depth,
        channels: columns,
        inputChannelStep: aStep,
        outputChannelStep: outStep,
        outputGroupStep: 0,
        bias: bias !== undefined,
        tile: context.tile(rows, (rows * row) / 4),
        vectors,
        // of [N, C, position]: the rows are the positions
        epilogue: epilogue.kernel && {
          ...epilogue.kernel,
          strides: epilogue.kernel.strides.map((s) => [0, s[1] ?? 0, s[0] ?? 0]),
        },
      },
    },
    args,
  );
}

export function lowerGemm(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Gemm')) return;
  const { alpha, beta, transA, transB } = node.attrs;
  const weight = tensorOf(node.operands[1])?.data;
  const c = ownInput(node, 2);
  const constantC = tensorOf(c)?.data;
  const any = context.anyView(operand(node, 0));
  const a = transA ? permuteView(any, [1, 0]) : any;
  const out = context.output(node);
  const [, columns = 1] = out.shape;
  const depth = a.shape[1] ?? 1;
  const known = weight instanceof Float32Array;
  const row =
    c?.type.shape.at(-1) === columns && constantC instanceof Float32Array && constantC.length === columns;
  const isBias = known && c !== undefined && row;
  let value: Expr = known || alpha === 1 ? arg(0) : binary('mul', arg(0), constant(alpha));
  const shift = c && !isBias ? 1 : 0;
  if (shift) value = binary('add', value, beta === 1 ? arg(1) : binary('mul', arg(1), constant(beta)));
  const own = node.epilogue;
  const expr = own ? substitute(own, (i) => (i === 0 ? value : arg(i + shift))) : value;
  const operands = [...(c && !isBias ? [c] : []), ...epilogueOperands(node).flatMap((v) => (v ? [v] : []))];
  const epilogue = context.epilogueOver(expr, operands, out);
  if (known) {
    emitWeighted(context, {
      a,
      out,
      weightAt: (k, n) => alpha * (weight[transB ? n * depth + k : k * columns + n] ?? 0),
      bias: isBias ? constantC.map((v) => v * beta) : undefined,
      epilogue,
    });
    return;
  }
  const other = context.anyView(operand(node, 1));
  const b = transB ? permuteView(other, [1, 0]) : other;
  emitComputed(context, { a, b, out, shape: out.shape, expr, operands, insert: (list) => [...list] });
}

export function lowerMatMul(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MatMul')) return;
  const bValue = operand(node, 1);
  const weight = tensorOf(bValue)?.data;
  const aView = context.anyView(operand(node, 0));
  const own = node.epilogue ?? arg(0);
  const operands = epilogueOperands(node).flatMap((v) => (v ? [v] : []));
  const asMatrix = (view: View): View => {
    const sizes = view.shape.slice(0, -1);
    const rows = sizes.reduce((x, y) => x * y, 1);
    // an axis of one position may have any step: it is never taken
    const rowsStep = view.strides[sizes.findLastIndex((size) => size > 1)] ?? 0;
    return { ...view, shape: [rows, view.shape.at(-1) ?? 1], strides: [rowsStep, view.strides.at(-1) ?? 0] };
  };
  if (
    weight instanceof Float32Array &&
    bValue.type.shape.length === 2 &&
    aView.shape.length >= 2 &&
    operands.length === 0
  ) {
    const a = context.view(operand(node, 0), 'rowMajor');
    const out = context.output(node);
    const columns = bValue.type.shape[1] ?? 1;
    emitWeighted(context, {
      a: asMatrix(a),
      out: asMatrix(out),
      weightAt: (k, n) => weight[k * columns + n] ?? 0,
      bias: undefined,
      epilogue: context.epilogueOver(own, [], asMatrix(out)),
    });
    return;
  }
  const bView = context.anyView(bValue);
  const vectorA = aView.shape.length === 1;
  const vectorB = bView.shape.length === 1;
  const a: View = vectorA ? { ...aView, shape: [1, ...aView.shape], strides: [0, ...aView.strides] } : aView;
  const b: View = vectorB ? { ...bView, shape: [...bView.shape, 1], strides: [...bView.strides, 0] } : bView;
  const out = context.output(node);
  const insert = (list: readonly number[], item: number): number[] => {
    const full = [...list];
    if (vectorA) full.splice(full.length - (vectorB ? 0 : 1), 0, item);
    if (vectorB) full.push(item);
    return full;
  };
  const full: View = { ...out, shape: insert(out.shape, 1), strides: insert(out.strides, 0) };
  emitComputed(context, { a, b, out: full, shape: out.shape, expr: own, operands, insert });
}

interface ComputedProduct {
  /** […, rows, depth], […, depth, columns] and […, rows, columns]. */
  readonly a: View;
  readonly b: View;
  readonly out: View;
  readonly expr: Expr;
  readonly operands: readonly Value[];
  /** The shape of the result as the node has it, and how the axes that it lacks for vectors are put into a list. */
  readonly shape: Shape;
  readonly insert: (list: readonly number[], item: number) => number[];
}

function emitComputed(
  context: LowerContext,
  { a, b, out, shape, expr, operands, insert }: ComputedProduct,
): void {
  const rank = out.shape.length;
  const batch = out.shape.slice(0, -2);
  const steps = (view: View) =>
    broadcastViewStrides(
      { ...view, shape: view.shape.slice(0, -2), strides: view.strides.slice(0, -2) },
      batch,
    );
  const [aBatch, bBatch] = [steps(a), steps(b)];
  const views = operands.map((value) => context.anyView(value));
  const extras = views.map((view) => insert(broadcastViewStrides(view, shape), 0));
  const rows = out.shape.slice(0, -1).map((count, axis): Loop => {
    const isRow = axis === rank - 2;
    return {
      count,
      steps: [
        isRow ? (a.strides.at(-2) ?? 0) : (aBatch[axis] ?? 0),
        isRow ? 0 : (bBatch[axis] ?? 0),
        out.strides[axis] ?? 0,
        ...extras.map((s) => s[axis] ?? 0),
      ],
    };
  });
  context.call(
    {
      family: 'matmul',
      params: {
        rows: inWords(mergeLoops(rows)),
        columns: {
          count: out.shape.at(-1) ?? 1,
          steps: [b.strides.at(-1) ?? 0, out.strides.at(-1) ?? 0, ...extras.map((s) => s.at(-1) ?? 0)].map(
            toWords,
          ),
        },
        depth: a.shape.at(-1) ?? 1,
        aStep: toWords(a.strides.at(-1) ?? 0),
        bStep: toWords(b.strides.at(-2) ?? 0),
        expr: formatExpr(expr),
        operands: operands.length,
      },
    },
    [a, b, out, ...views],
  );
}
