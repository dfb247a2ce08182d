/** What an invocation of a convolution computes, and how many there are in a workgroup: a row for each variant. */
import type { Node } from '#ir/graph.ts';

/** Four output channels of so many pixels of a row, by each of so many invocations of a workgroup. */
export interface Tile {
  readonly pixels: number;
  readonly workgroup: number;
}

/**
 * Minimal filtering by a workgroup for so many quads of output channels: their tiles of pixels, the rest of its invocations, share
 * what was transformed.
 */
export interface MinimalTile {
  readonly quads: 4 | 8;
}

/** What a tile has to fit into (WebGPU, limits). */
export interface TileLimits {
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
}

/** A bundle runs on devices that nobody asked: these limits every one has. */
export const EVERY_DEVICE: TileLimits = {
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupStorageSize: 16384,
};

/** Invocations of a workgroup where nothing is chosen: a multiple of what every GPU runs in step. */
export const USUAL_WORKGROUP = 64;

const PIXELS = [1, 2, 4, 8] as const;
const WORKGROUPS = [32, USUAL_WORKGROUP, 128, 256] as const;

/** Every variant. More pixels read weights less often, and leave fewer invocations. */
export const TILES: readonly Tile[] = PIXELS.flatMap((pixels) =>
  WORKGROUPS.map((workgroup) => ({ pixels, workgroup })),
);

/** Those that fit a row of pixels, on a device. */
export const tilesFor = (row: number, limits: TileLimits = EVERY_DEVICE): readonly Tile[] =>
  TILES.filter(
    ({ pixels, workgroup }) =>
      pixels <= Math.max(1, row) &&
      workgroup <= limits.maxComputeInvocationsPerWorkgroup &&
      workgroup <= limits.maxComputeWorkgroupSizeX,
  );

const MINIMAL_TILES: readonly MinimalTile[] = [{ quads: 4 }, { quads: 8 }];

/** Bytes of transformed inputs that a workgroup has at a time: a tile's 16 elements by four channels for each invocation. */
export const MINIMAL_BYTES = 16 * 16 * USUAL_WORKGROUP;

export const minimalTilesFor = (limits: TileLimits = EVERY_DEVICE): readonly MinimalTile[] =>
  MINIMAL_BYTES <= limits.maxComputeWorkgroupStorageSize ? MINIMAL_TILES : [];

/** By reasoning: pixels share what is read of the weights, where there are enough of them to keep a device busy. */
const USUAL = [
  { pixels: 4, leastRow: 4, leastQuads: 8192 },
  { pixels: 2, leastRow: 2, leastQuads: 2048 },
] as const;

/** @param quads four output channels of one pixel, of the whole layer */
export function usualTile(row: number, quads: number): Tile {
  const found = USUAL.find(({ leastRow, leastQuads }) => row >= leastRow && quads >= leastQuads);
  return { pixels: found?.pixels ?? 1, workgroup: USUAL_WORKGROUP };
}

/** How the kernels of a program are chosen. */
export interface GpuChoices {
  /** Of a layer with rows of so many pixels. */
  tile(layer: Node, row: number, quads: number): Tile;
  /** Of a layer that minimal filtering fits; undefined for the direct way. */
  minimal(layer: Node): MinimalTile | undefined;
}

/** Whether minimal filtering pays is for a measurement to tell: what it saves in products, it reads in weights. */
export const USUAL_CHOICES: GpuChoices = {
  tile: (_, row, quads) => usualTile(row, quads),
  minimal: () => undefined,
};
