import type { OpDef } from '../op.ts';
import { ACTIVATIONS } from './activation.ts';
import { ARITHMETIC, FUNCTIONS } from './arithmetic.ts';
import { AXIS_NORMALIZATIONS } from './axis-normalization.ts';
import { CHANNEL_NORMALIZATIONS } from './channel-normalization.ts';
import { Col2Im } from './col2im.ts';
import { Conv, ConvTranspose } from './conv.ts';
import { DeformConv } from './deform-conv.ts';
import { Det } from './det.ts';
import { Einsum } from './einsum.ts';
import { INDEXING } from './indexing.ts';
import { INTEGER_PRODUCTS } from './integer-product.ts';
import { LOGIC } from './logic.ts';
import { LpPool } from './lp-pool.ts';
import { LRN } from './lrn.ts';
import { PRODUCTS } from './matmul.ts';
import { MOVEMENTS } from './movement.ts';
import { BatchNormalization } from './normalization.ts';
import { POOLS } from './pool.ts';
import { QUANTIZERS } from './quantize.ts';
import { REARRANGEMENTS } from './rearrange.ts';
import { RECURRENT } from './recurrent.ts';
import { REDUCERS } from './reduce.ts';
import { Resize } from './resize.ts';
import { SAMPLERS } from './sampling.ts';
import { SCAN_OPS } from './scan.ts';
import { SELECTIONS } from './selection.ts';
import { SHAPES } from './shape.ts';
import { ShuffledConv } from './shuffled-conv.ts';
import { SOFTMAXES } from './softmax.ts';
import { UNPOOLS } from './unpool.ts';
import { VIEWS } from './view.ts';

/** The one list of ops; everything else derives from it. */
export const OPS = {
  Conv,
  ConvTranspose,
  ShuffledConv,
  ...PRODUCTS,
  ...INTEGER_PRODUCTS,
  Einsum,
  Det,
  ...POOLS,
  LpPool,
  BatchNormalization,
  ...SOFTMAXES,
  ...AXIS_NORMALIZATIONS,
  ...CHANNEL_NORMALIZATIONS,
  LRN,
  ...QUANTIZERS,
  ...ACTIVATIONS,
  ...FUNCTIONS,
  ...ARITHMETIC,
  ...LOGIC,
  ...REDUCERS,
  Resize,
  ...VIEWS,
  ...MOVEMENTS,
  ...REARRANGEMENTS,
  ...SHAPES,
  ...INDEXING,
  ...SELECTIONS,
  ...SCAN_OPS,
  ...SAMPLERS,
  DeformConv,
  Col2Im,
  ...UNPOOLS,
  ...RECURRENT,
} as const satisfies Record<string, unknown>;

/** An op without its attribute types. */
export type AnyOp = OpDef;
