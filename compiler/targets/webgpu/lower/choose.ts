/** Ops that choose elements by comparing them, and the inverse of pooling. */
import { loopsOver } from '#compiler/schedule/loops.ts';
import { isOp, type Node, operand } from '#ir/graph.ts';
import { indexStrides } from '#ir/ops/unpool.ts';
import { elementCount } from '#ir/types.ts';
import { windowAxes } from '#ir/window.ts';
import { inWords, type LowerContext, toWords, wordIn } from '../context.ts';
import { rowsOf } from './reduce.ts';
import { axisOf } from './window.ts';

/** Largest elements of any type, in any layout, and where they were if asked. */
export function lowerLargest(node: Node, context: LowerContext): void {
  if (!isOp(node, 'MaxPool') && !isOp(node, 'MaxPoolWithIndices')) return;
  const tells = isOp(node, 'MaxPoolWithIndices');
  const input = context.anyView(operand(node, 0));
  const out = context.output(node, 0);
  const indices = tells ? context.output(node, 1) : undefined;
  const index = indexStrides(input.shape.slice(2), tells && node.attrs.columnMajor);
  const axes = windowAxes(node.attrs).map((axis, i) => ({
    ...axisOf(axis, i, input, out),
    indexStep: toWords(indices?.strides[i + 2] ?? 0),
    index: index[i] ?? 0,
  }));
  const strides = [input.strides, out.strides, indices?.strides ?? out.strides.map(() => 0)];
  const planes = inWords(loopsOver(out.shape, strides, [0, 1]));
  context.call({ family: 'largest', params: { word: wordIn(input), planes, axes, indices: tells } }, [
    input,
    out,
    ...(indices ? [indices] : []),
  ]);
}

export function lowerTopK(node: Node, context: LowerContext): void {
  if (!isOp(node, 'TopK')) return;
  const { axis, k, largest } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const values = context.output(node, 0);
  const indices = context.output(node, 1);
  const step = (strides: readonly number[]) => toWords(strides[axis] ?? 0);
  const params = {
    rows: rowsOf(input.shape, axis, [input, values, indices]),
    length: input.shape[axis] ?? 1,
    steps: [step(input.strides), step(values.strides), step(indices.strides)] as const,
    dtype: operand(node, 0).type.dtype,
    k,
    largest,
  };
  context.call({ family: 'topK', params }, [input, values, indices]);
}

export function lowerMaxUnpool(node: Node, context: LowerContext): void {
  const input = context.rowMajor(node, 0);
  const indices = context.rowMajor(node, 1);
  const out = context.output(node);
  context.fill(out, 0);
  const [count, size] = [elementCount(input.shape), elementCount(out.shape)];
  if (count > 0) context.call({ family: 'unpool', params: { count, size } }, [input, indices, out]);
}
