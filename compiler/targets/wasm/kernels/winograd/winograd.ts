/**
 * Convolution 3×3 of stride 1 by minimal filtering: block by block of tiles, the inputs are transformed, one matrix product
 * is made for each of the (m + 2)² elements of a tile, and the products are transformed back.
 */
import { type Loop, wholeAndRest } from '#compiler/schedule/loops.ts';
import { type TileSize, winogradTransform } from '../../../../winograd/transforms.ts';
import { type Ex, i32, type Local, op, select } from '../../encoder/index.ts';
import { ALONE, type Share, type Team } from '../../team.ts';
import {
  advance,
  advanceBy,
  type Body,
  channelBytes,
  copyOf,
  type KernelCaller,
  type KernelEpilogue,
  type KernelFamily,
  LANES,
  nest,
  type Pointer,
  plus,
  vectorsOf,
} from '../family.ts';
import type { WasmKernel } from '../index.ts';
import { addressOf, edgeBytes, halfBytes, type Plane } from './tiles.ts';

export interface WinogradParams {
  readonly outputs: TileSize;
  /** Batch; steps of [input, output, …epilogue operands]. */
  readonly outer: readonly Loop[];
  /** Groups; steps of [input, output, weight, bias, …epilogue operands]. */
  readonly groups: Loop;
  /** Channels of a group. */
  readonly inputChannels: number;
  readonly channels: number;
  readonly input: Plane;
  readonly output: Plane;
  /** Padding before the first row and column. */
  readonly pads: readonly [number, number];
  /** Bytes of the weights of one group and element of a tile: [panels][input channels][panel]. */
  readonly weightBytes: number;
  /** Rows and columns of tiles in one block. */
  readonly block: readonly [number, number];
  /**
   * Output channels that are made of a block at once: of large blocks a part, so that the products stay in a cache near by.
   * It divides the channels, and is whole panels where it is not all of them.
   */
  readonly chunk: number;
  /** The most threads that there may be: each needs scratch memory of its own. */
  readonly threads: number;
  /** Register tile of the products. */
  readonly tile: readonly [number, number];
  readonly bias: boolean;
  readonly epilogue: KernelEpilogue | null;
  /** Bytes from one row and one column of each epilogue operand to the next. */
  readonly extraSteps: readonly (readonly [number, number])[];
}

/** Bytes between the elements of a tile that keep powers of two apart, which would share the lines of a cache. */
const PLANE_GAP = 64;

/** Bytes of one element of all tiles of a block. */
const planeBytes = (tiles: number, channels: number): number => tiles * channelBytes(channels) + PLANE_GAP;

interface ScratchMap {
  /** Of a thread's own part, of `ownBytes`; those of all threads come first. */
  readonly half: number;
  readonly edge: number;
  readonly ownBytes: number;
  /** Where the transformed inputs and the products of the first block are: of `blockBytes`, one for each that is under way. */
  readonly inputs: number;
  readonly products: number;
  readonly blockBytes: number;
  readonly bytes: number;
}

/** What the layout of scratch memory, and the division among threads, follow from. */
type Blocks = Pick<
  WinogradParams,
  | 'outputs'
  | 'outer'
  | 'groups'
  | 'input'
  | 'output'
  | 'block'
  | 'chunk'
  | 'inputChannels'
  | 'channels'
  | 'threads'
>;

/** Where a kernel's intermediate values lie in its scratch memory, in bytes. */
export function winogradScratch(p: Blocks): ScratchMap {
  const elements = winogradTransform(p.outputs).size ** 2;
  const tiles = p.block[0] * p.block[1];
  const edge = halfBytes(p.outputs);
  const ownBytes = edge + edgeBytes(p);
  const inputs = p.threads * ownBytes;
  const products = inputs + elements * planeBytes(tiles, p.inputChannels);
  const blockBytes = products - inputs + elements * planeBytes(tiles, p.chunk);
  return {
    half: 0,
    edge,
    ownBytes,
    inputs,
    products,
    blockBytes,
    bytes: inputs + blockBytes * (byBlocks(p) ? p.threads : 1),
  };
}

/** Waiting for each other twice in each block costs about this part of the time. */
const MEETING_LOSS = 0.4;

/**
 * Whether each thread does blocks of its own, from the first transform to the last, or all do each block together: that
 * where there are too few blocks for that.
 */
const byBlocks = (p: Blocks): boolean =>
  [2, 4].reduce((sum, threads) => sum + blockUnevenness(p, threads), 0) <= MEETING_LOSS;

/** How much longer than its due the slowest of some threads takes for its blocks. */
function blockUnevenness(p: Blocks, threads: number): number {
  const tiles = Array<number>(threads).fill(0);
  const all = tileCount(p);
  let done = 0;
  for (const size of blockSizes(p)) {
    const thread = Math.floor(((done + (size >> 1)) * threads) / all);
    tiles[thread] = (tiles[thread] ?? 0) + size;
    done += size;
  }
  return (Math.max(...tiles) * threads) / all - 1;
}

/** The number of tiles of each block, in order. */
function blockSizes(p: Blocks): number[] {
  const along = (axis: 0 | 1) =>
    blocksOf(p, axis).flatMap(([size, count]) => Array<number>(count).fill(size));
  const sizes = along(0).flatMap((rows) => along(1).map((columns) => rows * columns));
  return Array<number[]>(imageCount(p)).fill(sizes).flat();
}

const imageCount = (p: Blocks): number => p.outer.reduce((n, { count }) => n * count, p.groups.count);
const tileCount = (p: Blocks): number => imageCount(p) * tilesOf(p, 0) * tilesOf(p, 1);

const inputKernel = (p: WinogradParams): WasmKernel => ({
  family: 'winogradInput',
  params: {
    outputs: p.outputs,
    channels: p.inputChannels,
    input: p.input,
    planeBytes: planeBytes(p.block[0] * p.block[1], p.inputChannels),
  },
});

const outputKernel = (p: WinogradParams): WasmKernel => ({
  family: 'winogradOutput',
  params: {
    outputs: p.outputs,
    channels: p.chunk,
    planeBytes: planeBytes(p.block[0] * p.block[1], p.chunk),
    steps: p.output.steps,
    bias: p.bias,
    epilogue: p.epilogue,
    extraSteps: p.extraSteps,
  },
});

/** The products of `tiles` tiles, one for each element. */
function productKernel(p: WinogradParams, tiles: number): WasmKernel {
  const all = p.block[0] * p.block[1];
  const elements = winogradTransform(p.outputs).size ** 2;
  return {
    family: 'gemm',
    params: {
      outer: [
        {
          count: elements,
          steps: [planeBytes(all, p.inputChannels), planeBytes(all, p.chunk), p.weightBytes],
        },
      ],
      pixels: { count: tiles, steps: [channelBytes(p.inputChannels), channelBytes(p.chunk)] },
      groups: { count: 1, steps: [0, 0, 0, 0] },
      taps: [],
      run: p.inputChannels,
      // whole vectors: the weights are padded with zeros
      channels: vectorsOf(p.chunk) * LANES,
      weights: { kind: 'packed' },
      bias: false,
      tile: p.tile,
      epilogue: null,
    },
  };
}

export const winograd: KernelFamily<WinogradParams> = {
  name: 'winograd',
  arguments: (p) => [
    'input',
    'weight',
    ...(p.bias ? ['bias'] : []),
    'scratch',
    'output',
    ...(p.epilogue?.operands ?? []).map((_, k) => `extra${k}`),
  ],
  label: (p) =>
    `f32_winograd${p.outputs}_${p.output.size.join('x')}x${p.inputChannels}x${p.channels}_${p.block.join('x')}_${p.tile.join('x')}`,
  parts: (p) => [
    inputKernel(p),
    outputKernel(p),
    ...[...new Set(blockShapes(p).map(([rows, columns]) => rows * columns))].map((tiles) =>
      productKernel(p, tiles),
    ),
  ],
  pieces: (p) => (byBlocks(p) ? tileCount(p) : winogradTransform(p.outputs).size ** 2),
  partsAlone: byBlocks,
  emit(body, p, args, call, team) {
    const at = p.bias ? 3 : 2;
    const [input, weight] = args as [Pointer, Pointer];
    const bias = p.bias ? args[2] : undefined;
    const scratch = args[at] as Pointer;
    const output = args[at + 1] as Pointer;
    const extras = args.slice(at + 2);
    const share = byBlocks(p) ? team.share(body, tileCount(p)) : undefined;
    const map = winogradScratch(p);
    // thread-local parts and blocks step by their own sizes
    const [own, block] = [copyOf(body, scratch), copyOf(body, scratch, map.inputs)];
    if (share) {
      advanceBy(body, own, share.thread, map.ownBytes);
      advanceBy(body, block, share.thread, map.blockBytes);
    }
    const mine = partOf(body, share);
    const pointers = { input, weight, bias, own, block, output, extras };
    nest(body, p.outer, [input, output, ...extras], () => {
      const grouped = [input, output, weight, bias ?? input, ...extras];
      const steps = bias ? p.groups.steps : p.groups.steps.map((s, k) => (k === 3 ? 0 : s));
      nest(body, [{ count: p.groups.count, steps }], grouped, () => {
        overBlocks(body, p, (one) =>
          mine(one.rows * one.columns, () =>
            emitBlock(body, p, pointers, one, { call, team: share ? ALONE : team }),
          ),
        );
      });
    });
  },
};

interface Pointers {
  readonly input: Pointer;
  readonly weight: Pointer;
  readonly bias: Pointer | undefined;
  /** In scratch memory: what every thread has, and the block that is under way. */
  readonly own: Pointer;
  readonly block: Pointer;
  readonly output: Pointer;
  readonly extras: readonly Pointer[];
}

/** Tiles along an axis. */
const tilesOf = (p: Blocks, axis: 0 | 1): number => Math.ceil(p.output.size[axis] / p.outputs);

/** Whole blocks and the rest along an axis. */
const blocksOf = (p: Blocks, axis: 0 | 1) => wholeAndRest(tilesOf(p, axis), p.block[axis]);

const blockShapes = (p: WinogradParams): (readonly [number, number])[] =>
  blocksOf(p, 0).flatMap(([rows]) => blocksOf(p, 1).map(([columns]) => [rows, columns] as const));

/** How the parts are called, and by whom. */
interface Crew {
  readonly call: KernelCaller;
  readonly team: Team;
}

/** All blocks of one picture and group; `row` and `column` are the first output of a block. */
function overBlocks(body: Body, p: WinogradParams, block: (block: Block) => void): void {
  const [row, column] = [body.local('i32'), body.local('i32')];
  body.set(row, i32(0));
  for (const [rows, downwards] of blocksOf(p, 0)) {
    body.count(0, downwards, 1, () => {
      body.set(column, i32(0));
      for (const [columns, across] of blocksOf(p, 1)) {
        body.count(0, across, 1, () => {
          block({ row, column, rows, columns });
          advance(body, column, columns * p.outputs);
        });
      }
      advance(body, row, rows * p.outputs);
    });
  }
}

interface Block {
  readonly row: Local<'i32'>;
  readonly column: Local<'i32'>;
  readonly rows: number;
  readonly columns: number;
}

/** Threads of a team share the tiles in the transforms, and the products of all tiles; so they meet before and after these. */
function emitBlock(
  body: Body,
  p: WinogradParams,
  pointers: Pointers,
  block: Block,
  { call, team }: Crew,
): void {
  const { input, weight, bias, block: scratch, output, extras } = pointers;
  const map = winogradScratch(p);
  const share = team.share(body, block.rows * block.columns);
  const own = copyOf(body, pointers.own);
  if (share) advanceBy(body, own, share.thread, map.ownBytes);
  const half = plus(own, map.half);
  const source = copyOf(body, scratch);
  const mine = partOf(body, share);
  overTiles(body, p, block, (y, x) => {
    mine(1, () => {
      const row = op('i32.sub', y, i32(p.pads[0]));
      const column = op('i32.sub', x, i32(p.pads[1]));
      call(inputKernel(p), [input, row, column, plus(own, map.edge), half, source]);
    });
    advance(body, source, channelBytes(p.inputChannels));
  });
  team.meet(body);
  const products = productKernel(p, block.rows * block.columns);
  const productsAt = map.products - map.inputs;
  const oneChunk = (parts: ChunkPointers) => {
    call(products, [scratch, parts.weight, plus(scratch, productsAt)]);
    team.meet(body);
    const result = copyOf(body, scratch, productsAt);
    const mineAgain = partOf(body, share);
    overTiles(body, p, block, (y, x) => {
      const at = (base: Pointer, [rowStep, columnStep]: readonly [number, number]) =>
        addressOf(base, y, rowStep, x, columnStep);
      mineAgain(1, () =>
        call(outputKernel(p), [
          result,
          ...(parts.bias ? [parts.bias] : []),
          half,
          op('i32.sub', i32(p.output.size[0]), y),
          left(p, x),
          at(parts.output, p.output.steps),
          ...parts.extras.map((e, k) => at(e, p.extraSteps[k] ?? [0, 0])),
        ]),
      );
      advance(body, result, channelBytes(p.chunk));
    });
  };
  overChunks(body, p, { weight, bias, output, extras }, oneChunk, () => team.meet(body));
}

type ChunkPointers = Pick<Pointers, 'weight' | 'bias' | 'output' | 'extras'>;

/** All chunks of output channels in turn; who shares one must be through with it before the next takes its place. */
function overChunks(
  body: Body,
  p: WinogradParams,
  pointers: ChunkPointers,
  chunk: (pointers: ChunkPointers) => void,
  meet: () => void,
): void {
  if (p.chunk === p.channels) {
    chunk(pointers);
    return;
  }
  const weight = copyOf(body, pointers.weight);
  const bias = pointers.bias && copyOf(body, pointers.bias);
  const output = copyOf(body, pointers.output);
  const extras = pointers.extras.map((e) => copyOf(body, e));
  const bytes = channelBytes(p.chunk);
  const moving = [weight, output, ...(bias ? [bias] : []), ...extras];
  const steps = [
    p.inputChannels * bytes,
    bytes,
    ...(bias ? [bytes] : []),
    ...(p.epilogue?.operands ?? []).map((kind) => (kind === 'vector' ? bytes : 0)),
  ];
  nest(body, [{ count: p.channels / p.chunk, steps }], moving, () => {
    chunk({ weight, bias, output, extras });
    meet();
  });
}

/**
 * Called once for each run of tiles in order, with their number: runs what it is given where the middle one of them is in
 * a thread's share.
 */
function partOf(body: Body, share: Share | undefined): (tiles: number, run: () => void) => void {
  if (!share) return (_, run) => run();
  const tile = body.local('i32');
  body.set(tile, i32(0));
  return (tiles, run) => {
    const middle = plus(tile, tiles >> 1);
    body.if(op('i32.and', op('i32.ge_s', middle, share.first), op('i32.lt_s', middle, share.end)), run);
    advance(body, tile, tiles);
  };
}

/** Columns of the tile at `x` that are in the output. */
function left(p: WinogradParams, x: Ex<'i32'>): Ex<'i32'> {
  const rest = op('i32.sub', i32(p.output.size[1]), x);
  return select(rest, i32(p.outputs), op('i32.lt_s', rest, i32(p.outputs)));
}

/** The tiles of a block, row by row; `y` and `x` are the first output of each. */
function overTiles(
  body: Body,
  p: WinogradParams,
  { row, column, rows, columns }: Block,
  tile: (y: Local<'i32'>, x: Local<'i32'>) => void,
): void {
  const [y, x] = [body.local('i32'), body.local('i32')];
  body.set(y, row);
  body.count(0, rows, 1, () => {
    body.set(x, column);
    body.count(0, columns, 1, () => {
      tile(y, x);
      advance(body, x, p.outputs);
    });
    advance(body, y, p.outputs);
  });
}
