/** What every kernel family has in common. */

import type { Loop } from '#compiler/schedule/loops.ts';
import { type Expr, parseExpr } from '#ir/expr.ts';
import {
  type Ex,
  type FunctionBody,
  i32,
  type Local,
  load,
  op,
  type ParamLocals,
  type Params,
  select,
} from '../encoder/index.ts';
import type { Engine, MultiplyAdd } from '../engines.ts';
import { SimdExpr } from '../simd-expr.ts';
import { type Share, type Team, unevenness } from '../team.ts';
import type { WasmKernel } from './index.ts';

export type Body = FunctionBody<readonly []>;
export type Pointer = Local<'i32'>;
export type Vector = Ex<'v128'>;

/** Kernel parameters are plain data: equal parameters, one function. */
export type KernelParams = object;

/** One kind of kernel. `P` says everything but the addresses, which are arguments of the function. */
export interface KernelFamily<P extends KernelParams> {
  readonly name: string;
  /** Names of the address arguments, in call order. */
  arguments(params: P): readonly string[];
  /** A short name derived from the parameters, for the name section and the profiler. */
  label(params: P): string;
  /** Kernels that this one calls; each is a function of its own. */
  parts?(params: P): readonly WasmKernel[];
  /** The same kernel, over the same data, as it is best for an engine; it stays as it is where this is missing. */
  forEngine?(params: P, engine: Engine): P;
  /**
   * Pieces of about equal size that threads divide among themselves, as `emit` then does; where this is missing, or there
   * is but one, one thread does it all.
   */
  pieces?(params: P): number;
  /** Whether each thread calls the parts for itself; else threads share what is in a part too. */
  partsAlone?(params: P): boolean;
  emit(body: Body, params: P, args: readonly Pointer[], call: KernelCaller, team: Team): void;
}

/** Calls one of a kernel's parts with its arguments in order: addresses, or other numbers that it takes. */
export type KernelCaller = (part: WasmKernel, args: readonly Ex<'i32'>[]) => void;

export const addressParams = (names: readonly string[]): Params =>
  Object.fromEntries(names.map((name) => [name, 'i32' as const]));

export const pointers = (names: readonly string[], locals: ParamLocals<Params>): Pointer[] =>
  names.map((name) => locals[name] as Pointer);

/** An epilogue in kernel parameters: the expression as text, and how each extra operand's channels are read. */
export interface KernelEpilogue {
  readonly expr: string;
  /** `vector`: the operand has a value per channel, side by side; `splat`: one for all channels. */
  readonly operands: readonly ('vector' | 'splat')[];
}

export const LANES = 4;
export const VECTOR_BYTES = 16;

/** Vectors that hold a value per channel. */
export const vectorsOf = (channels: number): number => Math.ceil(channels / LANES);
/** Bytes of a value per channel, padded to whole vectors. */
export const channelBytes = (channels: number): number => vectorsOf(channels) * VECTOR_BYTES;

export const advance = (body: Body, pointer: Pointer, bytes: number): void => {
  if (bytes !== 0) body.set(pointer, op('i32.add', pointer, i32(bytes)));
};

export const plus = (pointer: Ex<'i32'>, bytes: number): Ex<'i32'> =>
  bytes === 0 ? pointer : op('i32.add', pointer, i32(bytes));

/** A part of the iterations of one loop of a nest. */
export interface PartOfLoop {
  readonly level: number;
  readonly share: Share;
}

/**
 * Runs `inner` for every iteration of `loops`; pointer k moves by step k and is back where it was afterwards.
 * @param part where only a thread's share is to be run
 */
export function nest(
  body: Body,
  loops: readonly Loop[],
  moving: readonly Pointer[],
  inner: () => void,
  part?: PartOfLoop,
): void {
  const [loop, ...rest] = loops;
  if (!loop) {
    inner();
    return;
  }
  const within = part && { ...part, level: part.level - 1 };
  if (part?.level === 0) {
    const { first, end } = part.share;
    moving.forEach((pointer, k) => {
      advanceBy(body, pointer, first, loop.steps[k] ?? 0);
    });
    body.count(first, end, 1, () => {
      nest(body, rest, moving, inner);
      moving.forEach((pointer, k) => {
        advance(body, pointer, loop.steps[k] ?? 0);
      });
    });
    moving.forEach((pointer, k) => {
      advanceBy(body, pointer, end, -(loop.steps[k] ?? 0));
    });
    return;
  }
  if (loop.count === 1) {
    nest(body, rest, moving, inner, within);
    return;
  }
  body.count(0, loop.count, 1, () => {
    nest(body, rest, moving, inner, within);
    moving.forEach((pointer, k) => {
      advance(body, pointer, loop.steps[k] ?? 0);
    });
  });
  moving.forEach((pointer, k) => {
    advance(body, pointer, -(loop.steps[k] ?? 0) * loop.count);
  });
}

/** Moves a pointer by so many steps. */
export const advanceBy = (body: Body, pointer: Pointer, steps: Ex<'i32'>, bytes: number): void => {
  if (bytes !== 0) body.set(pointer, op('i32.add', pointer, op('i32.mul', steps, i32(bytes))));
};

/** The loop that threads divide most evenly, and how many pieces that makes; one piece where there are no loops. */
export function evenestLoop(loops: readonly Loop[]): { readonly level: number; readonly pieces: number } {
  let best = { level: 0, pieces: 1 };
  loops.forEach(({ count }, level) => {
    if (unevenness(count) < unevenness(best.pieces)) best = { level, pieces: count };
  });
  return best;
}

/** The current thread's part of the loop that is divided most evenly. */
export function partOf(body: Body, loops: readonly Loop[], team: Team): PartOfLoop | undefined {
  const { level, pieces } = evenestLoop(loops);
  const share = pieces > 1 ? team.share(body, pieces) : undefined;
  return share && { level, share };
}

export interface Pieces {
  /** Moves the pointers over so many pieces. */
  skip(first: Ex<'i32'>): void;
  /** One whole piece, which moves the pointers on. */
  piece(): void;
  /** What is left after the last whole piece. */
  readonly rest: (() => void) | undefined;
}

/** All whole pieces and the rest, or a thread's share of them; the rest is a piece of its own. */
export function overPieces(
  body: Body,
  whole: number,
  share: Share | undefined,
  { skip, piece, rest }: Pieces,
): void {
  if (!share) {
    if (whole > 0) nest(body, [{ count: whole, steps: [] }], [], piece);
    rest?.();
    return;
  }
  skip(share.first);
  if (!rest) {
    body.count(share.first, share.end, 1, piece);
    return;
  }
  const last = op('i32.gt_s', share.end, i32(whole));
  const end = body.local('i32');
  body.set(end, select(i32(whole), share.end, last));
  body.count(share.first, end, 1, piece);
  body.if(last, rest);
}

/** What it adds to a kernel's label. */
export const suffixOf = (how: MultiplyAdd | undefined): string => (how === 'relaxed' ? '_fma' : '');

/** A copy of a pointer that may be moved freely. */
export function copyOf(body: Body, pointer: Pointer, bytes = 0): Pointer {
  const local = body.local('i32');
  body.set(local, plus(pointer, bytes));
  return local;
}

/** Address + constant offset, the offset folded into the instruction where it is not negative. */
export const loadVector = (pointer: Ex<'i32'>, offset = 0): Vector =>
  offset < 0 ? load('v128.load', plus(pointer, offset)) : load('v128.load', pointer, { offset });
export const loadSplat = (pointer: Ex<'i32'>, offset = 0): Vector =>
  offset < 0
    ? load('v128.load32_splat', plus(pointer, offset))
    : load('v128.load32_splat', pointer, { offset });

/** Stores the first `lanes` lanes of a vector, and touches nothing behind them. */
export function storeLanes(body: Body, pointer: Ex<'i32'>, value: Vector, lanes: number, offset = 0): void {
  if (lanes >= LANES) {
    body.store('v128.store', pointer, value, { offset });
    return;
  }
  const held = body.local('v128');
  body.set(held, value);
  if (lanes >= 2) body.op('v128.store64_lane', pointer, held, 0, { offset });
  if (lanes === 1) body.op('v128.store32_lane', pointer, held, 0, { offset });
  if (lanes === 3) body.op('v128.store32_lane', pointer, held, 2, { offset: offset + 8 });
}

/** The code of an epilogue in one function. */
export class EpilogueCode {
  readonly #code: SimdExpr | undefined;
  readonly operands: KernelEpilogue['operands'];

  /** @param multiplyAdd how functions that are polynomials add products */
  constructor(body: Body, epilogue: KernelEpilogue | null, multiplyAdd?: MultiplyAdd) {
    this.operands = epilogue?.operands ?? [];
    const expr: Expr | undefined = epilogue ? parseExpr(epilogue.expr) : undefined;
    this.#code = expr ? new SimdExpr(expr, body, multiplyAdd) : undefined;
  }

  /** The stored value of `acc`; operand k is read at `extras[k] + offsets[k]`. */
  apply(body: Body, acc: Vector, extras: readonly { pointer: Ex<'i32'>; offset: number }[]): Vector {
    if (!this.#code) return acc;
    const args = [
      acc,
      ...extras.map(({ pointer, offset }, k) => {
        const local = body.local('v128');
        body.set(
          local,
          this.operands[k] === 'splat' ? loadSplat(pointer, offset) : loadVector(pointer, offset),
        );
        return local;
      }),
    ];
    return this.#code.render(args);
  }
}
