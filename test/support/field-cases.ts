/** Operands for every op whose field is held against its reference; elementwise ops have theirs made. */

import { arg, formatExpr } from '#ir/expr.ts';
import { type OpName, opDef } from '#ir/graph.ts';
import { f32, i64, type Tensor, tensor } from '#ir/tensor.ts';
import type { Shape } from '#ir/types.ts';
import type { FieldCase } from './influence.ts';
import { noise, values } from './op.ts';

/** The cases of an op; undefined where the list has none and none can be made. */
export const fieldCases = (op: OpName): readonly FieldCase[] | undefined =>
  CASES[op] ?? (opDef(op).expression ? elementwise(op) : undefined);

/** Ops whose field no disturbance can show, and why. */
export const WITHOUT_FIELD: Partial<Record<OpName, string>> = {
  ConstantOfShape: 'its operand says a shape, which types fix',
  Range: 'its operands say its size, which types fix',
};

/** Positive and generic: no influence cancels, and no two elements are alike. */
const generic = (shape: Shape, seed = 1): Tensor =>
  f32(
    shape,
    values(noise(shape, seed)).map((v) => 1.1 + v),
  );
const signed = (shape: Shape, seed = 1): Tensor => noise(shape, seed);
const bytes = (shape: Shape, seed = 1, dtype: 'u8' | 'i8' = 'u8'): Tensor =>
  tensor(
    dtype,
    shape,
    values(noise(shape, seed)).map((v) => Math.round(40 + 30 * v)),
  );
const scale = (n = 0.05): Tensor => f32([], [n]);
const zero = (dtype: 'u8' | 'i8' = 'u8'): Tensor => tensor(dtype, [], [0]);

const one = (
  operands: readonly (Tensor | undefined)[],
  attrs = {},
  more: Omit<FieldCase, 'operands' | 'attrs'> = {},
): FieldCase => ({
  attrs,
  operands: [operands],
  ...more,
});

const image = generic([1, 2, 7, 8]);
const line = generic([1, 2, 11]);
const BYTES = { set: [0, 255, 90] };

/** The same over operands of several seeds and of small whole numbers. */
function elementwise(op: OpName): FieldCase[] {
  const count = Math.max(1, opDef(op).inputs.length);
  const logic = ['And', 'Or', 'Xor', 'Not'].includes(op);
  const bits = op.startsWith('Bit');
  const make = (shape: Shape, seed: number, slot: number): Tensor => {
    const n = values(noise(shape, seed));
    if (logic || (op === 'Where' && slot === 0))
      return tensor(
        'bool',
        shape,
        n.map((v) => (v > 0 ? 1 : 0)),
      );
    if (bits)
      return tensor(
        'u32',
        shape,
        n.map((v) => Math.floor(4 + 3 * v)),
      );
    return f32(shape, seed > 3 ? n.map((v) => Math.round(2 * v)) : n);
  };
  const sets = (shapes: readonly Shape[]) =>
    Array.from({ length: 12 }, (_, i) => i + 1).map((seed) =>
      shapes.map((shape, slot) => make(shape, seed + slot * 20 * (seed % 5), slot)),
    );
  const shapes: Shape[] = Array.from({ length: count }, () => [1, 2, 3, 4]);
  const attrs = op === 'BitShift' ? { direction: 'left' } : {};
  const set = logic
    ? [0, 1]
    : bits
      ? [0, 1, 7, 5]
      : [1000, -1000, 0, 0.37, 1, -1, 2, Number.NaN, Number.POSITIVE_INFINITY];
  const inputs = shapes.map((_, i) => i);
  const alike: FieldCase = { attrs, operands: sets(shapes), inputs, set };
  if (count === 1) return [alike];
  return [alike, { ...alike, operands: sets(shapes.map((s, i) => (i === count - 1 ? [2, 1, 4] : s))) }];
}

const windows = (
  weights: (rank: number) => readonly Tensor[],
  attrs: (rank: number) => object = () => ({}),
): FieldCase[] => {
  const build = (
    rank: number,
    size: number,
    kernel: number,
    s: number,
    d: number,
    p: readonly [number, number],
  ): FieldCase => {
    const each = (n: number) => Array.from({ length: rank }, () => n);
    const x = generic([1, 2, ...each(size)]);
    return {
      attrs: {
        ...attrs(rank),
        kernel: each(kernel),
        strides: each(s),
        dilations: each(d),
        pads: [...each(p[0]), ...each(p[1])],
      },
      operands: [[x, ...weights(rank)]],
      ...(d > 1 ? { holes: true as const } : {}),
    };
  };
  return [
    build(1, 11, 3, 1, 1, [0, 0]),
    build(1, 12, 3, 2, 1, [1, 1]),
    build(1, 13, 3, 3, 2, [2, 1]),
    build(1, 14, 3, 1, 3, [0, 2]),
    build(2, 7, 3, 2, 1, [1, 0]),
    build(2, 8, 3, 1, 2, [1, 2]),
    build(3, 5, 3, 2, 1, [1, 1]),
  ];
};
/** Kernels of ops that have one as an operand are not attributes. */
const operandKernels = (cases: FieldCase[]): FieldCase[] =>
  cases.map((c) => {
    const { kernel: _, ...attrs } = c.attrs ?? {};
    return { ...c, attrs };
  });
const cube = (rank: number) => Array.from({ length: rank }, () => 3);

const pooling = [
  ...windows(() => []),
  ...windows(
    () => [],
    () => ({ ceil: true }),
  ),
  one([generic([1, 1, 8])], { kernel: [3], strides: [3], dilations: [1], pads: [0, 0], ceil: true }),
];

const transposed = (groups: number): FieldCase[] =>
  [
    [3, 2, 1, 0, 1],
    [4, 2, 1, 1, 0],
    [2, 3, 1, 0, 0],
    [3, 1, 1, 1, 0],
    [3, 3, 1, 0, 2],
    [3, 2, 3, 1, 0],
    [3, 1, 2, 0, 0],
  ].map(([k = 1, s = 1, d = 1, p = 0, extra = 0]) =>
    one(
      [generic([1, 2, 6]), generic([2, 2 / groups, k], 2)],
      { strides: [s], dilations: [d], pads: [p, p], outputPadding: [extra], group: groups },
      { ...(d > 1 ? { holes: true as const } : {}), ...(groups > 1 ? { groups: true as const } : {}) },
    ),
  );

const resizes = (['nearest', 'linear', 'cubic'] as const).flatMap((mode) =>
  (
    ['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel', 'half_pixel_symmetric'] as const
  ).flatMap((coordinates) =>
    [
      [5, 10],
      [6, 9],
      [9, 6],
      [8, 4],
      [7, 7],
      [6, 2],
      [4, 7],
    ].map(([from = 1, to = 1]) =>
      one(
        [generic([1, 1, from])],
        { mode, coordinates, scales: [1, 1, to / from], sizes: [1, 1, to] },
        {
          clamps: true,
          ...(mode === 'cubic' ? { bound: 'outer weights are 0 where a position is hit' } : {}),
        },
      ),
    ),
  ),
);

const SIGMOID = formatExpr(opDef('Sigmoid').expression?.({}, 1) ?? arg(0));

const recurrent = (gates: number, activations: string): FieldCase[] =>
  (['forward', 'reverse', 'bidirectional'] as const).map((direction) => {
    const d = direction === 'bidirectional' ? 2 : 1;
    return one(
      [signed([4, 2, 3]), generic([d, gates * 2, 3], 2), generic([d, gates * 2, 2], 3)].map((t, i) =>
        i === 0
          ? t
          : f32(
              t.type.shape,
              values(t).map((v) => 0.3 * v),
            ),
      ),
      { direction, activations: Array.from({ length: d }, () => activations).join('; ') },
      { set: [1, -1, 0.2], bound: 'time is mixed in one direction only' },
    );
  });

const reduce: FieldCase[] = [
  one([image], { axes: [2, 3] }),
  one([image], { axes: [1], keepDims: false }),
  one([image], { axes: [3], keepDims: false }),
  one([image], { axes: [2] }),
];
const select: FieldCase[] = [one([image], { axis: 2 }), one([image], { axis: 1, keepDims: false })];
const per = (n: number, seed = 2) => generic([n], seed);
const normal: FieldCase[] = [one([image, per(2), per(2, 3)], {}, { inputs: [0, 1, 2] })];
const index = (shape: Shape, most: number): Tensor =>
  i64(
    values(noise(shape)).map((v) => Math.floor(((v + 1) / 2) * most)),
    shape,
  );
const AT_DATA = 'which positions are read is data';
const product = [
  one([generic([2, 3, 4]), generic([4, 5], 2)], {}, { inputs: [0, 1] }),
  one([generic([1, 2, 3, 4]), generic([1, 2, 4, 3], 2)], {}, { inputs: [0, 1] }),
];

const CASES: Partial<Record<OpName, readonly FieldCase[]>> = {
  Conv: [
    ...operandKernels(windows((rank) => [generic([2, 2, ...cube(rank)], 2)])),
    ...operandKernels(
      windows(
        (rank) => [generic([4, 1, ...cube(rank)], 2)],
        () => ({ group: 2 }),
      ),
    ),
  ].map((c) => ({ ...c, ...(c.attrs?.group === 2 ? { groups: true as const } : {}) })),
  ShuffledConv: operandKernels(
    windows(
      (rank) => [generic([4, 1, ...cube(rank)], 2)],
      () => ({ group: 2 }),
    ),
  ).map((c) => ({ ...c, groups: true as const })),
  ConvTranspose: [
    ...transposed(1),
    ...transposed(2),
    one([generic([1, 1, 3, 4]), generic([1, 1, 3, 3], 2)], {
      strides: [2, 2],
      dilations: [1, 1],
      pads: [1, 0, 0, 1],
      outputPadding: [0, 1],
    }),
    one([generic([1, 1, 2, 3, 2]), generic([1, 1, 2, 3, 2], 2)], {
      strides: [2, 2, 1],
      dilations: [1, 1, 1],
      pads: [0, 0, 0, 0, 0, 0],
      outputPadding: [0, 0, 0],
    }),
  ],
  Gemm: [
    one([generic([3, 4]), generic([4, 5], 2), generic([5], 3)], {}, { inputs: [0, 1, 2] }),
    one([generic([4, 3]), generic([5, 4], 2)], { transA: true, transB: true }, { inputs: [0, 1] }),
  ],
  MatMul: product,
  ConvInteger: operandKernels(windows((rank) => [bytes([2, 2, ...cube(rank)], 2)])).map((c) => ({
    ...c,
    ...BYTES,
    operands: c.operands.map(([x, ...rest]) => [x && bytes(x.type.shape), ...rest]),
  })),
  MatMulInteger: [one([bytes([3, 4]), bytes([4, 5], 2)], {}, { inputs: [0, 1], ...BYTES })],
  QLinearConv: operandKernels(
    windows((rank) => [scale(), zero(), bytes([2, 2, ...cube(rank)], 2), scale(), zero(), scale(1), zero()]),
  ).map((c) => ({
    ...c,
    ...BYTES,
    operands: c.operands.map(([x, ...rest]) => [x && bytes(x.type.shape), ...rest]),
  })),
  QLinearMatMul: [
    one(
      [bytes([3, 4]), scale(), zero(), bytes([4, 5], 2), scale(), zero(), scale(0.5), zero()],
      {},
      { inputs: [0, 3], ...BYTES },
    ),
  ],
  Einsum: [
    one([generic([2, 3, 4]), generic([2, 4, 3], 2)], { equation: 'bij,bjk->bki' }, { inputs: [0, 1] }),
  ],
  Det: [one([signed([1, 2, 3, 3])])],
  MaxPool: pooling,
  AveragePool: [
    ...pooling,
    ...windows(
      () => [],
      () => ({ countIncludePad: true }),
    ),
  ],
  GlobalAveragePool: [one([image]), one([line])],
  LpPool: pooling,
  BatchNormalization: [
    one([image, per(2), per(2, 3), per(2, 4), per(2, 5)], {}, { inputs: [0, 1, 2, 3, 4] }),
  ],
  Softmax: [one([image], { axis: 1 }, { set: [3, -3, 0] }), one([image], { axis: 3 }, { set: [3, -3, 0] })],
  LogSoftmax: [one([image], { axis: 2 }, { set: [3, -3, 0] })],
  Hardmax: [one([image], { axis: 2 }, { bound: 'only the place of the largest changes' })],
  LayerNormalization: [
    one([image, generic([7, 8], 2), generic([7, 8], 3)], { axis: 2 }, { inputs: [0, 1, 2], set: [3, 0.37] }),
  ],
  RMSNormalization: [one([image, generic([8], 2)], { axis: 3 }, { inputs: [0, 1], set: [3, 0.37] })],
  MeanVarianceNormalization: [one([image], { axes: [0, 2, 3] }), one([image], { axes: [1] })],
  LpNormalization: [one([image], { axis: 1 }), one([image], { axis: 3 })],
  InstanceNormalization: normal,
  GroupNormalization: normal.map((c) => ({ ...c, attrs: { groups: 1 } })),
  LRN: [
    one([generic([1, 5, 3, 4])], { size: 3, alpha: 1 }),
    one([generic([1, 5, 3, 4])], { size: 2, alpha: 1 }),
  ],
  QuantizeLinear: [one([image, scale(0.5)], { to: 'i16' })],
  DequantizeLinear: [one([bytes([1, 2, 4, 5]), scale()], {}, BYTES)],
  DynamicQuantizeLinear: [
    one([image], {}, { bound: 'an element beside the largest moves the scale only where it becomes that' }),
  ],
  ReduceSum: reduce,
  ReduceMean: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceL1: reduce,
  ReduceL2: reduce,
  ReduceLogSum: reduce,
  ReduceLogSumExp: reduce.map((c) => ({ ...c, set: [3, -3] })),
  ReduceSumSquare: reduce,
  Resize: [
    ...resizes,
    one(
      [generic([1, 1, 3, 4])],
      { mode: 'linear', coordinates: 'asymmetric', scales: [1, 1, 2, 2], sizes: [1, 1, 6, 8] },
      { clamps: true },
    ),
    one(
      [generic([1, 1, 9])],
      { mode: 'linear', antialias: true, scales: [1, 1, 1 / 3], sizes: [1, 1, 3] },
      { clamps: true, bound: 'the last tap of a filter has a weight of 0' },
    ),
  ],
  Identity: [one([image])],
  Reshape: [
    one(
      [image],
      { shape: [1, 2, 56] },
      { bound: 'a position of a merged axis is one of an interval that does not repeat evenly' },
    ),
    one([image], { shape: [2, 1, 7, 8] }),
    one(
      [generic([1, 6, 5])],
      { shape: [1, 2, 3, 5] },
      { bound: 'a part of an axis is not an interval of it' },
    ),
  ],
  Flatten: [
    one(
      [image],
      { axis: 1 },
      { bound: 'one element sees one position; which is not an interval of an axis' },
    ),
  ],
  Squeeze: [one([generic([1, 2, 1, 5])], { axes: [2] })],
  Unsqueeze: [one([image], { axes: [0, 3] })],
  Transpose: [one([image], { perm: [0, 3, 1, 2] })],
  Concat: [
    one(
      [image, image],
      { axis: 1 },
      { inputs: [0, 1], bound: 'channels of one operand do not see the other' },
    ),
    one(
      [image, image],
      { axis: 2 },
      { inputs: [0, 1], bound: 'positions of one operand do not see the other' },
    ),
  ],
  Slice: [
    one(
      [image],
      { starts: [0, 0, 1, 0], steps: [1, 1, 2, 3], sizes: [1, 2, 3, 3] },
      { bound: 'positions that are cut off are not seen' },
    ),
    one(
      [line],
      { starts: [0, 0, 10], steps: [1, 1, -1], sizes: [1, 2, 11] },
      { bound: 'a reversed axis counts as mixed' },
    ),
  ],
  Split: [one([image], { axis: 2, sizes: [3, 4] }), one([image], { axis: 1, sizes: [1, 1] })],
  Pad: [
    one([image], { mode: 'constant', pads: [0, 0, 1, -1, 0, 0, 2, 1] }),
    one([image], { mode: 'edge', pads: [0, 0, 1, 2, 0, 0, 1, 1] }, { clamps: true }),
  ],
  Gather: [
    one([image, i64([0, 1])], { axis: 1 }, { bound: AT_DATA }),
    one([image, i64([3, 2])], { axis: 2 }, { bound: AT_DATA }),
  ],
  Expand: [one([generic([1, 2, 1, 4])], { shape: [3, 2, 5, 4] })],
  Tile: [
    one([generic([1, 2, 3, 4])], { repeats: [1, 1, 2, 1] }, { bound: 'copies of an axis count as mixed' }),
  ],
  DepthToSpace: (['DCR', 'CRD'] as const).map((mode) =>
    one(
      [generic([1, 8, 3, 4])],
      { blocksize: 2, mode },
      { bound: 'one channel of a block is seen, not all' },
    ),
  ),
  ChannelShuffle: [one([generic([1, 6, 3, 4])], { groups: 2 }, { bound: 'one channel is seen, not all' })],
  Shape: [one([image], { end: 4 }, { bound: 'it follows from types' })],
  Cast: [one([image], { to: 'i32' })],
  GatherElements: [one([image, index([1, 2, 4, 8], 7)], { axis: 2 }, { bound: AT_DATA })],
  GatherND: [one([image, index([1, 3, 1], 1)], { batchDims: 0 }, { bound: AT_DATA })],
  ScatterElements: [
    one(
      [image, index([1, 2, 3, 8], 7), generic([1, 2, 3, 8], 3)],
      { axis: 2, reduction: 'add' },
      { inputs: [0, 2], bound: AT_DATA },
    ),
  ],
  ScatterND: [
    one(
      [generic([5, 3]), i64([1, 3], [2, 1]), generic([2, 3], 3)],
      { reduction: 'add' },
      { inputs: [0, 2], bound: AT_DATA },
    ),
  ],
  ArgMax: select,
  ArgMin: select,
  TopK: [one([image], { axis: 3, k: 3 }, { bound: 'a rank is seen, not a position' })],
  NonZero: [one([image], {}, { bound: AT_DATA })],
  NonMaxSuppression: [
    one(
      [
        f32([1, 3, 4], [0, 0, 1, 1, 0, 0.1, 1, 1.1, 2, 2, 3, 3]),
        f32([1, 1, 3], [0.9, 0.8, 0.7]),
        i64([2], []),
        f32([], [0.5]),
        f32([], [0]),
      ],
      {},
      { inputs: [0, 1], bound: AT_DATA },
    ),
  ],
  CumSum: (['exclusive', 'reverse', 'none'] as const).map((how) =>
    one(
      [image],
      { axis: 2, [how === 'none' ? 'exclusive' : how]: how !== 'none' },
      { bound: 'a prefix is seen, not all' },
    ),
  ),
  CumProd: [one([image], { axis: 3 }, { bound: 'a prefix is seen, not all' })],
  GridSample: [
    one([image, signed([1, 3, 4, 2])], {}, { inputs: [0, 1], bound: AT_DATA, set: [0.5, -0.5, 1000] }),
  ],
  RoiAlign: [
    one(
      [image, f32([1, 4], [1, 1, 5, 6]), i64([0])],
      { size: [2, 2], samples: 2 },
      { inputs: [0, 1], bound: AT_DATA },
    ),
  ],
  DeformConv: [
    one(
      [image, generic([2, 2, 3, 3], 2), signed([1, 18, 5, 6])],
      { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
      { inputs: [0, 2], bound: AT_DATA },
    ),
  ],
  Col2Im: [
    one(
      [generic([1, 8, 9])],
      { image: [4, 4], block: [2, 2], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
      { bound: 'blocks lie along one axis' },
    ),
  ],
  MaxPoolWithIndices: [
    ...pooling.map((c) => ({ ...c, outputs: [0] })),
    ...pooling.map((c) => ({ ...c, outputs: [1], bound: 'of one element the place never changes' })),
  ],
  MaxUnpool: [
    one(
      [generic([1, 1, 2, 2]), i64([5, 7, 13, 15], [1, 1, 2, 2])],
      { shape: [1, 1, 4, 4] },
      { bound: AT_DATA },
    ),
  ],
  LSTM: recurrent(4, `${SIGMOID}; tanh(x0); tanh(x0)`),
  GRU: recurrent(3, `${SIGMOID}; tanh(x0)`),
  RNN: recurrent(1, 'tanh(x0)'),
};
