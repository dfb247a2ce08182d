/** Operands, results and sizes that kernels of every target take alike, of ops that read all in row-major order. */
import { type Node, ownInput } from '#ir/graph.ts';
import { product } from '#ir/types.ts';
import type { ViewContext } from './context.ts';

export function gridSampleParts<K>(node: Node<'GridSample'>, context: ViewContext<K>) {
  const input = context.rowMajor(node, 0);
  const grid = context.rowMajor(node, 1);
  const out = context.output(node);
  const [batch = 1, channels = 1, ...sizes] = input.shape;
  const points = product(out.shape.slice(2));
  return { params: { ...node.attrs, batch, channels, sizes, points }, views: [input, grid, out] };
}

export interface SuppressParams {
  readonly batches: number;
  readonly classes: number;
  readonly boxes: number;
  /** Rows that the output has room for, per batch and class. */
  readonly most: number;
  readonly center: boolean;
  /** Which of the limits are given; absent ones are 0, and of the score −∞. */
  readonly given: readonly ('most' | 'iou' | 'score')[];
}

export function suppressParts<K>(node: Node<'NonMaxSuppression'>, context: ViewContext<K>) {
  const boxes = context.rowMajor(node, 0);
  const scores = context.rowMajor(node, 1);
  const limits = (['most', 'iou', 'score'] as const).flatMap((name, i) =>
    ownInput(node, i + 2) ? [{ name, view: context.rowMajor(node, i + 2) }] : [],
  );
  const out = context.output(node, 0);
  const count = context.output(node, 1);
  const [batches = 0, classes = 0, number = 0] = scores.shape;
  const params: SuppressParams = {
    batches,
    classes,
    boxes: number,
    most: (out.shape[0] ?? 0) / Math.max(1, batches * classes),
    center: node.attrs.center,
    given: limits.map(({ name }) => name),
  };
  return { params, reads: [boxes, scores, ...limits.map(({ view }) => view)], out, count };
}
