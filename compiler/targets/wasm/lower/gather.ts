/** Gather as a call of the gather family. */
import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import { axesByStride } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand } from '#ir/graph.ts';
import { bytesOf } from '#ir/types.ts';
import type { LowerContext } from '../context.ts';

export function lowerGather(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Gather')) return;
  const { axis } = node.attrs;
  const input = context.anyView(operand(node, 0));
  const indices = context.view(operand(node, 1), 'rowMajor');
  const out = context.output(node);
  const indexRank = indices.shape.length;
  const count = indices.shape.reduce((a, b) => a * b, 1);
  const outAxisOf = (a: number) => (a < axis ? a : a - 1 + indexRank);
  const rest = axesByStride(input).filter((a) => a !== axis);
  const loops = mergeLoops(
    loopsOver(
      input.shape,
      [input.strides, input.shape.map((_, a) => (a === axis ? 0 : (out.strides[outAxisOf(a)] ?? 0)))],
      rest,
    ),
  );
  const size = bytesOf(input.dtype);
  const last = loops[loops.length - 1];
  const dense = last?.steps[0] === size && last.steps[1] === size;
  const outputStep = indexRank === 0 ? 0 : (out.strides[axis + indexRank - 1] ?? 0);
  context.call(
    {
      family: 'gather',
      params: {
        indices: count,
        indexBytes: bytesOf(indices.dtype) === 8 ? 8 : 4,
        size: input.shape[axis] ?? 1,
        inputStep: input.strides[axis] ?? 0,
        outputStep,
        inner: dense ? loops.slice(0, -1) : loops,
        bytes: dense ? last.count * size : size,
      },
    },
    [input, indices, out],
  );
}
