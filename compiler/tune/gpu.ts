/** Chooses tiles of a network by measuring them on a device, layer shape by layer shape. */
import type { Graph, Node } from '#ir/graph.ts';
import { type EncodePass, GpuClock } from '../bench/gpu-clock.ts';
import type { LoadedProgram } from '../bench/gpu-layers.ts';
import { type Clock, median } from '../bench/measure.ts';
import { pause } from '../pause.ts';
import {
  type GpuChoices,
  type GpuProgram,
  lowerGraph,
  type MinimalTile,
  minimalTilesFor,
  type Tile,
  type TileLimits,
  tilesFor,
  USUAL_CHOICES,
  usualTile,
} from '../targets/webgpu/index.ts';
import { type AdapterKey, type GpuTunedLayer, layersOnAdapter, withAdapterLayers } from './adapters.ts';
import type { TuneCounts } from './index.ts';
import { type LoneLayer, layerShapes, loneLayer } from './layer.ts';
import { fastest } from './timing.ts';
import type { Tuning } from './tuning.ts';

/** A program on the device, with inputs in its memory. */
export interface TunedProgram extends LoadedProgram {
  dispose(): void;
}

export interface TuneGpuSettings {
  readonly key: AdapterKey;
  readonly limits: TileLimits;
  /** What was measured before, which is kept. */
  readonly known: Tuning;
  /** Puts a program on the device, always the same, which has `timestamp-query`. */
  readonly load: (program: GpuProgram) => Promise<TunedProgram>;
  /** `performance.now` unless given. */
  readonly clock?: Clock;
  /** Ends after this long, in milliseconds; ten minutes unless given. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (fraction: number) => void;
}

export interface TuneGpuResult extends TuneCounts {
  readonly tuning: Tuning;
  readonly measured: readonly GpuTunedLayer[];
}

export interface GpuCandidate {
  readonly tile: Tile | MinimalTile;
  readonly program: GpuProgram;
}

const LIMIT_MS = 600_000;

/** Milliseconds of each; replaced in tests. */
export type TimeTiles = (candidates: readonly GpuCandidate[], node: Node) => Promise<readonly number[]>;

/** @param graph lowered as `compile` does, which is left as it is */
export async function tuneGpuGraph(
  graph: Graph,
  settings: TuneGpuSettings,
  timeTiles: TimeTiles = timerFor(settings),
): Promise<TuneGpuResult> {
  const { key: on, known: before, signal, onProgress, limitMs = LIMIT_MS } = settings;
  const clock = settings.clock ?? (() => performance.now());
  const known = new Set(layersOnAdapter(before, on).map(({ layer }) => layer));
  const shapes = layerShapes(graph);
  const fresh = shapes.filter(({ key }) => !known.has(key));
  const start = clock();
  const measured: GpuTunedLayer[] = [];
  let left = 0;
  for (const [i, { key, node }] of fresh.entries()) {
    onProgress?.(i / fresh.length);
    await pause();
    signal?.throwIfAborted();
    if (clock() - start > limitMs) {
      left = fresh.length - i;
      break;
    }
    const lone = loneLayer(node);
    const { list, usual } = tileCandidates(lone, settings);
    if (list.length < 2) continue;
    const times = await timeTiles(list, lone.node);
    const best = fastest(times, usual);
    measured.push({
      layer: key,
      choice: (list[best] as GpuCandidate).tile,
      ms: rounded(times[best] ?? 0),
      modelMs: rounded(times[usual] ?? 0),
    });
  }
  onProgress?.(1);
  return {
    tuning: measured.length === 0 ? before : withAdapterLayers(before, on, measured),
    measured,
    known: shapes.length - fresh.length,
    left,
  };
}

/**
 * The programs of a layer with each tile that fits it, of minimal filtering too, and which of them is usual; none where there is
 * nothing to choose.
 */
export function tileCandidates(
  { graph, node }: LoneLayer,
  { key, limits }: Pick<TuneGpuSettings, 'key' | 'limits'>,
): { readonly list: readonly GpuCandidate[]; readonly usual: number } {
  const asked: { row: number; usual: Tile }[] = [];
  let minimal = false;
  lowerGraph(graph, key.precision, {
    tile(layer, row, quads) {
      const usual = usualTile(row, quads);
      if (layer === node) asked.push({ row, usual });
      return usual;
    },
    minimal(layer) {
      minimal ||= layer === node;
      return undefined;
    },
  });
  const [first, ...more] = asked;
  // a layer of several products has rows of its own in each
  if (!first || more.length > 0) return { list: [], usual: -1 };
  const tiles = tilesFor(first.row, limits);
  const direct = tiles.map((tile): GpuCandidate => {
    const choices: GpuChoices = {
      ...USUAL_CHOICES,
      tile: (layer, row, quads) => (layer === node ? tile : usualTile(row, quads)),
    };
    return { tile, program: lowerGraph(graph, key.precision, choices) };
  });
  const others = (minimal ? minimalTilesFor(limits) : []).map((tile): GpuCandidate => {
    const choices = { ...USUAL_CHOICES, minimal: (layer: Node) => (layer === node ? tile : undefined) };
    return { tile, program: lowerGraph(graph, key.precision, choices) };
  });
  // with filters that would lose too much the layer stays direct
  const exact = others.filter(({ program }) =>
    program.calls.some(({ kernel }) => kernel.family === 'winograd'),
  );
  const { pixels, workgroup } = first.usual;
  const usual = tiles.findIndex((t) => t.pixels === pixels && t.workgroup === workgroup);
  return { list: [...direct, ...exact], usual };
}

/** Ten nanoseconds are more than a clock tells. */
const rounded = (ms: number): number => Number(ms.toFixed(5));

const WARM_ROUNDS = 2;
const ROUNDS = 9;

/**
 * Candidates in turn, round by round. Before each the nodes in front write its operands, so that inputs come from near; its own
 * dispatches are one pass, of which the time counts.
 */
function timerFor({ load, signal }: TuneGpuSettings): TimeTiles {
  return async (candidates, node) => {
    const loaded: TunedProgram[] = [];
    try {
      for (const { program } of candidates) loaded.push(await load(program));
      const passes = candidates.flatMap(({ program }, i) =>
        passesOf(program, loaded[i] as TunedProgram, node),
      );
      const clock = new GpuClock((loaded[0] as TunedProgram).device, passes.length);
      const times: number[][] = candidates.map(() => []);
      for (let round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
        const all = await clock.time(passes);
        if (round >= WARM_ROUNDS) for (const [i, list] of times.entries()) list.push(all[2 * i + 1] ?? 0);
        signal?.throwIfAborted();
      }
      clock.dispose();
      return times.map(median);
    } finally {
      for (const one of loaded) one.dispose();
    }
  };
}

/** What is before a layer, and the layer. */
function passesOf({ calls }: GpuProgram, on: TunedProgram, node: Node): readonly [EncodePass, EncodePass] {
  const first = calls.findIndex((call) => call.node === node);
  const encode =
    (is: (call: number) => boolean): EncodePass =>
    (pass) => {
      calls.forEach((_, k) => {
        if (is(k)) on.dispatch(pass, k);
      });
    };
  return [encode((k) => k < first), encode((k) => calls[k]?.node === node)];
}
