/** Where the pixels of a picture go: sizes after resizing, and what is cut off or padded. */
import type { ResizeAttrs } from '#ir/ops/resize.ts';
import type { PictureSize, ResizeMode } from './options.ts';

/** Per axis, height before width. */
export interface AxisPlacement {
  readonly source: number;
  /** Size after resizing. */
  readonly resized: number;
  /** Position in the resized picture where the target begins; negative where there is padding before it. */
  readonly start: number;
  readonly target: number;
}

export function placePicture(
  source: PictureSize,
  target: PictureSize,
  mode: ResizeMode,
): readonly [AxisPlacement, AxisPlacement] {
  const ratios = [target.height / source.height, target.width / source.width];
  const zoom = mode === 'cover' ? Math.max(...ratios) : Math.min(...ratios);
  const axis = (from: number, to: number): AxisPlacement => {
    if (mode === 'stretch') return { source: from, resized: to, start: 0, target: to };
    const size = Math.round(from * zoom);
    const resized = mode === 'cover' ? Math.max(to, size) : Math.max(1, Math.min(to, size));
    const start = resized >= to ? Math.floor((resized - to) / 2) : -Math.floor((to - resized) / 2);
    return { source: from, resized, start, target: to };
  };
  return [axis(source.height, target.height), axis(source.width, target.width)];
}

/** Resizing of one axis of a tensor, as PIL and torchvision (with antialias) do it, but without rounding to bytes. */
export function resizeAttrs(shape: readonly number[], axis: number, size: number): ResizeAttrs {
  const sizes = shape.map((s, i) => (i === axis ? size : s));
  return {
    mode: 'linear',
    coordinates: 'half_pixel',
    nearestMode: 'round_prefer_floor',
    cubicA: -0.75,
    antialias: true,
    excludeOutside: true,
    sizes,
    scales: sizes.map((s, i) => s / (shape[i] ?? 1)),
  };
}
