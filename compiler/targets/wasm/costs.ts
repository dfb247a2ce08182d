/** What the times of kernels are estimated from. */
import type { EngineName } from '#runtime/engines.ts';
import type { TileSize } from '../../winograd/transforms.ts';
import { ENGINES, type Engine } from './engines.ts';

export interface CostProfile {
  /** The engines, with the efficiencies of their register tiles. */
  readonly engines: Readonly<Record<EngineName, Engine>>;
  readonly winograd: WinogradCosts;
}

/** In multiply-adds at the peak of baseline SIMD. */
export interface WinogradCosts {
  /** To transform one vector of one tile of inputs, or of products. */
  readonly input: Readonly<Record<TileSize, number>>;
  readonly output: Readonly<Record<TileSize, number>>;
  /** To read one byte of weights that do not stay in the second-level cache. */
  readonly weightByte: number;
}

/** Measured on V8 11; the tiles of relaxed SIMD on V8 14. */
export const BUILT_IN_COSTS: CostProfile = {
  engines: ENGINES,
  winograd: { input: { 2: 200, 4: 670 }, output: { 2: 240, 4: 570 }, weightByte: 0.12 },
};
