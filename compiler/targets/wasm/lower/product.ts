/** Gemm and MatMul as calls of the gemm family. */

import { type Loop, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { broadcastViewStrides, permuteView, type View } from '#compiler/schedule/view.ts';
import { arg, binary, constant, type Expr, substitute } from '#ir/expr.ts';
import { epilogueOperands, isOp, type Node, operand, ownInput, tensorOf, type Value } from '#ir/graph.ts';
import type { LowerContext } from '../context.ts';
import { packBias, packGemm, type WeightMatrix } from '../pack.ts';

interface Product {
  /** Loops over everything but K and N; steps of [A, output, B, …extras]. */
  readonly rows: readonly Loop[];
  readonly depth: number;
  readonly columns: number;
  readonly a: View;
  readonly out: View;
  readonly b:
    | { readonly kind: 'packed'; readonly matrix: WeightMatrix }
    | { readonly kind: 'rows'; readonly view: View };
  readonly bias: Float32Array | undefined;
  readonly epilogue: ReturnType<LowerContext['epilogueOver']>;
}

function emitProduct(context: LowerContext, p: Product): void {
  const { outer, inner } = splitInnermost(p.rows, p.epilogue.views.length + 3);
  // a row of pixels shares its weights
  const shared = (inner.steps[2] ?? 0) === 0;
  const pixels = shared ? inner : { count: 1, steps: inner.steps.map(() => 0) };
  const tile =
    p.b.kind === 'packed'
      ? context.packedTile(pixels.count, p.columns)
      : context.rowsTile(pixels.count, p.columns);
  const weight = p.b.kind === 'packed' ? context.packed(packGemm(p.b.matrix, tile[1])) : p.b.view;
  const bias = p.bias ? [context.packed(packBias(p.bias, 1, p.columns))] : [];
  context.call(
    {
      family: 'gemm',
      params: {
        outer: shared ? outer : p.rows,
        pixels: { count: pixels.count, steps: pixels.steps.filter((_, k) => k !== 2) },
        groups: { count: 1, steps: [] },
        taps: [],
        run: p.depth,
        channels: p.columns,
        weights: p.b.kind === 'packed' ? { kind: 'packed' } : { kind: 'rows', bytes: p.columns * 4 },
        bias: bias.length > 0,
        tile,
        epilogue: p.epilogue.kernel,
      },
    },
    [p.a, weight, ...bias, p.out, ...p.epilogue.views],
  );
}

/** A [K, N] matrix as it stands. */
const rowsOf = (source: Float32Array, depth: number, columns: number, scale = 1): WeightMatrix => ({
  source,
  groups: 1,
  groupStride: 0,
  rows: Int32Array.from({ length: depth }, (_, k) => k * columns),
  columns,
  columnStride: 1,
  scale,
});

/** An [N, K] matrix, read transposed. */
const rowsOfColumns = (source: Float32Array, depth: number, columns: number, scale = 1): WeightMatrix => ({
  ...rowsOf(source, depth, columns, scale),
  rows: Int32Array.from({ length: depth }, (_, k) => k),
  columnStride: depth,
});

/** A row-major view of a matrix operand, transposed by a copy where asked. */
function matrix(context: LowerContext, value: Value, transposed: boolean): View {
  const view = context.view(value, 'rowMajor');
  if (!transposed) return view;
  const [rows = 1, columns = 1] = view.shape;
  const copy = context.scratch([columns, rows], view.dtype);
  context.copy(permuteView(view, [1, 0]), copy);
  return copy;
}

export function lowerGemm(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Gemm')) return;
  const { alpha, beta, transA, transB } = node.attrs;
  const out = context.output(node);
  const [, columns = 1] = out.shape;
  const a = matrix(context, operand(node, 0), transA);
  const depth = a.shape[1] ?? 1;
  const weight = tensorOf(node.operands[1])?.data;
  const c = ownInput(node, 2);
  const constantC = tensorOf(c)?.data;
  const foldAlpha = weight instanceof Float32Array;
  // a constant row [N] is a bias; any other C joins the epilogue as an operand
  const isBias =
    c &&
    constantC instanceof Float32Array &&
    foldAlpha &&
    c.type.shape[c.type.shape.length - 1] === columns &&
    constantC.length === columns;
  let value: Expr = foldAlpha || alpha === 1 ? arg(0) : binary('mul', arg(0), constant(alpha));
  const extras = epilogueOperands(node).flatMap((v) => (v ? [v] : []));
  const own = node.epilogue;
  const shift = c && !isBias ? 1 : 0;
  if (c && !isBias) value = binary('add', value, beta === 1 ? arg(1) : binary('mul', arg(1), constant(beta)));
  const expr = own ? substitute(own, (i) => (i === 0 ? value : arg(i + shift))) : value;
  const epilogue = context.epilogueOver(expr, [...(c && !isBias ? [c] : []), ...extras], out, 1);
  const b: Product['b'] = foldAlpha
    ? {
        kind: 'packed',
        matrix: transB ? rowsOfColumns(weight, depth, columns, alpha) : rowsOf(weight, depth, columns, alpha),
      }
    : { kind: 'rows', view: matrix(context, operand(node, 1), transB) };
  emitProduct(context, {
    rows: mergeLoops([
      {
        count: out.shape[0] ?? 1,
        steps: [a.strides[0] ?? 0, out.strides[0] ?? 0, 0, ...epilogue.strides.map((s) => s[0] ?? 0)],
      },
    ]),
    depth,
    columns,
    a,
    out,
    b,
    bias: isBias ? constantC.map((v) => v * beta) : undefined,
    epilogue,
  });
}

export function lowerMatMul(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MatMul')) return;
  const out = context.output(node);
  const bValue = operand(node, 1);
  const vectorA = operand(node, 0).type.shape.length === 1;
  const vectorB = bValue.type.shape.length === 1;
  const asRow = context.view(operand(node, 0), 'rowMajor');
  // 1-D operands are a row and a column
  const a: View = vectorA ? { ...asRow, shape: [1, ...asRow.shape], strides: [0, ...asRow.strides] } : asRow;
  const bShape = vectorB ? [...bValue.type.shape, 1] : bValue.type.shape;
  const depth = a.shape[a.shape.length - 1] ?? 1;
  const columns = bShape[bShape.length - 1] ?? 1;
  const weight = bShape.length === 2 ? tensorOf(bValue)?.data : undefined;
  // weights that are packed need no view, which would be all of them once more
  const b: Product['b'] =
    weight instanceof Float32Array
      ? { kind: 'packed', matrix: rowsOf(weight, depth, columns) }
      : { kind: 'rows', view: context.view(bValue, 'rowMajor') };
  const rows = a.shape[a.shape.length - 2] ?? 1;
  // the output with both matrix axes, whatever the operands' ranks
  const shape = [
    ...out.shape.slice(0, out.shape.length - (vectorA ? 0 : 1) - (vectorB ? 0 : 1)),
    rows,
    columns,
  ];
  const full: View = {
    ...out,
    shape,
    strides: shape.map((_, i) => 4 * shape.slice(i + 1).reduce((x, y) => x * y, 1)),
  };
  const epilogue = context.epilogue(node, out, out.shape.length - 1);
  const extras = epilogue.strides.map((s) => {
    const aligned = [...s];
    if (vectorA) aligned.splice(aligned.length - (vectorB ? 0 : 1), 0, 0);
    if (vectorB) aligned.push(0);
    return aligned;
  });
  const batch = shape.slice(0, -2);
  const aBatch = broadcastViewStrides(
    { ...a, shape: a.shape.slice(0, -2), strides: a.strides.slice(0, -2) },
    batch,
  );
  // the view of a vector is that of its one column, which has no batch either
  const bBatch =
    b.kind === 'packed'
      ? []
      : broadcastViewStrides(
          { ...b.view, shape: bShape.slice(0, -2), strides: b.view.strides.slice(0, bShape.length - 2) },
          batch,
        );
  const axes = shape.slice(0, -1).map((count, axis): Loop => {
    const isRow = axis === shape.length - 2;
    return {
      count,
      steps: [
        isRow ? (a.strides[a.strides.length - 2] ?? 0) : (aBatch[axis] ?? 0),
        full.strides[axis] ?? 0,
        isRow ? 0 : (bBatch[axis] ?? 0),
        ...extras.map((s) => s[axis] ?? 0),
      ],
    };
  });
  emitProduct(context, {
    rows: mergeLoops(axes),
    depth,
    columns,
    a,
    out: full,
    b,
    bias: undefined,
    epilogue,
  });
}
