/** What other tools would count for a graph as it is given. */
import type { GraphCost } from '../cost.ts';
import { fvcore } from './fvcore.ts';
import { convolith, multiplications, papers, torch, torchvision } from './macs.ts';
import { PRESET_NAMES, type PresetName } from './names.ts';
import { onnxTool } from './onnx-tool.ts';
import type { Preset } from './preset.ts';
import { tfProfiler } from './tf-profiler.ts';
import { thop } from './thop.ts';

export { PRESET_NAMES, type PresetName } from './names.ts';
export type { Preset } from './preset.ts';

const BY_NAME: { readonly [N in PresetName]: Preset<N> } = {
  convolith,
  torchvision,
  fvcore,
  torch,
  thop,
  'onnx-tool': onnxTool,
  'tf-profiler': tfProfiler,
  papers,
  multiplications,
};

/** In the order of their names. */
export const PRESETS: readonly Preset<PresetName>[] = PRESET_NAMES.map((name) => BY_NAME[name]);

export const presetOf = (name: PresetName): Preset<PresetName> => BY_NAME[name];

/** The preset of a name; undefined where there is none. */
export const presetNamed = (name: string): Preset<PresetName> | undefined =>
  PRESETS.find((preset) => preset.name === name);

/** What a preset counts for a whole graph. */
export function presetTotal({ nodes }: GraphCost, { count }: Preset): number {
  let total = 0;
  for (const [node, { macs }] of nodes) total += count(node, macs);
  return total;
}
