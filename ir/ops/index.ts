import type { OpDef } from '../op.ts';
import { Conv, ConvTranspose } from './conv.ts';
import { ACTIVATIONS, ARITHMETIC } from './elementwise.ts';

/** The one list of ops; everything else derives from it. */
export const OPS = {
  Conv,
  ConvTranspose,
  ...ACTIVATIONS,
  ...ARITHMETIC,
} as const satisfies Record<string, unknown>;

/** An op without its attribute types. */
export type AnyOp = OpDef;
