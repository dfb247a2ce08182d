/** Resize and its predecessor Upsample: scales and sizes over all axes, whichever the model gives. */
import type { Value } from '#ir/graph.ts';
import { isKept, type ResizeAttrs, resizeAxis } from '#ir/ops/resize.ts';
import { f32 } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

const MODES = ['nearest', 'linear', 'cubic'] as const;
const COORDINATES = [
  'half_pixel',
  'asymmetric',
  'align_corners',
  'pytorch_half_pixel',
  'half_pixel_symmetric',
  'tf_crop_and_resize',
] as const;
const NEAREST = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;

function word<W extends string>(node: NodeImport, name: string, words: readonly W[], fallback: W): W {
  const given = node.attrs.string(name, fallback);
  return words.find((w) => w === given) ?? node.refuse(`${node.op} with ${name} "${given}" is not supported`);
}

/** "bilinear" is an early word for it. */
function modeOf(node: NodeImport): (typeof MODES)[number] {
  const given = node.attrs.string('mode', 'nearest');
  return given === 'bilinear' ? 'linear' : word(node, 'mode', MODES, 'nearest');
}

const scaled = (node: NodeImport, shape: Shape, scales: readonly number[]): number[] => {
  if (scales.length !== shape.length)
    node.refuse(`${scales.length} scales for rank ${shape.length}`, 'shape-mismatch');
  return shape.map((size, axis) => Math.floor(size * (scales[axis] ?? 1)));
};

/** Upsample (opset 7: scales an attribute, 9: an input) and Resize of opset 10: positions scale from the corner. */
const simple: ImportRule = (node) => {
  const scales =
    node.op === 'Upsample' && node.opset < 9
      ? (node.attrs.floats('scales') ?? node.refuse('Upsample has no scales', 'graph-invalid'))
      : node.requiredNumbers(1, 'scales');
  return node.emit('Resize', [node.input(0)], {
    mode: modeOf(node),
    coordinates: 'asymmetric',
    nearestMode: 'floor',
    scales: [...scales],
    sizes: scaled(node, node.shape(0), scales),
  });
};

const resize: ImportRule = (node) => {
  if (node.opset < 11) return simple(node);
  const coordinates = word(node, 'coordinate_transformation_mode', COORDINATES, 'half_pixel');
  const { scales, sizes } = target(node);
  const attrs = {
    mode: modeOf(node),
    coordinates,
    nearestMode: word(node, 'nearest_mode', NEAREST, 'round_prefer_floor'),
    cubicA: node.attrs.float('cubic_coeff_a', -0.75),
    excludeOutside: node.attrs.flag('exclude_outside'),
    antialias: node.attrs.flag('antialias'),
    scales,
    sizes,
  };
  if (coordinates !== 'tf_crop_and_resize') return node.emit('Resize', [node.input(0)], attrs);
  const cropped = { ...attrs, roi: region(node) };
  const outside = extrapolation(node, cropped);
  if (!outside) return node.emit('Resize', [node.input(0)], cropped);
  return node.emit('Add', [node.step('Resize', [node.input(0)], cropped), outside], {});
};

/** The axes that scales, sizes and regions speak of: all, or those that are listed since opset 18. */
function listedAxes(node: NodeImport): readonly number[] {
  const rank = node.shape(0).length;
  const given = node.opset >= 18 ? node.attrs.ints('axes') : undefined;
  return given ? given.map((axis) => node.axis(axis, rank)) : node.shape(0).map((_, axis) => axis);
}

/** Starts of all axes, then their ends. */
function region(node: NodeImport): number[] {
  const given = node.requiredNumbers(1, 'roi');
  const axes = listedAxes(node);
  const rank = node.shape(0).length;
  if (given.length !== 2 * axes.length)
    node.refuse(`a region of ${given.length} numbers for ${axes.length} axes`, 'shape-mismatch');
  const roi = Array.from({ length: 2 * rank }, (_, i): number => (i < rank ? 0 : 1));
  axes.forEach((axis, i) => {
    roi[axis] = given[i] ?? 0;
    roi[rank + axis] = given[axes.length + i] ?? 1;
  });
  return roi;
}

/** What stands where a crop reaches out of the input, where the resized values are 0; undefined where nothing does. */
function extrapolation(node: NodeImport, attrs: ResizeAttrs): Value | undefined {
  const value = node.attrs.float('extrapolation_value', 0);
  const inside = node
    .shape(0)
    .map((size, axis) =>
      isKept(attrs, axis, size)
        ? [true]
        : resizeAxis(attrs, axis, size).map((taps) => taps.some((t) => t.weight !== 0)),
    );
  if (value === 0 || inside.every((axis) => axis.every((x) => x))) return undefined;
  const mask = inside.reduce<boolean[]>((all, axis) => all.flatMap((a) => axis.map((b) => a && b)), [true]);
  const shape = inside.map((axis) => axis.length);
  return node.literal(
    f32(
      shape,
      mask.map((x) => (x ? 0 : value)),
    ),
  );
}

/** Scales and sizes over all axes, from scales or sizes over `axes`. */
function target(node: NodeImport): { scales: number[]; sizes: number[] } {
  const shape = node.shape(0);
  const axes = listedAxes(node);
  const scales = new Array<number>(shape.length).fill(1);
  const givenScales = node.knownNumbers(2, 'scales');
  if (givenScales?.length) {
    if (givenScales.length !== axes.length)
      node.refuse(`${givenScales.length} scales for ${axes.length} axes`, 'shape-mismatch');
    axes.forEach((axis, i) => {
      scales[axis] = givenScales[i] ?? 1;
    });
    return { scales, sizes: scaled(node, shape, scales) };
  }
  const givenSizes = node.requiredNumbers(3, 'sizes');
  if (givenSizes.length !== axes.length)
    node.refuse(`${givenSizes.length} sizes for ${axes.length} axes`, 'shape-mismatch');
  return fromSizes(node, axes, givenSizes, scales);
}

/** Keeping the aspect ratio, one scale serves all axes: the smallest or largest that the sizes ask for. */
function fromSizes(node: NodeImport, axes: readonly number[], wanted: readonly number[], scales: number[]) {
  const shape = node.shape(0);
  const sizes = [...shape];
  const policy = node.opset >= 18 ? node.attrs.string('keep_aspect_ratio_policy', 'stretch') : 'stretch';
  const ratios = axes.map((axis, i) => (wanted[i] ?? 1) / (shape[axis] ?? 1));
  if (policy !== 'stretch' && policy !== 'not_larger' && policy !== 'not_smaller') {
    node.refuse(`keep_aspect_ratio_policy "${policy}" is not known`);
  }
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios);
  axes.forEach((axis, i) => {
    const scale = policy === 'stretch' ? (ratios[i] ?? 1) : common;
    scales[axis] = scale;
    sizes[axis] = policy === 'stretch' ? (wanted[i] ?? 1) : Math.floor(scale * (shape[axis] ?? 1) + 0.5);
  });
  return { scales, sizes };
}

export const RESIZES = { Resize: resize, Upsample: simple } satisfies Record<string, ImportRule>;
