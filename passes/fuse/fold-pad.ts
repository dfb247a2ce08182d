/** What the folding of a Pad into any window op has in common. */
import type { Node } from '#ir/graph.ts';
import type { Shape } from '#ir/types.ts';
import { tapRange, type WindowAxis } from '#ir/window.ts';
import { type No, no } from '../pattern.ts';

/** The pads of the spatial axes (begins, then ends) of a Pad with zeros, or why a window cannot take it over. */
export function spatialZeros(pad: Node<'Pad'>): readonly number[] | No {
  const { mode, pads, value } = pad.attrs;
  const rank = pads.length / 2;
  const beyond = [0, 1, rank, rank + 1].some((i) => pads[i] !== 0);
  if (mode !== 'constant') return no(`"${pad.name}" pads by ${mode}, not with a constant`);
  if (value !== 0) return no(`"${pad.name}" pads with ${value}, not with 0`);
  if (rank < 3 || beyond) return no(`"${pad.name}" pads more than the spatial axes`);
  if (pads.some((p) => p < 0)) return no(`"${pad.name}" cuts off`);
  return [...pads.slice(2, rank), ...pads.slice(rank + 2)];
}

/** pads + factor · more, axis by axis; the factors have one entry per spatial axis. */
export const addPads = (
  pads: readonly number[],
  more: readonly number[],
  factor: (axis: number) => number = () => 1,
): number[] => pads.map((p, i) => p + factor(i % (pads.length / 2)) * (more[i] ?? 0));

/** Does a window along some axis hold no element of `x`? */
export const hasEmptyWindow = (axes: readonly WindowAxis[], x: Shape, y: Shape): boolean =>
  axes.some((axis, i) =>
    Array.from({ length: y[i + 2] ?? 0 }, (_, o) => tapRange(axis, o, x[i + 2] ?? 0)).some(
      ([first, end]) => end <= first,
    ),
  );
