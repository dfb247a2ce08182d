/** How a bundle stores weights. */

/** As they lie in memory; in f32 before transforms that make them larger; half precision; 8-bit integers and scales. */
export const WEIGHT_FORMATS = ['f32', 'raw', 'f16', 'i8'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];
