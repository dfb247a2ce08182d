/** Kernels that move bytes without looking at them: strided copies, fills, gathers. */
import type { Loop } from '#compiler/schedule/loops.ts';
import { type Ex, i32, i64, load, op, v128 } from '../encoder/index.ts';
import {
  advance,
  type Body,
  copyOf,
  evenestLoop,
  type KernelFamily,
  nest,
  type Pointer,
  partOf,
  plus,
  VECTOR_BYTES,
} from './family.ts';

export interface CopyParams {
  /** Steps of [input, output]; the innermost loop comes last. */
  readonly loops: readonly Loop[];
  /** Bytes that are moved together, side by side on both sides. */
  readonly bytes: number;
}

const total = (loops: readonly Loop[], bytes: number): number => loops.reduce((n, l) => n * l.count, bytes);

/** Copies `bytes` consecutive bytes per iteration of the loops. */
export const copy: KernelFamily<CopyParams> = {
  name: 'copy',
  arguments: () => ['input', 'output'],
  label: (p) => `copy_${total(p.loops, p.bytes)}`,
  pieces: (p) => evenestLoop(p.loops).pieces,
  emit(body, p, args, _, team) {
    const [input, output] = args as [Pointer, Pointer];
    const part = partOf(body, p.loops, team);
    nest(body, p.loops, [input, output], () => copyRun(body, input, output, p.bytes), part);
  },
};

/** Runs above this many vectors are left to memory.copy. */
const LONG_RUN = 64;

/** Copies a run of known length. */
export function copyRun(body: Body, input: Ex<'i32'>, output: Ex<'i32'>, bytes: number): void {
  const vectors = Math.floor(bytes / VECTOR_BYTES);
  if (vectors > LONG_RUN) {
    body.op('memory.copy', output, input, i32(bytes));
    return;
  }
  let from = input;
  let to = output;
  let at = 0;
  if (vectors > 8) {
    const source = body.local('i32');
    const target = body.local('i32');
    body.set(source, input);
    body.set(target, output);
    nest(body, [{ count: Math.floor(vectors / 4), steps: [] }], [], () => {
      for (let v = 0; v < 4; v++) copyVector(body, source, target, v * VECTOR_BYTES);
      advance(body, source, 4 * VECTOR_BYTES);
      advance(body, target, 4 * VECTOR_BYTES);
    });
    from = source;
    to = target;
    bytes -= Math.floor(vectors / 4) * 4 * VECTOR_BYTES;
  }
  for (; at + VECTOR_BYTES <= bytes; at += VECTOR_BYTES) copyVector(body, from, to, at);
  for (const [size, move] of SCALAR_MOVES) {
    for (; at + size <= bytes; at += size) move(body, from, to, at);
  }
}

const copyVector = (body: Body, from: Ex<'i32'>, to: Ex<'i32'>, offset: number): void =>
  body.store('v128.store', to, load('v128.load', from, { offset }), { offset });

type Move = (body: Body, from: Ex<'i32'>, to: Ex<'i32'>, offset: number) => void;
const SCALAR_MOVES: readonly (readonly [number, Move])[] = [
  [
    8,
    (body, from, to, offset) => body.store('i64.store', to, load('i64.load', from, { offset }), { offset }),
  ],
  [
    4,
    (body, from, to, offset) => body.store('i32.store', to, load('i32.load', from, { offset }), { offset }),
  ],
  [
    2,
    (body, from, to, offset) =>
      body.store('i32.store16', to, load('i32.load16_u', from, { offset }), { offset }),
  ],
  [
    1,
    (body, from, to, offset) =>
      body.store('i32.store8', to, load('i32.load8_u', from, { offset }), { offset }),
  ],
];

export interface TransposeParams {
  /** Steps of [input, output] around the two axes that change places. */
  readonly outer: readonly Loop[];
  /** Elements (of 4 bytes) that are side by side in the input; `rowStep` bytes apart in the output. */
  readonly columns: number;
  /** Elements that are side by side in the output; `columnStep` bytes apart in the input. */
  readonly rows: number;
  readonly inputStep: number;
  readonly outputStep: number;
}

/** Transposes matrices of 4-byte elements, four by four in registers. */
export const transpose: KernelFamily<TransposeParams> = {
  name: 'transpose',
  arguments: () => ['input', 'output'],
  label: (p) => `transpose_${total(p.outer, p.rows * p.columns)}`,
  pieces: (p) => evenestLoop(p.outer).pieces,
  emit(body, p, args, _, team) {
    const [input, output] = args as [Pointer, Pointer];
    const transposed = () => {
      const rowIn = copyOf(body, input);
      const rowOut = copyOf(body, output);
      const block = (rows: number) => {
        const from = copyOf(body, rowIn);
        const to = copyOf(body, rowOut);
        const tile = (columns: number) => {
          if (rows === 4 && columns === 4) transposeBlock(body, from, to, p);
          else {
            for (let r = 0; r < rows; r++) {
              for (let c = 0; c < columns; c++) {
                const value = load('i32.load', plus(from, r * p.inputStep), { offset: c * 4 });
                body.store('i32.store', plus(to, c * p.outputStep), value, { offset: r * 4 });
              }
            }
          }
          advance(body, from, columns * 4);
          advance(body, to, columns * p.outputStep);
        };
        if (p.columns >= 4) nest(body, [{ count: Math.floor(p.columns / 4), steps: [] }], [], () => tile(4));
        if (p.columns % 4 > 0) tile(p.columns % 4);
        advance(body, rowIn, rows * p.inputStep);
        advance(body, rowOut, rows * 4);
      };
      if (p.rows >= 4) nest(body, [{ count: Math.floor(p.rows / 4), steps: [] }], [], () => block(4));
      if (p.rows % 4 > 0) block(p.rows % 4);
    };
    nest(body, p.outer, [input, output], transposed, partOf(body, p.outer, team));
  },
};

/** Lane pairs of two vectors, as byte indices of i8x16.shuffle. */
const lanes = (...picked: readonly number[]): number[] =>
  picked.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3]);
const LOW = lanes(0, 4, 1, 5);
const HIGH = lanes(2, 6, 3, 7);
const FIRST_PAIRS = lanes(0, 1, 4, 5);
const LAST_PAIRS = lanes(2, 3, 6, 7);

function transposeBlock(body: Body, from: Pointer, to: Pointer, p: TransposeParams): void {
  const rows = [0, 1, 2, 3].map((r) => {
    const local = body.local('v128');
    body.set(local, load('v128.load', plus(from, r * p.inputStep)));
    return local;
  });
  const [a, b, c, d] = rows as [Ex<'v128'>, Ex<'v128'>, Ex<'v128'>, Ex<'v128'>];
  const pairs = [
    op('i8x16.shuffle', a, b, LOW),
    op('i8x16.shuffle', c, d, LOW),
    op('i8x16.shuffle', a, b, HIGH),
    op('i8x16.shuffle', c, d, HIGH),
  ].map((value) => {
    const local = body.local('v128');
    body.set(local, value);
    return local;
  });
  const [ab, cd, ef, gh] = pairs as [Ex<'v128'>, Ex<'v128'>, Ex<'v128'>, Ex<'v128'>];
  body.store('v128.store', to, op('i8x16.shuffle', ab, cd, FIRST_PAIRS));
  body.store('v128.store', plus(to, p.outputStep), op('i8x16.shuffle', ab, cd, LAST_PAIRS));
  body.store('v128.store', plus(to, 2 * p.outputStep), op('i8x16.shuffle', ef, gh, FIRST_PAIRS));
  body.store('v128.store', plus(to, 3 * p.outputStep), op('i8x16.shuffle', ef, gh, LAST_PAIRS));
}

export interface FillParams {
  /** Steps of [output]. */
  readonly loops: readonly Loop[];
  /** Bytes side by side that are filled per iteration. */
  readonly bytes: number;
  /** Bit pattern of one element, and its size in bytes. */
  readonly pattern: bigint;
  readonly elementBytes: 1 | 2 | 4 | 8;
}

/** Writes one value everywhere. */
export const fill: KernelFamily<FillParams> = {
  name: 'fill',
  arguments: () => ['output'],
  label: (p) => `fill_${total(p.loops, p.bytes)}`,
  emit(body, p, args) {
    const [output] = args as [Pointer];
    const byte = Number(p.pattern & 0xffn);
    const uniform = repeated(p.pattern, p.elementBytes).every((b) => b === byte);
    nest(body, p.loops, [output], () => {
      if (uniform && p.bytes >= VECTOR_BYTES * 8) {
        body.op('memory.fill', output, i32(byte), i32(p.bytes));
        return;
      }
      fillRun(body, output, p);
    });
  },
};

const repeated = (pattern: bigint, size: number): number[] =>
  Array.from({ length: 16 }, (_, i) => Number((pattern >> BigInt(8 * (i % size))) & 0xffn));

function fillRun(body: Body, output: Pointer, p: FillParams): void {
  const vectors = Math.floor(p.bytes / VECTOR_BYTES);
  const value = v128('i8x16', ...(repeated(p.pattern, p.elementBytes) as Sixteen));
  const to = copyOf(body, output);
  nest(body, vectors > 0 ? [{ count: vectors, steps: [] }] : [], [], () => {
    if (vectors === 0) return;
    body.store('v128.store', to, value);
    advance(body, to, VECTOR_BYTES);
  });
  for (let at = vectors * VECTOR_BYTES; at < p.bytes; at++) {
    const b = Number((p.pattern >> BigInt(8 * (at % p.elementBytes))) & 0xffn);
    body.store('i32.store8', output, i32(b), { offset: at });
  }
}

type Sixteen = [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];

export interface GatherParams {
  readonly indices: number;
  readonly indexBytes: 4 | 8;
  /** Size of the gathered axis. Negative indices count from its end; one outside it reads position 0. */
  readonly size: number;
  readonly inputStep: number;
  readonly outputStep: number;
  /** Around one gathered row: steps of [input, output], and the bytes that are side by side. */
  readonly inner: readonly Loop[];
  readonly bytes: number;
}

/** Copies rows of the input in the order of an index tensor. */
export const gather: KernelFamily<GatherParams> = {
  name: 'gather',
  arguments: () => ['input', 'indices', 'output'],
  label: (p) => `gather_${p.indices}x${total(p.inner, p.bytes)}`,
  emit(body, p, args) {
    const [input, indices, output] = args as [Pointer, Pointer, Pointer];
    const index = copyOf(body, indices);
    const to = copyOf(body, output);
    const from = body.local('i32');
    const i = body.local('i64');
    const size = i64(BigInt(p.size));
    nest(body, [{ count: p.indices, steps: [p.outputStep, p.indexBytes] }], [to, index], () => {
      body.set(
        i,
        p.indexBytes === 8 ? load('i64.load', index) : op('i64.extend_i32_s', load('i32.load', index)),
      );
      body.if(op('i64.lt_s', i, i64(0n)), () => body.set(i, op('i64.add', i, size)));
      body.if(op('i64.ge_u', i, size), () => body.set(i, i64(0n)));
      body.set(from, op('i32.add', input, op('i32.mul', op('i32.wrap_i64', i), i32(p.inputStep))));
      nest(body, p.inner, [from, to], () => copyRun(body, from, to, p.bytes));
    });
  },
};
