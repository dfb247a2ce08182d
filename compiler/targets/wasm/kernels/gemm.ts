/**
 * Matrix products in place: convolutions of any rank and group count, transposed-convolution phases, Gemm and MatMul.
 *
 * Channels-last data needs no im2col: for one output pixel the taps of a kernel row are one run of consecutive floats, so
 * a convolution is a product whose A rows start a fixed number of bytes apart and whose K axis is a few such runs.
 */
import type { Loop } from '#compiler/schedule/loops.ts';
import { type Ex, op } from '../encoder/index.ts';
import type { MultiplyAdd } from '../engines.ts';
import { addProduct } from '../simd-vector.ts';
import { type Share, type Team, unevenness } from '../team.ts';
import { cheapest, tilesOfWidth } from '../tiles.ts';
import {
  advance,
  advanceBy,
  type Body,
  copyOf,
  EpilogueCode,
  evenestLoop,
  type KernelEpilogue,
  type KernelFamily,
  LANES,
  loadSplat,
  loadVector,
  nest,
  overPieces,
  type PartOfLoop,
  type Pointer,
  plus,
  storeLanes,
  suffixOf,
  VECTOR_BYTES,
  type Vector,
} from './family.ts';

/** A product of any kind. Operands are read four bytes at a time: a float, or two neighbours of 16 bits. */
export interface ProductParams {
  /** Everything outside one row of pixels; steps of [input, output, weight, …epilogue operands]. */
  readonly outer: readonly Loop[];
  /** Output pixels that are computed tile by tile; steps of [input, output, …epilogue operands]. */
  readonly pixels: Loop;
  /** Groups; steps of [input, output, weight, bias, …epilogue operands]. */
  readonly groups: Loop;
  /** Kernel taps outside the runs; each has one step, of the input. */
  readonly taps: readonly Loop[];
  /** Consecutive words of four bytes of the input that are multiplied in one run; 0 where no tap reaches. */
  readonly run: number;
  /** Output channels of a group. */
  readonly channels: number;
  /** Rows of B: packed in panels of `tile[1]` columns, or as a matrix whose rows lie `bytes` apart. */
  readonly weights: { readonly kind: 'packed' } | { readonly kind: 'rows'; readonly bytes: number };
  readonly bias: boolean;
  /** Pixels × channels of a register tile. */
  readonly tile: readonly [number, number];
  readonly epilogue: KernelEpilogue | null;
  /** Results from one channel to the next, where a shuffle puts them apart; 1 unless given. */
  readonly spread?: number;
}

export interface GemmParams extends ProductParams {
  /** `separate` unless given. */
  readonly multiplyAdd?: MultiplyAdd;
}

/** What a product computes with; sums and biases are four lanes of four bytes. */
export interface Arithmetic {
  multiplyAdd(x: Vector, y: Vector, sum: Vector): Vector;
  /** A sum as the epilogue takes it. */
  finish(sum: Vector): Vector;
  /** Writes the first `lanes` lanes of a result. */
  store(body: Body, pointer: Pointer, value: Vector, lanes: number, offset: number): void;
  /** Of four results side by side. */
  readonly resultBytes: number;
  /** How polynomials in the epilogue add products. */
  readonly inEpilogue?: MultiplyAdd | undefined;
}

const floats = (how: MultiplyAdd | undefined): Arithmetic => ({
  multiplyAdd: (x, y, sum) => addProduct(how, x, y, sum),
  finish: (sum) => sum,
  store: storeLanes,
  resultBytes: VECTOR_BYTES,
  inEpilogue: how,
});

const product = (loops: readonly Loop[]): number => loops.reduce((p, loop) => p * loop.count, 1);

/** Length of the K axis. */
export const gemmDepth = (p: ProductParams): number => product(p.taps) * p.run;

export const productArguments = (p: ProductParams): string[] => [
  'input',
  'weight',
  ...(p.bias ? ['bias'] : []),
  'output',
  ...(p.epilogue?.operands ?? []).map((_, k) => `extra${k}`),
];

/** Rows × depth × channels, groups and tile. */
export const productSizes = (p: ProductParams): string =>
  `${product(p.outer) * p.pixels.count}x${gemmDepth(p)}x${p.channels}${p.groups.count > 1 ? `g${p.groups.count}` : ''}${p.spread ? '_shuffled' : ''}_${p.tile.join('x')}`;

export const productPieces = (p: ProductParams): number => divisionOf(p).pieces;

export const gemm: KernelFamily<GemmParams> = {
  name: 'gemm',
  arguments: productArguments,
  label: (p) => `f32_gemm_${productSizes(p)}${suffixOf(p.multiplyAdd)}`,
  forEngine: (p, { tiles, multiplyAdd }) => ({
    ...p,
    tile: cheapest(tilesOfWidth(tiles, p.tile[1], p.channels), p.pixels.count, p.channels),
    multiplyAdd,
  }),
  pieces: productPieces,
  emit: (body, p, args, _, team) => emitProduct(body, p, floats(p.multiplyAdd), args, team),
};

/** What a tile needs to know of its surroundings. */
interface Panel {
  readonly channels: number;
  readonly vectors: number;
  /** Bytes from one row of B to the next. */
  readonly rowBytes: number;
}

/** What threads divide a product along. */
type Division = 'outer' | 'groups' | 'panels' | 'pixels';

const panelsOf = (p: ProductParams): number => Math.ceil(p.channels / p.tile[1]);
const tileRowsOf = (p: ProductParams): number => Math.ceil(p.pixels.count / p.tile[0]);

/**
 * A division along pixels may be so much less even: the layers around are divided along them too. With more, 7×7 pixels would
 * be divided so, which two threads feel.
 */
const LOCALITY = 0.1;

/**
 * The most even division, or one along pixels that is nearly as even: then most of what a layer reads was written by the same
 * thread, and lies in a cache near it. Of equal ones, the one in which threads have the larger operand's parts to themselves.
 */
function divisionOf(p: ProductParams): { readonly along: Division; readonly pieces: number } {
  const pieces: Readonly<Record<Division, number>> = {
    outer: evenestLoop(p.outer).pieces,
    groups: p.groups.count,
    panels: panelsOf(p),
    pixels: tileRowsOf(p),
  };
  const order: readonly Division[] =
    product(p.outer) * p.pixels.count >= p.channels
      ? ['outer', 'pixels', 'groups', 'panels']
      : ['panels', 'groups', 'outer', 'pixels'];
  const loss = (division: Division): number =>
    unevenness(pieces[division]) - (division === 'outer' || division === 'pixels' ? LOCALITY : 0);
  const along = order.reduce((best, next) => (loss(next) < loss(best) ? next : best));
  return { along, pieces: pieces[along] };
}

export function emitProduct(
  body: Body,
  p: ProductParams,
  arithmetic: Arithmetic,
  args: readonly Pointer[],
  team: Team,
): void {
  const [nr] = [p.tile[1]];
  if (nr % LANES !== 0 || p.tile[0] < 1 || p.channels < 1)
    throw new RangeError(`gemm tile ${p.tile.join('x')}`);
  const at = p.bias ? 3 : 2;
  const [input, weight] = args as [Pointer, Pointer];
  const output = args[at] as Pointer;
  const bias = p.bias ? args[2] : undefined;
  const extras = args.slice(at + 1);
  const epilogue = new EpilogueCode(body, p.epilogue, arithmetic.inEpilogue);
  const { along, pieces } = divisionOf(p);
  const share = pieces > 1 ? team.share(body, pieces) : undefined;
  const mine = (division: Division): Share | undefined => (along === division ? share : undefined);
  const part = (division: Division, level: number): PartOfLoop | undefined => {
    const own = mine(division);
    return own && { level, share: own };
  };
  const code = new TileCode(body, p, arithmetic, epilogue, mine('pixels'));
  const oneImage = () => {
    const grouped = [input, output, weight, bias ?? input, ...extras];
    const steps = bias ? p.groups.steps : p.groups.steps.map((s, k) => (k === 3 ? 0 : s));
    const oneGroup = () => {
      const w = copyOf(body, weight);
      const b = bias ? copyOf(body, bias) : undefined;
      const out = copyOf(body, output);
      const more = extras.map((extra, k) =>
        epilogue.operands[k] === 'vector' ? copyOf(body, extra) : extra,
      );
      const panels = Math.floor(p.channels / nr);
      const rest = p.channels % nr;
      const panel = (channels: number) => {
        const vectors = Math.ceil(channels / LANES);
        const rowBytes = p.weights.kind === 'packed' ? vectors * VECTOR_BYTES : p.weights.bytes;
        code.panel({ channels, vectors, rowBytes }, { input, weight: w, bias: b, output: out, extras: more });
        advance(body, w, p.weights.kind === 'packed' ? gemmDepth(p) * rowBytes : vectors * VECTOR_BYTES);
        if (b) advance(body, b, vectors * VECTOR_BYTES);
        advance(body, out, vectors * code.resultBytes);
        more.forEach((extra, k) => {
          if (epilogue.operands[k] === 'vector') advance(body, extra, vectors * VECTOR_BYTES);
        });
      };
      overPieces(body, panels, mine('panels'), {
        skip: (first) => {
          const panelBytes = (nr / LANES) * VECTOR_BYTES;
          const whole = p.weights.kind === 'packed' ? gemmDepth(p) * panelBytes : panelBytes;
          advanceBy(body, w, first, whole);
          if (b) advanceBy(body, b, first, panelBytes);
          advanceBy(body, out, first, (nr / LANES) * code.resultBytes);
          more.forEach((extra, k) => {
            if (epilogue.operands[k] === 'vector') advanceBy(body, extra, first, panelBytes);
          });
        },
        piece: () => panel(nr),
        rest: rest > 0 ? () => panel(rest) : undefined,
      });
    };
    nest(body, [{ count: p.groups.count, steps }], grouped, oneGroup, part('groups', 0));
  };
  const moving = [input, output, weight, ...extras];
  nest(body, p.outer, moving, oneImage, part('outer', evenestLoop(p.outer).level));
}

interface PanelPointers {
  readonly input: Pointer;
  readonly weight: Pointer;
  readonly bias: Pointer | undefined;
  readonly output: Pointer;
  readonly extras: readonly Pointer[];
}

class TileCode {
  readonly #body: Body;
  readonly #p: ProductParams;
  readonly #arithmetic: Arithmetic;
  readonly #epilogue: EpilogueCode;
  /** Of the rows of tiles. */
  readonly #share: Share | undefined;

  constructor(
    body: Body,
    p: ProductParams,
    arithmetic: Arithmetic,
    epilogue: EpilogueCode,
    share: Share | undefined,
  ) {
    this.#share = share;
    this.#body = body;
    this.#p = p;
    this.#arithmetic = arithmetic;
    this.#epilogue = epilogue;
  }

  /** From four results to the next four. */
  get resultBytes(): number {
    return this.#arithmetic.resultBytes * (this.#p.spread ?? 1);
  }

  /** All pixels of one panel of output channels. */
  panel(panel: Panel, pointers: PanelPointers): void {
    const body = this.#body;
    const { pixels, tile } = this.#p;
    const [mr] = tile;
    const moving = [
      copyOf(body, pointers.input),
      copyOf(body, pointers.output),
      ...pointers.extras.map((e) => copyOf(body, e)),
    ];
    const [input, output, ...extras] = moving as [Pointer, Pointer, ...Pointer[]];
    const run = (rows: number) => {
      this.#tile(rows, panel, { ...pointers, input, output, extras });
      moving.forEach((pointer, k) => {
        advance(body, pointer, rows * (pixels.steps[k] ?? 0));
      });
    };
    const rest = pixels.count % mr;
    overPieces(body, Math.floor(pixels.count / mr), this.#share, {
      skip: (first) => {
        moving.forEach((pointer, k) => {
          advanceBy(body, pointer, first, mr * (pixels.steps[k] ?? 0));
        });
      },
      piece: () => run(mr),
      rest: rest > 0 ? () => run(rest) : undefined,
    });
  }

  /** One register tile: `rows` pixels of one panel. */
  #tile(rows: number, panel: Panel, { input, weight, bias, output, extras }: PanelPointers): void {
    const body = this.#body;
    const arithmetic = this.#arithmetic;
    const { pixels, taps, run, spread = 1 } = this.#p;
    const { vectors } = panel;
    const [inStep = 0, outStep = 0] = pixels.steps;
    const acc = body.locals('v128', rows * vectors);
    for (let m = 0; m < rows; m++) {
      for (let v = 0; v < vectors; v++) {
        const zero: Vector = op('v128.const', new Array<number>(16).fill(0));
        body.set(acc.at(m * vectors + v), bias ? loadVector(bias, v * VECTOR_BYTES) : zero);
      }
    }
    if (run > 0) {
      const a = copyOf(body, input);
      const b = copyOf(body, weight);
      const end = body.local('i32');
      const columns = body.locals('v128', vectors);
      const splat = body.local('v128');
      nest(body, taps, [a], () => {
        body.set(end, plus(a, run * 4));
        body.loop((again) => {
          for (let v = 0; v < vectors; v++) body.set(columns.at(v), loadVector(b, v * VECTOR_BYTES));
          for (let m = 0; m < rows; m++) {
            body.set(splat, loadSplat(a, m * inStep));
            for (let v = 0; v < vectors; v++) {
              const sum = acc.at(m * vectors + v);
              body.set(sum, arithmetic.multiplyAdd(splat, columns.at(v), sum));
            }
          }
          advance(body, b, panel.rowBytes);
          advance(body, a, 4);
          body.brIf(again, op('i32.ne', a as Ex<'i32'>, end));
        });
        advance(body, a, -run * 4);
      });
    }
    for (let m = 0; m < rows; m++) {
      for (let v = 0; v < vectors; v++) {
        const operands = extras.map((pointer, k) => ({
          pointer,
          offset:
            m * (pixels.steps[k + 2] ?? 0) + (this.#epilogue.operands[k] === 'vector' ? v * VECTOR_BYTES : 0),
        }));
        const value = this.#epilogue.apply(body, arithmetic.finish(acc.at(m * vectors + v)), operands);
        const offset = m * outStep + v * this.resultBytes;
        const lanes = panel.channels - v * LANES;
        if (spread === 1) arithmetic.store(body, output, value, lanes, offset);
        else storeApart(body, output, value, lanes, offset, spread);
      }
    }
  }
}

/** Stores the first `lanes` floats of a vector, `spread` floats apart. */
function storeApart(
  body: Body,
  pointer: Pointer,
  value: Vector,
  lanes: number,
  offset: number,
  spread: number,
): void {
  const held = body.local('v128');
  body.set(held, value);
  for (let lane = 0; lane < Math.min(lanes, LANES); lane++)
    body.op('v128.store32_lane', pointer, held, lane as 0 | 1 | 2 | 3, {
      offset: offset + lane * spread * 4,
    });
}
