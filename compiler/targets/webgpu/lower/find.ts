/** Ops whose results have as many rows as there is to find. */
import { isOp, type Node, ownInput } from '#ir/graph.ts';
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
  const boxes = context.rowMajor(node, 0);
  const scores = context.rowMajor(node, 1);
  const limits = (['most', 'iou', 'score'] as const).flatMap((name, i) =>
    ownInput(node, i + 2) ? [{ name, view: context.rowMajor(node, i + 2) }] : [],
  );
  const out = context.output(node, 0);
  const count = context.output(node, 1);
  const [batches = 0, classes = 0, number = 0] = scores.shape;
  const groups = batches * classes;
  const most = (out.shape[0] ?? 0) / Math.max(1, groups);
  if (most === 0) {
    context.fill(count, 0);
    return;
  }
  const [left, kept, counts] = [[groups, number], [groups, most], [groups]].map((shape) =>
    context.scratch(shape, 'i32'),
  );
  if (!left || !kept || !counts) return;
  const given = limits.map(({ name }) => name);
  const params = { batches, classes, boxes: number, most, center: node.attrs.center, given };
  const views = limits.map(({ view }) => view);
  context.call({ family: 'suppress', params }, [boxes, scores, ...views, left, kept, counts]);
  context.call({ family: 'suppressed', params: { batches, classes, most } }, [kept, counts, out, count]);
}
