/** Ops that read images between their pixels, and the inverses of pooling and of cutting into columns. */
import { f32 } from '#ir/tensor.ts';
import type { ImportRule } from '../rule.ts';
import { entries, weightKernel, windowAttrs } from './window.ts';

const GRID_MODES = {
  linear: 'linear',
  bilinear: 'linear',
  nearest: 'nearest',
  cubic: 'cubic',
  bicubic: 'cubic',
} as const;
const PADDINGS = ['zeros', 'border', 'reflection'] as const;

/** The modes were called bilinear and bicubic before opset 20. */
const gridSample: ImportRule = (node) => {
  const word = node.attrs.string('mode', 'linear');
  const mode = Object.hasOwn(GRID_MODES, word)
    ? GRID_MODES[word as keyof typeof GRID_MODES]
    : node.refuse(`mode "${word}" is not known`);
  const given = node.attrs.string('padding_mode', 'zeros');
  const padding = PADDINGS.find((p) => p === given) ?? node.refuse(`padding mode "${given}" is not known`);
  return node.emit('GridSample', [node.input(0), node.input(1)], {
    mode,
    padding,
    alignCorners: node.attrs.flag('align_corners'),
  });
};

/** Positions of the `size` pixels of an axis, the innermost coordinate first, and 1: the rows of a matrix. */
function baseGrid(sizes: readonly number[], alignCorners: boolean): number[] {
  const coordinate = (i: number, size: number): number => {
    if (alignCorners) return size > 1 ? -1 + (2 * i) / (size - 1) : 0;
    return (2 * i + 1) / size - 1;
  };
  return sizes
    .reduce<number[][]>(
      (rows, size) =>
        rows.flatMap((row) => Array.from({ length: size }, (_, i) => [coordinate(i, size), ...row])),
      [[]],
    )
    .flatMap((row) => [...row, 1]);
}

const MOST_POSITIONS = 2 ** 24;

/** θ [N, d, d + 1] at every position of the output: the constant positions times θ transposed. */
const affineGrid: ImportRule = (node) => {
  const [batch = 0, , ...sizes] = node.requiredNumbers(1, 'size');
  const points = sizes.reduce((a, b) => a * b, 1);
  if (
    sizes.length < 2 ||
    sizes.length > 3 ||
    !(points >= 0 && points <= MOST_POSITIONS) ||
    node.shape(0)[0] !== batch
  )
    node.refuse(`a grid of ${batch} × ${sizes.join('×')} is not supported`, 'shape-mismatch');
  const rank = sizes.length;
  const positions = node.literal(f32([points, rank + 1], baseGrid(sizes, node.attrs.flag('align_corners'))));
  const theta = node.step('Transpose', [node.input(0)], { perm: [0, 2, 1] });
  const grid = node.step('MatMul', [positions, theta], {});
  return node.emit('Reshape', [grid], { shape: [batch, ...sizes, rank] });
};

/** Boxes are taken between pixel centres only from opset 16 on. */
const roiAlign: ImportRule = (node) => {
  const word = node.attrs.string('mode', 'avg');
  const mode = word === 'avg' || word === 'max' ? word : node.refuse(`mode "${word}" is not known`);
  const coordinates = node.attrs.string(
    'coordinate_transformation_mode',
    node.opset < 16 ? 'output_half_pixel' : 'half_pixel',
  );
  if (coordinates !== 'half_pixel' && coordinates !== 'output_half_pixel')
    node.refuse(`coordinate_transformation_mode "${coordinates}" is not known`);
  return node.emit('RoiAlign', [node.input(0), node.input(1), node.input(2)], {
    mode,
    size: [node.attrs.int('output_height', 1), node.attrs.int('output_width', 1)],
    samples: node.attrs.int('sampling_ratio', 0),
    scale: node.attrs.float('spatial_scale', 1),
    halfPixel: coordinates === 'half_pixel',
  });
};

const deformConv: ImportRule = (node) =>
  node.emit('DeformConv', [node.input(0), node.input(1), node.input(2), node.inputs[3], node.inputs[4]], {
    ...windowAttrs(node, weightKernel(node)),
    group: node.attrs.int('group', 1),
    offsetGroups: node.attrs.int('offset_group', 1),
  });

const col2Im: ImportRule = (node) => {
  const image = node.requiredNumbers(1, 'image_shape');
  const block = node.requiredNumbers(2, 'block_shape');
  return node.emit('Col2Im', [node.input(0)], {
    image,
    block,
    strides: entries(node, 'strides', image.length, 1),
    dilations: entries(node, 'dilations', image.length, 1),
    pads: entries(node, 'pads', 2 * image.length, 0),
  });
};

/** The shape before pooling, as the window says it or as the third input gives it; indices count in that shape. */
const maxUnpool: ImportRule = (node) => {
  const [n = 0, c = 0, ...spatial] = node.shape(0);
  const kernel =
    node.attrs.ints('kernel_shape') ?? node.refuse('MaxUnpool has no kernel_shape', 'graph-invalid');
  const rank = spatial.length;
  if (kernel.length !== rank) node.refuse(`kernel_shape is [${kernel.join(',')}] for ${rank} spatial axes`);
  const strides = entries(node, 'strides', rank, 1);
  const pads = entries(node, 'pads', 2 * rank, 0);
  const inferred = spatial.map(
    (size, i) => (size - 1) * (strides[i] ?? 1) + (kernel[i] ?? 1) - (pads[i] ?? 0) - (pads[rank + i] ?? 0),
  );
  const shape = node.knownNumbers(2, 'output_shape') ?? [n, c, ...inferred];
  return node.emit('MaxUnpool', [node.input(0), node.input(1)], { shape: [...shape] });
};

export const SAMPLING = {
  GridSample: gridSample,
  AffineGrid: affineGrid,
  RoiAlign: roiAlign,
  DeformConv: deformConv,
  Col2Im: col2Im,
  MaxUnpool: maxUnpool,
} satisfies Record<string, ImportRule>;
