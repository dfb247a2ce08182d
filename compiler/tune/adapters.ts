/** What tuning found on adapters, in the file beside what it found on machines. */
import { z } from 'zod';
import { fail } from '#ir/diagnostics.ts';
import type { Node } from '#ir/graph.ts';
import { type GpuChoices, tilesFor, usualTile } from '../targets/webgpu/index.ts';
import { GPU_PRECISIONS, type GpuPrecision } from '../targets/webgpu/words.ts';
import { layerKey } from './layer.ts';
import type { Tuning } from './tuning.ts';

const ms = z.number().nonnegative().describe('milliseconds');
const small = z.int().min(1).max(1024).describe('a whole number from 1 to 1024');

const layerSchema = z
  .strictObject({
    layer: z.string().min(1).describe('op, attributes, operands and epilogue of a layer'),
    choice: z
      .union([
        z.strictObject({ pixels: small, workgroup: small }),
        z.strictObject({ quads: z.literal([4, 8]) }),
      ])
      .describe(
        'pixels of an invocation, and invocations of a workgroup; or the quads of channels of one, by minimal filtering',
      ),
    ms: ms.describe('the time of the choice, in milliseconds'),
    modelMs: ms.describe('the time of what is usual, in milliseconds'),
  })
  .describe('a layer that was measured');

export const adapterSchema = z
  .strictObject({
    engine: z.string().min(1).describe('what implements WebGPU'),
    adapter: z.string().min(1).describe('the name of the adapter'),
    precision: z.enum(GPU_PRECISIONS).describe(GPU_PRECISIONS.join(' or ')),
    layers: z.array(layerSchema).describe('a list of layers'),
  })
  .describe('what was measured on one adapter');

export type GpuTunedLayer = z.infer<typeof layerSchema>;

/** What times on a GPU are filed under. */
export interface AdapterKey {
  readonly engine: string;
  readonly adapter: string;
  readonly precision: GpuPrecision;
}

export const adapterName = ({ engine, adapter, precision }: AdapterKey): string =>
  `${adapter} by ${engine}, ${precision}`;

const isOn = (key: AdapterKey) => (entry: AdapterKey) => adapterName(entry) === adapterName(key);

/** The layers that were measured on an adapter. */
export const layersOnAdapter = ({ adapters = [] }: Tuning, key: AdapterKey): readonly GpuTunedLayer[] =>
  adapters.find(isOn(key))?.layers ?? [];

/** The tuning with more layers of an adapter; those that it had are replaced. */
export function withAdapterLayers(tuning: Tuning, key: AdapterKey, layers: readonly GpuTunedLayer[]): Tuning {
  const { adapters = [] } = tuning;
  const byLayer = new Map(layersOnAdapter(tuning, key).map((one) => [one.layer, one]));
  for (const one of layers) byLayer.set(one.layer, one);
  const { engine, adapter, precision } = key;
  const entry = { engine, adapter, precision, layers: [...byLayer.values()] };
  const at = adapters.findIndex(isOn(key));
  return { ...tuning, adapters: at < 0 ? [...adapters, entry] : adapters.with(at, entry) };
}

/**
 * With what was measured on one adapter alone, of those in a precision: the given one, else the only one that there is.
 * @param onSeveral told where that leaves a choice; then there is none of an adapter
 * @throws CompileError `usage-invalid` there, unless somebody is told
 */
export function tuningForAdapter(
  tuning: Tuning,
  precision: GpuPrecision,
  key: AdapterKey | undefined,
  subject = 'tuning',
  onSeveral?: (message: string) => void,
): Tuning {
  const { adapters = [], ...rest } = tuning;
  const own = key && adapters.find(isOn(key));
  const fitting = own ? [own] : adapters.filter((one) => one.precision === precision);
  if (fitting.length > 1) {
    const names = fitting.map(adapterName).join('; ');
    const message = `it has times of ${fitting.length} adapters: ${names}`;
    if (!onSeveral)
      fail('usage-invalid', subject, message, 'measure here with --tune, or keep one adapter in the file');
    onSeveral(message);
    return rest;
  }
  return fitting.length === 0 ? rest : { ...rest, adapters: fitting };
}

/** What was measured, where it fits; what is usual elsewhere. @param tuning of one adapter in the precision */
export function gpuChoicesOf(tuning: Tuning, precision: GpuPrecision): GpuChoices {
  const [only] = tuningForAdapter(tuning, precision, undefined).adapters ?? [];
  const chosen = new Map((only?.layers ?? []).map(({ layer, choice }) => [layer, choice]));
  const keys = new WeakMap<Node, string>();
  const choiceOf = (node: Node) => {
    const key = keys.get(node) ?? layerKey(node);
    keys.set(node, key);
    return chosen.get(key);
  };
  return {
    tile(node, row, quads) {
      const tile = choiceOf(node);
      // of minimal filtering, where the filters of this network would lose too much by it
      if (!tile || 'quads' in tile) return usualTile(row, quads);
      const fits = tilesFor(row).some((t) => t.pixels === tile.pixels && t.workgroup === tile.workgroup);
      if (fits) return tile;
      const message = `the tuning has ${tile.pixels} pixels by ${tile.workgroup} invocations for it, which do not fit`;
      return fail('usage-invalid', node.name, message, 'measure again: compile --tune with a new file');
    },
    minimal(node) {
      const tile = choiceOf(node);
      return tile && 'quads' in tile ? tile : undefined;
    },
  };
}
