/** Ops whose results have as many rows as there is to find. */
import { suppressParts } from '#compiler/schedule/operands.ts';
import { isOp, type Node } from '#ir/graph.ts';
import { type LowerContext, wordIn } from '../context.ts';

export function lowerNonZero(node: Node, context: LowerContext): void {
  const input = context.rowMajor(node, 0);
  const out = context.output(node, 0);
  const count = context.output(node, 1);
  context.call({ family: 'nonZero', params: { word: wordIn(input), shape: input.shape } }, [
    input,
    out,
    count,
  ]);
}

export function lowerNonMaxSuppression(node: Node, context: LowerContext): void {
  if (!isOp(node, 'NonMaxSuppression')) return;
  const { params, reads, out, count } = suppressParts(node, context);
  const { batches, classes, boxes, most } = params;
  if (most === 0) {
    context.fill(count, 0);
    return;
  }
  const left = context.scratch([batches * classes, boxes], 'i32');
  const kept = context.scratch([batches * classes, most], 'i32');
  const counts = context.scratch([batches * classes], 'i32');
  context.call({ family: 'suppress', params }, [...reads, left, kept, counts]);
  context.call({ family: 'suppressed', params: { batches, classes, most } }, [kept, counts, out, count]);
}
