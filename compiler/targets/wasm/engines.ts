/** The engines that code is generated for: a row for each module that a bundle may hold. */
import type { EngineName } from '#runtime/engines.ts';
import type { Tile } from './tiles.ts';

/** How a product is added to a sum: rounded twice, or as the engine likes, which may be once and faster. */
export type MultiplyAdd = 'separate' | 'relaxed';

export interface Engine {
  readonly name: EngineName;
  readonly multiplyAdd: MultiplyAdd;
  /** Register tiles of products. Each engine has a tile of every width that another has: they share the weights. */
  readonly tiles: readonly Tile[];
  /** Outputs of a row that a window kernel computes together. */
  readonly windowTile: number;
}

/**
 * Engines with SIMD. V8 up to 12 schedules a block's loads before its arithmetic, so accumulators, B vectors, splats and one
 * temporary must fit in 15 registers together. Narrow tiles wait for the latency of addition.
 */
export const SIMD: Engine = {
  name: 'simd',
  multiplyAdd: 'separate',
  tiles: [
    { pixels: 4, channels: 8, efficiency: 0.95 },
    { pixels: 2, channels: 16, efficiency: 0.97 },
    { pixels: 7, channels: 4, efficiency: 0.86 },
    { pixels: 1, channels: 24, efficiency: 0.86 },
  ],
  windowTile: 4,
};

/**
 * Engines with relaxed SIMD that keep the order of the source, as V8 does from 13 on: a splat is used at once, and a
 * multiply-add needs no temporary, so twelve accumulators fit. Efficiencies as measured on V8 14.
 */
export const RELAXED: Engine = {
  name: 'relaxed',
  multiplyAdd: 'relaxed',
  tiles: [
    { pixels: 6, channels: 8, efficiency: 0.98 },
    { pixels: 5, channels: 8, efficiency: 0.91 },
    { pixels: 4, channels: 8, efficiency: 0.91 },
    { pixels: 2, channels: 16, efficiency: 0.91 },
    { pixels: 12, channels: 4, efficiency: 0.84 },
    { pixels: 8, channels: 4, efficiency: 0.81 },
    { pixels: 1, channels: 24, efficiency: 0.73 },
  ],
  windowTile: 5,
};

export const ENGINES: Readonly<Record<EngineName, Engine>> = { simd: SIMD, relaxed: RELAXED };
