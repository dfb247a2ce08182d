/** Movement ops that interleave positions of several axes: the input seen with more axes, then permuted. */
import { attr } from '../attrs.ts';
import {
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  NO_COST,
  OpError,
  type OpTraits,
  outputType,
} from '../op.ts';
import type { TensorData } from '../tensor.ts';
import { product, rowMajorStrides, type Shape } from '../types.ts';
import type { PositionMap } from '../window.ts';
import { axisField } from './common.ts';
import { copyByOffsets, stridedOffsets } from './offsets.ts';

const MOVEMENT: OpTraits = { layout: 'strided', movement: true };
const DATA_X = [{ name: 'x', role: 'data' }] as const;

/** Copies through a view of the input with more axes: `order` lists the axes of `view` as the output has them. */
function permuteView(context: EvalContext<unknown>, view: Shape, order: readonly number[]): TensorData[] {
  const strides = rowMajorStrides(view);
  const tables = order.map((axis) => stridedOffsets(view[axis] ?? 1, strides[axis] ?? 1));
  return [copyByOffsets(inputData(context, 0), outputType(context).dtype, tables)];
}

/**
 * x [N, C, H, W] → [N, C/b², H·b, W·b]. Channel order DCR: block row, block column, then depth; CRD (sub-pixel
 * convolution, PixelShuffle): depth, then block row and column.
 */
export const DepthToSpace = defineOp({
  name: 'DepthToSpace',
  attrs: { blocksize: attr.int(), mode: attr.word('DCR', 'CRD') },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs: { blocksize: b }, inputs }) {
    const { dtype, shape } = inputType({ inputs }, 0);
    const [n = 0, c = 0, h = 0, w = 0] = shape;
    if (shape.length !== 4) throw new OpError(`input has rank ${shape.length}, not 4`);
    if (b < 1 || c % (b * b) !== 0) throw new OpError(`${c} channels do not divide into blocks of ${b}×${b}`);
    return [{ dtype, shape: [n, c / (b * b), h * b, w * b] }];
  },
  cost: () => NO_COST,
  field({ attrs: { blocksize } }) {
    const map: PositionMap = {
      advance: 1,
      phases: Array.from({ length: blocksize }, () => ({ start: 0, size: 1 })),
    };
    return [axisField(0), { kind: 'whole' }, axisField(2, map), axisField(3, map)];
  },
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { blocksize: b, mode } = context.attrs;
      const [n = 0, c = 0, h = 0, w = 0] = inputType(context, 0).shape;
      const depth = c / (b * b);
      return mode === 'DCR'
        ? permuteView(context, [n, b, b, depth, h, w], [0, 3, 4, 1, 5, 2])
        : permuteView(context, [n, depth, b, b, h, w], [0, 1, 4, 2, 5, 3]);
    },
  },
});

/** x [N, g·m, …] seen as [N, g, m, …] and transposed to [N, m, g, …] (Zhang et al., ShuffleNet, 2017). */
export const ChannelShuffle = defineOp({
  name: 'ChannelShuffle',
  attrs: { groups: attr.int() },
  inputs: DATA_X,
  traits: MOVEMENT,
  infer({ attrs: { groups }, inputs }) {
    const type = inputType({ inputs }, 0);
    if (type.shape.length < 2) throw new OpError(`input has rank ${type.shape.length} and no channel axis`);
    const channels = type.shape[1] ?? 0;
    if (groups < 1 || channels % groups !== 0)
      throw new OpError(`${channels} channels do not divide into ${groups} groups`);
    return [type];
  },
  cost: () => NO_COST,
  /** Output channel j·g + i is input channel i·m + j: g phases that each advance by one. */
  field({ attrs: { groups }, inputs }) {
    const { shape } = inputType({ inputs }, 0);
    const m = (shape[1] ?? 0) / groups;
    const phases = Array.from({ length: groups }, (_, i) => ({ start: i * m, size: 1 }));
    return shape.map((_, axis) => (axis === 1 ? axisField(1, { advance: 1, phases }) : axisField(axis)));
  },
  reference: {
    kind: 'whole',
    evaluate(context) {
      const { groups } = context.attrs;
      const { shape } = inputType(context, 0);
      const view = [shape[0] ?? 0, groups, (shape[1] ?? 0) / groups, product(shape.slice(2))];
      return permuteView(context, view, [0, 2, 1, 3]);
    },
  },
});

export const REARRANGEMENTS = { DepthToSpace, ChannelShuffle } as const;
