import { type Loop, mergeLoops, splitInnermost } from '#compiler/schedule/loops.ts';
import { axesByStride } from '#compiler/schedule/view.ts';
import { isOp, type Node, operand } from '#ir/graph.ts';
import { isKept, resizeAxis } from '#ir/ops/resize.ts';
import type { LowerContext } from '../context.ts';
import { RESIZE_ENTRY_BYTES } from '../kernels/resize.ts';
import { packedCopy } from '../pack.ts';

/** Resize as table-driven interpolation along the axes that change. */
export function lowerResize(node: Node, context: LowerContext): void {
  if (!isOp(node, 'Resize')) return;
  const input = context.view(operand(node, 0), 'channelsLast');
  const out = context.output(node);
  const changed = out.shape
    .map((_, axis) => axis)
    .filter((axis) => !isKept(node.attrs, axis, input.shape[axis] ?? 1));
  const tables = changed.map((axis) => {
    const positions = resizeAxis(node.attrs, axis, input.shape[axis] ?? 1);
    // a single tap is read without its weight
    const least = positions.some((p) => p.length === 1 && p[0]?.weight === 0) ? 2 : 1;
    const taps = Math.max(least, ...positions.map((p) => p.length));
    const words = new Int32Array(positions.length * taps * 2);
    const floats = new Float32Array(words.buffer);
    positions.forEach((position, o) => {
      for (let t = 0; t < taps; t++) {
        const tap = position[t];
        const at = ((o * taps + t) * RESIZE_ENTRY_BYTES) / 4;
        words[at] = (tap?.index ?? position[0]?.index ?? 0) * (input.strides[axis] ?? 0);
        floats[at + 1] = tap?.weight ?? 0;
      }
    });
    return { taps, view: context.packed(packedCopy(words)) };
  });
  const kept = axesByStride(out).filter((axis) => !changed.includes(axis));
  const [innermost = 1] = kept.filter((axis) => (out.shape[axis] ?? 1) > 1).slice(-1);
  const epilogue = context.epilogue(node, out, innermost);
  const loops = mergeLoops(
    kept.map(
      (axis): Loop => ({
        count: out.shape[axis] ?? 1,
        steps: [
          input.strides[axis] ?? 0,
          out.strides[axis] ?? 0,
          ...epilogue.strides.map((s) => s[axis] ?? 0),
        ],
      }),
    ),
  );
  const { outer, inner } = splitInnermost(loops, 2 + epilogue.views.length);
  const dense = inner.steps[0] === 4 && inner.steps[1] === 4;
  context.call(
    {
      family: 'resize',
      params: {
        outer: dense ? outer : loops,
        axes: changed.map((axis, i) => ({
          count: out.shape[axis] ?? 1,
          taps: tables[i]?.taps ?? 1,
          outputStep: out.strides[axis] ?? 0,
          extraSteps: epilogue.strides.map((s) => s[axis] ?? 0),
        })),
        columns: dense ? inner.count : 1,
        epilogue: epilogue.kernel,
      },
    },
    [input, ...tables.map((t) => t.view), out, ...epilogue.views],
  );
}
