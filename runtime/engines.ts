/** What WebAssembly engines are told apart by. */

/** What a module needs: SIMD of 128 bits, or relaxed SIMD on top. */
export type EngineName = 'simd' | 'relaxed';

const HEADER = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0];

/**
 * For each engine a module that only such an engine accepts. Relaxed SIMD alone does not make that module fast: V8 12 has it,
 * and spills its tiles. So it is asked for together with 64-bit memories, which V8 got with the compiler that does not (13.3).
 */
const PROBES: Readonly<Record<EngineName, readonly number[]>> = {
  // i32.const 0, i8x16.splat, i8x16.popcnt
  simd: [...HEADER, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  // (memory i64 0); three splats, f32x4.relaxed_madd
  relaxed: [
    ...HEADER,
    ...[5, 3, 1, 4, 0],
    ...[10, 19, 1, 17, 0, 65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 11],
  ],
};

export const supports = (engine: EngineName): boolean =>
  typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(PROBES[engine]));

/** What the modules of a bundle may be for, here. */
export const supportedEngines = (): EngineName[] =>
  (['relaxed', 'simd'] as const).filter((engine) => supports(engine));
