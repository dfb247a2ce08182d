import type { OpDef } from '../op.ts';
import { ACTIVATIONS } from './activation.ts';
import { ARITHMETIC, FUNCTIONS } from './arithmetic.ts';
import { Conv, ConvTranspose } from './conv.ts';
import { INDEXING } from './indexing.ts';
import { LOGIC } from './logic.ts';
import { PRODUCTS } from './matmul.ts';
import { MOVEMENTS } from './movement.ts';
import { NORMALIZATIONS } from './normalization.ts';
import { POOLS } from './pool.ts';
import { REARRANGEMENTS } from './rearrange.ts';
import { RECURRENT } from './recurrent.ts';
import { REDUCERS } from './reduce.ts';
import { Resize } from './resize.ts';
import { SAMPLERS } from './sampling.ts';
import { SCAN_OPS } from './scan.ts';
import { SELECTIONS } from './selection.ts';
import { SHAPES } from './shape.ts';
import { UNPOOLS } from './unpool.ts';
import { VIEWS } from './view.ts';

/** The one list of ops; everything else derives from it. */
export const OPS = {
  Conv,
  ConvTranspose,
  ...PRODUCTS,
  ...POOLS,
  ...NORMALIZATIONS,
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
  ...UNPOOLS,
  ...RECURRENT,
} as const satisfies Record<string, unknown>;

/** An op without its attribute types. */
export type AnyOp = OpDef;
