import type { Value } from '#ir/graph.ts';
import type { KindName, OptionsOf } from '../kinds.ts';
import type { Flow, Layer } from '../layer.ts';
import { CONVOLUTIONS } from './conv.ts';
import { POINTWISE } from './pointwise.ts';
import { SPATIAL } from './spatial.ts';

/** Kinds whose result is one value; `split` is the expansion's own. */
export type SingleKind = Exclude<KindName, 'split'>;

/** How each kind of layer is built: the one list. */
export const LAYERS: {
  readonly [K in SingleKind]: (layer: Layer, x: Value, options: OptionsOf<K>) => Flow;
} = { ...CONVOLUTIONS, ...POINTWISE, ...SPATIAL };
