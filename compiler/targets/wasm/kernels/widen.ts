/** Bytes as 16-bit integers, less their zero point. */
import type { Loop } from '#compiler/schedule/loops.ts';
import { type Ex, load, op } from '../encoder/index.ts';
import {
  advance,
  type Body,
  copyOf,
  evenestLoop,
  type KernelFamily,
  nest,
  type Pointer,
  partOf,
  type Vector,
} from './family.ts';

export interface WidenParams {
  readonly from: 'u8' | 'i8';
  /** Steps of [input, output, zero point]. */
  readonly outer: readonly Loop[];
  /** Elements of a line, which share a zero point, and the bytes from one to the next: [input, output]. */
  readonly count: number;
  readonly steps: readonly [number, number];
  /** Without one, zero is 0. */
  readonly zero: boolean;
}

/** Elements of a vector of results. */
const WIDTH = 8;
const UNROLL = 2;

export const widen: KernelFamily<WidenParams> = {
  name: 'widen',
  arguments: (p) => ['input', ...(p.zero ? ['zero'] : []), 'output'],
  label: (p) => `${p.from}_widen_${p.outer.reduce((n, l) => n * l.count, p.count)}`,
  pieces: (p) => evenestLoop(p.outer).pieces,
  emit(body, p, args, _, team) {
    const [input] = args as [Pointer];
    const output = args[args.length - 1] as Pointer;
    const zero = p.zero ? args[1] : undefined;
    const line = p.steps[0] === 1 && p.count >= WIDTH ? vectorLine : scalarLine;
    nest(
      body,
      p.outer,
      [input, output, ...(zero ? [zero] : [])],
      () => line(body, p, input, output, zero),
      partOf(body, p.outer, team),
    );
  },
};

const byteAt = ({ from }: WidenParams, pointer: Pointer): Ex<'i32'> =>
  from === 'i8' ? load('i32.load8_s', pointer) : load('i32.load8_u', pointer);

function vectorLine(body: Body, p: WidenParams, input: Pointer, output: Pointer, zero?: Pointer): void {
  const shift = body.local('v128');
  if (zero) body.set(shift, op('i16x8.splat', byteAt(p, zero)));
  const [from, to] = [copyOf(body, input), copyOf(body, output)];
  const [, step] = p.steps;
  const held = body.local('v128');
  const vector = (at: number): void => {
    const memory = { offset: at };
    const wide: Vector =
      p.from === 'i8' ? load('v128.load8x8_s', from, memory) : load('v128.load8x8_u', from, memory);
    const value = zero ? op('i16x8.sub', wide, shift) : wide;
    if (step === 2) {
      body.store('v128.store', to, value, { offset: step * at });
      return;
    }
    body.set(held, value);
    for (let i = 0; i < WIDTH; i++) body.op('v128.store16_lane', to, held, i, { offset: step * (at + i) });
  };
  const several = (vectors: number): void => {
    for (let v = 0; v < vectors; v++) vector(v * WIDTH);
    advance(body, from, vectors * WIDTH);
    advance(body, to, step * vectors * WIDTH);
  };
  const vectors = Math.floor(p.count / WIDTH);
  nest(body, [{ count: Math.floor(vectors / UNROLL), steps: [] }], [], () => {
    if (vectors >= UNROLL) several(UNROLL);
  });
  if (vectors % UNROLL > 0) several(vectors % UNROLL);
  const rest = p.count % WIDTH;
  if (rest === 0) return;
  // the last vector overlaps the one before
  advance(body, from, rest - WIDTH);
  advance(body, to, step * (rest - WIDTH));
  vector(0);
}

function scalarLine(body: Body, p: WidenParams, input: Pointer, output: Pointer, zero?: Pointer): void {
  const [from, to] = [copyOf(body, input), copyOf(body, output)];
  const shift = body.local('i32');
  if (zero) body.set(shift, byteAt(p, zero));
  nest(body, [{ count: p.count, steps: p.steps }], [from, to], () => {
    body.store('i32.store16', to, zero ? op('i32.sub', byteAt(p, from), shift) : byteAt(p, from));
  });
}
