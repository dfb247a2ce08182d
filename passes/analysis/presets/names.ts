/** The one list of presets, the default first; apart from what they count, for whoever needs the names alone. */
export const PRESET_NAMES = [
  'convolith',
  'torchvision',
  'fvcore',
  'torch',
  'thop',
  'onnx-tool',
  'tf-profiler',
  'papers',
  'multiplications',
] as const;

export type PresetName = (typeof PRESET_NAMES)[number];
