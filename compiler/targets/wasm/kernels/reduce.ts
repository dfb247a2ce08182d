/** Reductions over any axes, and softmax along one. */

import type { Loop } from '#compiler/schedule/loops.ts';
import { parseExpr } from '#ir/expr.ts';
import { type Ex, op, v128 } from '../encoder/index.ts';
import { SimdExpr } from '../simd-expr.ts';
import {
  advance,
  type Body,
  copyOf,
  evenestLoop,
  type KernelFamily,
  LANES,
  loadSplat,
  loadVector,
  nest,
  type Pointer,
  partOf,
  storeLanes,
  VECTOR_BYTES,
  type Vector,
} from './family.ts';

export type Combine = 'add' | 'mul' | 'max' | 'min';

const COMBINE: Record<Combine, { readonly start: number; join(a: Vector, b: Vector): Vector }> = {
  add: { start: 0, join: (a, b) => op('f32x4.add', a, b) },
  mul: { start: 1, join: (a, b) => op('f32x4.mul', a, b) },
  max: { start: Number.NEGATIVE_INFINITY, join: (a, b) => op('f32x4.max', a, b) },
  min: { start: Number.POSITIVE_INFINITY, join: (a, b) => op('f32x4.min', a, b) },
};

export const splat = (value: number): Vector => v128('f32x4', value, value, value, value);

export interface ReduceParams {
  readonly combine: Combine;
  /** Applied to each element before combining, and to the result: expressions of x0. */
  readonly before: string;
  readonly after: string;
  /** Axes that stay; steps of [input, output]. */
  readonly kept: readonly Loop[];
  /** Axes that go; steps of [input]. */
  readonly reduced: readonly Loop[];
  /**
   * What lies side by side: `kept` elements give results side by side; `reduced` elements are combined across lanes;
   * `none`: single elements.
   */
  readonly inner: { readonly kind: 'kept' | 'reduced' | 'none'; readonly count: number };
}

export const reduce: KernelFamily<ReduceParams> = {
  name: 'reduce',
  arguments: () => ['input', 'output'],
  label: (p) =>
    `f32_reduce_${p.combine}_${[...p.kept, ...p.reduced].reduce((n, l) => n * l.count, p.inner.count)}`,
  pieces: (p) => evenestLoop(p.kept).pieces,
  emit(body, p, args, _, team) {
    const [input, output] = args as [Pointer, Pointer];
    const before = new SimdExpr(parseExpr(p.before), body);
    const after = new SimdExpr(parseExpr(p.after), body);
    const store = (acc: Ex<'v128'>, lanes: number, offset: number) => {
      const held = body.local('v128');
      body.set(held, acc);
      storeLanes(body, output, after.render([held]), lanes, offset);
    };
    const { start, join } = COMBINE[p.combine];
    const result = () => {
      if (p.inner.kind === 'kept') {
        const columns = (vectors: number, lanes: number) => {
          const acc = body.locals('v128', vectors);
          for (let v = 0; v < vectors; v++) body.set(acc.at(v), splat(start));
          const from = copyOf(body, input);
          nest(body, p.reduced, [from], () => {
            for (let v = 0; v < vectors; v++) {
              const x = body.local('v128');
              body.set(x, loadVector(from, v * VECTOR_BYTES));
              body.set(acc.at(v), join(acc.at(v), before.render([x])));
            }
          });
          for (let v = 0; v < vectors; v++) store(acc.at(v), lanes, v * VECTOR_BYTES);
        };
        overColumns(body, p.inner.count, [input, output], columns);
        return;
      }
      const acc = body.local('v128');
      body.set(acc, splat(start));
      const from = copyOf(body, input);
      nest(body, p.reduced, [from], () => {
        const x = body.local('v128');
        if (p.inner.kind === 'none') {
          body.set(x, loadSplat(from));
          body.set(acc, join(acc, before.render([x])));
          return;
        }
        alongRow(body, from, p.inner.count, (vector, lanes) => {
          body.set(x, vector);
          body.set(acc, join(acc, onlyLanes(before.render([x]), lanes, start)));
        });
      });
      const combined = p.inner.kind === 'none' ? acc : acrossLanes(body, acc, join);
      store(combined, 1, 0);
    };
    nest(body, p.kept, [input, output], result, partOf(body, p.kept, team));
  },
};

/** Goes through `count` side-by-side columns, up to four vectors at a time; the pointers end where they began. */
function overColumns(
  body: Body,
  count: number,
  moving: readonly Pointer[],
  columns: (vectors: number, lanes: number) => void,
): void {
  const step = (vectors: number) => {
    for (const pointer of moving) advance(body, pointer, vectors * VECTOR_BYTES);
  };
  const whole = Math.floor(count / LANES);
  const blocks = Math.floor(whole / 4);
  if (blocks > 0) {
    nest(body, [{ count: blocks, steps: [] }], [], () => {
      columns(4, LANES);
      step(4);
    });
  }
  for (let v = blocks * 4; v < whole; v++) {
    columns(1, LANES);
    step(1);
  }
  if (count % LANES > 0) {
    columns(1, count % LANES);
    step(1);
  }
  step(-Math.ceil(count / LANES));
}

/** Reads `count` floats as vectors; the last one may count only some of its lanes. */
function alongRow(
  body: Body,
  row: Pointer,
  count: number,
  use: (vector: Vector, lanes: number) => void,
): void {
  const whole = Math.floor(count / LANES);
  const at = copyOf(body, row);
  if (whole > 0) {
    nest(body, [{ count: whole, steps: [] }], [], () => {
      use(loadVector(at), LANES);
      advance(body, at, VECTOR_BYTES);
    });
  }
  if (count % LANES > 0) use(loadVector(at), count % LANES);
}

/** The first `lanes` lanes of a vector, `neutral` in the others. */
function onlyLanes(vector: Vector, lanes: number, neutral: number): Vector {
  if (lanes >= LANES) return vector;
  const keep = [0, 1, 2, 3].map((lane) => (lane < lanes ? -1 : 0)) as [number, number, number, number];
  return op('v128.bitselect', vector, splat(neutral), v128('i32x4', ...keep));
}

const SWAP_HALVES = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7];
const SWAP_PAIRS = [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11];

/** Combines the four lanes; every lane of the result holds it. */
function acrossLanes(body: Body, acc: Ex<'v128'>, join: (a: Vector, b: Vector) => Vector): Ex<'v128'> {
  const held = body.local('v128');
  body.set(held, acc);
  body.set(held, join(held, op('i8x16.shuffle', held, held, SWAP_HALVES)));
  body.set(held, join(held, op('i8x16.shuffle', held, held, SWAP_PAIRS)));
  return held;
}

export interface SoftmaxParams {
  /** Everything but the axis; steps of [input, output]. */
  readonly outer: readonly Loop[];
  /** The axis: its length, and bytes between its elements in input and output. */
  readonly length: number;
  readonly inputStep: number;
  readonly outputStep: number;
  /** 1, or the number of side-by-side columns that are normalised independently. */
  readonly columns: number;
}

/** exp(x − max) / Σ exp(x − max) along one axis. */
export const softmax: KernelFamily<SoftmaxParams> = {
  name: 'softmax',
  arguments: () => ['input', 'output'],
  label: (p) => `f32_softmax_${p.outer.reduce((n, l) => n * l.count, p.columns)}x${p.length}`,
  pieces: (p) => evenestLoop(p.outer).pieces,
  emit(body, p, args, _, team) {
    const [input, output] = args as [Pointer, Pointer];
    const shifted = new SimdExpr(parseExpr('exp(sub(x0, x1))'), body);
    const { join: larger, start: lowest } = COMBINE.max;
    const { join: sum } = COMBINE.add;
    const dense = p.columns === 1 && p.inputStep === 4 && p.outputStep === 4;
    const rows = () => {
      if (dense) {
        softmaxRow(body, p.length, input, output, shifted);
        return;
      }
      overColumns(body, p.columns, [input, output], (vectors, lanes) => {
        const read = (from: Pointer, v: number) =>
          p.columns === 1 ? loadSplat(from) : loadVector(from, v * VECTOR_BYTES);
        for (let v = 0; v < vectors; v++) {
          const top = body.local('v128');
          const total = body.local('v128');
          const x = body.local('v128');
          const from = copyOf(body, input);
          const to = copyOf(body, output);
          body.set(top, splat(lowest));
          nest(body, [{ count: p.length, steps: [p.inputStep] }], [from], () => {
            body.set(top, larger(top, read(from, v)));
          });
          body.set(total, splat(0));
          nest(body, [{ count: p.length, steps: [p.inputStep, p.outputStep] }], [from, to], () => {
            body.set(x, shifted.render([held(body, read(from, v)), top]));
            body.set(total, sum(total, x));
            storeLanes(body, to, x, lanes, v * VECTOR_BYTES);
          });
          body.set(total, op('f32x4.div', splat(1), total));
          nest(body, [{ count: p.length, steps: [p.outputStep] }], [to], () => {
            storeLanes(body, to, op('f32x4.mul', read(to, v), total), lanes, v * VECTOR_BYTES);
          });
        }
      });
    };
    nest(body, p.outer, [input, output], rows, partOf(body, p.outer, team));
  },
};

function held(body: Body, value: Vector): Ex<'v128'> {
  const local = body.local('v128');
  body.set(local, value);
  return local;
}

function softmaxRow(body: Body, length: number, input: Pointer, output: Pointer, shifted: SimdExpr): void {
  const { join: larger, start: lowest } = COMBINE.max;
  const acc = body.local('v128');
  body.set(acc, splat(lowest));
  alongRow(body, input, length, (vector, lanes) =>
    body.set(acc, larger(acc, onlyLanes(vector, lanes, lowest))),
  );
  const top = acrossLanes(body, acc, larger);
  const total = body.local('v128');
  body.set(total, splat(0));
  const to = copyOf(body, output);
  alongRow(body, input, length, (vector, lanes) => {
    const x = held(body, shifted.render([held(body, vector), top]));
    body.set(total, op('f32x4.add', total, onlyLanes(x, lanes, 0)));
    storeLanes(body, to, x, lanes);
    advance(body, to, VECTOR_BYTES);
  });
  const scale = held(body, op('f32x4.div', splat(1), acrossLanes(body, total, COMBINE.add.join)));
  const again = copyOf(body, output);
  alongRow(body, output, length, (vector, lanes) => {
    storeLanes(body, again, op('f32x4.mul', vector, scale), lanes);
    advance(body, again, VECTOR_BYTES);
  });
}
