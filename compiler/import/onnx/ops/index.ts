import type { ImportRule } from '../rule.ts';
import { ALGEBRA } from './algebra.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { INDEXING } from './indexing.ts';
import { MASKS } from './masks.ts';
import { MOVEMENTS } from './movement.ts';
import { NORMALIZATIONS } from './normalization.ts';
import { QUANTIZATION } from './quantization.ts';
import { RECURRENT } from './recurrent.ts';
import { REDUCTIONS } from './reduce.ts';
import { RESIZES } from './resize.ts';
import { SAMPLING } from './sampling.ts';
import { SHAPES } from './shape.ts';
import { WINDOWS } from './window.ts';

/** How each ONNX operator of the default domain is read: the one list. */
export const RULES = {
  ...WINDOWS,
  ...ELEMENTWISE,
  ...NORMALIZATIONS,
  ...REDUCTIONS,
  ...ALGEBRA,
  ...QUANTIZATION,
  ...RESIZES,
  ...SHAPES,
  ...MOVEMENTS,
  ...INDEXING,
  ...MASKS,
  ...SAMPLING,
  ...RECURRENT,
} as const satisfies Record<string, ImportRule>;
