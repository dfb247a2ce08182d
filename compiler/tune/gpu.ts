/** Chooses tiles of a network by measuring them on a device, layer shape by layer shape. */
import { CompileError } from '#ir/diagnostics.ts';
import type { Graph, Node } from '#ir/graph.ts';
import { type EncodePass, GpuClock } from '../bench/gpu-clock.ts';
import type { LoadedProgram } from '../bench/gpu-layers.ts';
import { type Clock, medianTold } from '../bench/measure.ts';
import { pause } from '../pause.ts';
import {
  type GpuChoices,
  type GpuProgram,
  lowerGraph,
  type MinimalTile,
  memoryOf,
  minimalTilesFor,
  refusal,
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
/** Memory of the device that the candidates of one layer may take together, in bytes. */
const MOST_BYTES = 2 ** 30;

/** Milliseconds of each; undefined where the device refuses it, or its clock tells nothing. Replaced in tests. */
export type TimeTiles = (
  candidates: readonly GpuCandidate[],
  node: Node,
) => Promise<readonly (number | undefined)[]>;

/** @param graph lowered as `compile` does, which is left as it is */
export async function tuneGpuGraph(
  graph: Graph,
  settings: TuneGpuSettings,
  timeTiles: TimeTiles = timerFor(settings),
): Promise<TuneGpuResult> {
  const { key: on, known: before, signal, onProgress, limitMs = LIMIT_MS } = settings;
  const clock = settings.clock ?? (() => performance.now());
  const known = new Set(layersOnAdapter(before, on).map(({ layer }) => layer));
  const shapes = layerShapes(graph).filter(({ node }) => refusal(node) === undefined);
  const fresh = shapes.filter(({ key }) => !known.has(key));
  const start = clock();
  const measured: GpuTunedLayer[] = [];
  let left = 0;
  for (const [i, { key, node }] of fresh.entries()) {
    onProgress?.(i / fresh.length);
    await pause();
    signal?.throwIfAborted();
    if (clock() - start > limitMs) {
      left += fresh.length - i;
      break;
    }
    const lone = loneLayer(node);
    const { list, usual } = tileCandidates(lone, settings);
    if (list.length < 2) continue;
    const times = bytesOf(list) > MOST_BYTES ? [] : await timeTiles(list, lone.node).catch(noneIfRefused);
    const modelMs = times[usual];
    if (modelMs === undefined) {
      left++;
      continue;
    }
    const best = fastest(times, usual);
    measured.push({
      layer: key,
      choice: (list[best] as GpuCandidate).tile,
      ms: rounded(times[best] ?? modelMs),
      modelMs: rounded(modelMs),
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

const bytesOf = (list: readonly GpuCandidate[]): number =>
  list.reduce((sum, { program }) => {
    const { arenaBytes, halvesBytes, banks } = memoryOf(program);
    return banks.reduce((bytes, bank) => bytes + bank, sum + arenaBytes + halvesBytes);
  }, 0);

/** A device may be too small for one layer or one kernel, and take all others. */
function noneIfRefused(error: unknown): readonly undefined[] {
  if (error instanceof CompileError && error.diagnostics.every(({ code }) => code === 'gpu-refused'))
    return [];
  throw error;
}

/** Devices raise their clocks under load. */
const WARM_MS = 100;
/** Where the clock of the caller stands still. */
const MOST_WARM_ROUNDS = 256;
const ROUNDS = 9;

/**
 * Candidates in turn, round by round, each round begun by another. Before each the nodes in front write its operands, so that
 * inputs come from near; its own dispatches are one pass, of which the time counts.
 */
function timerFor({ load, signal, clock: now = () => performance.now() }: TuneGpuSettings): TimeTiles {
  return async (candidates, node) => {
    const sides: { readonly on: TunedProgram; readonly passes: readonly EncodePass[]; ms: number[] }[] = [];
    const byCandidate: (typeof sides)[number][] = [];
    let clock: GpuClock | undefined;
    try {
      for (const [i, { program }] of candidates.entries()) {
        signal?.throwIfAborted();
        const [on] = await load(program).then((one) => [one], noneIfRefused);
        if (!on) continue;
        const side = { on, passes: passesOf(program, on, node), ms: [] };
        sides.push(side);
        byCandidate[i] = side;
      }
      const [first] = sides;
      if (!first) return [];
      clock = new GpuClock(first.on.device, 2 * sides.length);
      const round = async (begin: number): Promise<void> => {
        const order = sides.map((_, k) => sides[(k + begin) % sides.length] as typeof first);
        const times = await clock?.time(order.flatMap(({ passes }) => passes));
        for (const [k, { ms }] of order.entries()) {
          const own = times?.[2 * k + 1];
          if (own !== undefined) ms.push(own);
        }
        signal?.throwIfAborted();
      };
      const start = now();
      for (let k = 0; k === 0 || (k < MOST_WARM_ROUNDS && now() - start < WARM_MS); k++) await round(k);
      for (const side of sides) side.ms = [];
      for (let k = 0; k < ROUNDS; k++) await round(k);
      return candidates.map((_, i) => medianTold(byCandidate[i]?.ms ?? []));
    } finally {
      clock?.dispose();
      for (const { on } of sides) on.dispose();
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
