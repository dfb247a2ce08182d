/** What other tools would count for a graph as it is given, per node and in total. */
import type { Graph, Node } from '#ir/graph.ts';
import { fvcore } from './fvcore.ts';
import { convolith, multiplications, papers, torch, torchvision } from './macs.ts';
import { onnxTool } from './onnx-tool.ts';
import type { Preset } from './preset.ts';
import { tfProfiler } from './tf-profiler.ts';
import { thop } from './thop.ts';

export type { Preset } from './preset.ts';

/** The one list, the default first. */
export const PRESETS = [
  convolith,
  torchvision,
  fvcore,
  torch,
  thop,
  onnxTool,
  tfProfiler,
  papers,
  multiplications,
] as const satisfies readonly Preset[];

export type PresetName = (typeof PRESETS)[number]['name'];
export const PRESET_NAMES: readonly PresetName[] = PRESETS.map((preset) => preset.name);

/** The preset of a name; undefined where there is none. */
export const presetNamed = (name: string): Preset<PresetName> | undefined =>
  PRESETS.find((preset) => preset.name === name);

export interface PresetCount {
  readonly nodes: ReadonlyMap<Node, number>;
  readonly total: number;
}

export function presetCount(graph: Graph, preset: Preset): PresetCount {
  const nodes = new Map(graph.nodes.map((node) => [node, preset.count(node)]));
  return { nodes, total: [...nodes.values()].reduce((sum, count) => sum + count, 0) };
}
