/** Kernels whose result has as many rows as there is to find: they fill the rest with zeros and write the count. */
import type { SuppressParams } from '#compiler/schedule/operands.ts';
import { bytesOf, type DType, product } from '#ir/types.ts';
import { type Ex, f32, i32, type Local, load, op, select } from '../encoder/index.ts';
import { advance, type Body, copyOf, type KernelFamily, type Pointer } from './family.ts';
import { domainOf, loadScalar } from './scalar.ts';

export interface NonZeroParams {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

const WIDE = 8;

/** Clears what lies between two addresses. */
function clear(body: Body, from: Ex<'i32'>, to: Ex<'i32'>): void {
  const start = body.local('i32');
  body.set(start, from);
  body.op('memory.fill', start, i32(0), op('i32.sub', to, start));
}

/** Positions of elements that are not 0, one row of i64 per axis. */
export const nonZero: KernelFamily<NonZeroParams> = {
  name: 'nonZero',
  arguments: () => ['input', 'output', 'count'],
  label: (p) => `${p.dtype}_nonzero_${product(p.shape)}`,
  emit(body, p, args) {
    const [input, output, count] = args as [Pointer, Pointer, Pointer];
    const room = product(p.shape);
    const from = copyOf(body, input);
    const found = body.local('i32');
    const slot = (axis: number): Ex<'i32'> =>
      op('i32.add', output, op('i32.mul', op('i32.add', found, i32(axis * room)), i32(WIDE)));
    const visit = (positions: readonly Local<'i32'>[]): void => {
      const size = p.shape[positions.length];
      if (size !== undefined) {
        body.count(0, size, 1, (i) => visit([...positions, i]));
        return;
      }
      const zero =
        domainOf(p.dtype) === 'f64'
          ? op('f64.ne', loadScalar(p.dtype, from, 'f64'), 0)
          : op('i64.ne', loadScalar(p.dtype, from, 'i64'), 0n);
      body.if(zero, () => {
        positions.forEach((at, axis) => {
          body.store('i64.store', slot(axis), op('i64.extend_i32_u', at));
        });
        body.set(found, op('i32.add', found, i32(1)));
      });
      advance(body, from, bytesOf(p.dtype));
    };
    body.set(found, i32(0));
    visit([]);
    p.shape.forEach((_, axis) => {
      clear(body, slot(axis), op('i32.add', output, i32((axis + 1) * room * WIDE)));
    });
    body.store('i64.store', count, op('i64.extend_i32_u', found));
  },
};

const ROW_BYTES = 3 * WIDE;

interface Box {
  readonly low: readonly [Local<'f32'>, Local<'f32'>];
  readonly high: readonly [Local<'f32'>, Local<'f32'>];
}

/** Greedy non-maximum suppression: takes the best box that is left, and drops those that overlap it too much. */
export const suppress: KernelFamily<SuppressParams> = {
  name: 'suppress',
  arguments: (p) => ['boxes', 'scores', ...p.given, 'candidates', 'output', 'count'],
  label: (p) => `suppress_${p.batches}x${p.classes}x${p.boxes}`,
  emit(body, p, args) {
    const [boxes, scores] = args as [Pointer, Pointer];
    const [candidates, output, count] = args.slice(-3) as [Pointer, Pointer, Pointer];
    const limit = (name: 'most' | 'iou' | 'score'): Pointer | undefined => {
      const at = p.given.indexOf(name);
      return at < 0 ? undefined : (args[2 + at] as Pointer);
    };
    const [iouAt, scoreAt, mostAt] = [limit('iou'), limit('score'), limit('most')];
    const code = new SuppressCode(body, p, {
      iou: iouAt ? load('f32.load', iouAt) : f32(0),
      score: scoreAt ? load('f32.load', scoreAt) : f32(Number.NEGATIVE_INFINITY),
    });
    const row = copyOf(body, output);
    const most = body.local('i32');
    if (mostAt) {
      const wanted = body.local('i64');
      body.set(wanted, load('i64.load', mostAt));
      const low = select(wanted as Ex<'i64'>, 0n, op('i64.gt_s', wanted, 0n));
      body.set(wanted, low);
      body.set(most, select(op('i32.wrap_i64', wanted), i32(p.most), op('i64.lt_s', wanted, BigInt(p.most))));
    } else body.set(most, i32(0));
    const box = copyOf(body, boxes);
    const score = copyOf(body, scores);
    body.count(0, p.batches, 1, (batch) => {
      body.count(0, p.classes, 1, (cls) => {
        code.class({ box, score, candidates, row, most, batch, cls });
        advance(body, score, p.boxes * 4);
      });
      advance(body, box, p.boxes * 16);
    });
    clear(body, row, op('i32.add', output, i32(p.batches * p.classes * p.most * ROW_BYTES)));
    const found = op('i32.div_u', op('i32.sub', row, output), i32(ROW_BYTES));
    body.store('i64.store', count, op('i64.extend_i32_u', found));
  },
};

interface ClassPointers {
  readonly box: Pointer;
  readonly score: Pointer;
  readonly candidates: Pointer;
  readonly row: Pointer;
  readonly most: Local<'i32'>;
  readonly batch: Local<'i32'>;
  readonly cls: Local<'i32'>;
}

class SuppressCode {
  readonly #body: Body;
  readonly #p: SuppressParams;
  readonly #iou: Local<'f32'>;
  readonly #score: Local<'f32'>;

  constructor(body: Body, p: SuppressParams, limits: { iou: Ex<'f32'>; score: Ex<'f32'> }) {
    this.#body = body;
    this.#p = p;
    this.#iou = this.#held(limits.iou);
    this.#score = this.#held(limits.score);
  }

  /** All boxes of one class: each pass over the candidates drops some and finds the best of the rest. */
  class({ box, score, candidates, row, most, batch, cls }: ClassPointers): void {
    const body = this.#body;
    const [left, best, bestScore, taken] = [
      body.local('i32'),
      body.local('i32'),
      body.local('f32'),
      body.local('i32'),
    ];
    const scoreOf = (index: Ex<'i32'>) =>
      load('f32.load', op('i32.add', score, op('i32.shl', index, i32(2))));
    const candidate = (at: Ex<'i32'>) => op('i32.add', candidates, op('i32.shl', at, i32(2)));
    const consider = (index: Local<'i32'>) => {
      body.store('i32.store', candidate(left), index);
      body.set(left, op('i32.add', left, i32(1)));
      const own = this.#held(scoreOf(index));
      body.if(op('i32.or', op('i32.lt_s', best, i32(0)), op('f32.gt', own, bestScore)), () => {
        body.set(best, index);
        body.set(bestScore, own);
      });
    };
    const restart = () => {
      body.set(left, i32(0));
      body.set(best, i32(-1));
    };
    body.set(taken, i32(0));
    restart();
    body.count(0, this.#p.boxes, 1, (i) => {
      body.if(op('f32.gt', scoreOf(i), this.#score), () => consider(i));
    });
    body.block((done) => {
      body.loop((again) => {
        body.brIf(done, op('i32.lt_s', best, i32(0)));
        body.brIf(done, op('i32.ge_s', taken, most));
        for (const [k, value] of [batch, cls, best].entries())
          body.store('i64.store', row, op('i64.extend_i32_u', value), { offset: k * WIDE });
        advance(body, row, ROW_BYTES);
        body.set(taken, op('i32.add', taken, i32(1)));
        const chosen = this.#box(box, best);
        const [self, end, index] = [body.local('i32'), body.local('i32'), body.local('i32')];
        body.set(self, best);
        body.set(end, left);
        restart();
        body.count(0, end, 1, (i) => {
          body.set(index, load('i32.load', candidate(i)));
          body.if(op('i32.ne', index, self), () => {
            const other = this.#box(box, index);
            body.if(op('i32.eqz', this.#overlap(other, chosen)), () => consider(index));
          });
        });
        body.br(again);
      });
    });
  }

  #held(value: Ex<'f32'>): Local<'f32'> {
    const local = this.#body.local('f32');
    this.#body.set(local, value);
    return local;
  }

  /** Corners of box `index`. */
  #box(boxes: Pointer, index: Ex<'i32'>): Box {
    const at = this.#body.local('i32');
    this.#body.set(at, op('i32.add', boxes, op('i32.shl', index, i32(4))));
    const [a, b, c, d] = [0, 4, 8, 12].map((offset) => this.#held(load('f32.load', at, { offset }))) as [
      Local<'f32'>,
      Local<'f32'>,
      Local<'f32'>,
      Local<'f32'>,
    ];
    const pair = (x: Ex<'f32'>, y: Ex<'f32'>) => [this.#held(x), this.#held(y)] as const;
    if (!this.#p.center) {
      return {
        low: pair(op('f32.min', a, c), op('f32.min', b, d)),
        high: pair(op('f32.max', a, c), op('f32.max', b, d)),
      };
    }
    const [w, h] = pair(op('f32.div', c, f32(2)), op('f32.div', d, f32(2)));
    return {
      low: pair(op('f32.sub', b, h), op('f32.sub', a, w)),
      high: pair(op('f32.add', b, h), op('f32.add', a, w)),
    };
  }

  #overlap(p: Box, q: Box): Ex<'i32'> {
    const side = (axis: 0 | 1) =>
      op(
        'f32.max',
        f32(0),
        op('f32.sub', op('f32.min', p.high[axis], q.high[axis]), op('f32.max', p.low[axis], q.low[axis])),
      );
    const area = ({ low, high }: Box) =>
      op('f32.mul', op('f32.sub', high[0], low[0]), op('f32.sub', high[1], low[1]));
    const shared = this.#held(op('f32.mul', side(0), side(1)));
    const union = this.#held(op('f32.sub', op('f32.add', area(p), area(q)), shared));
    const real = op('i32.and', op('f32.gt', shared, f32(0)), op('f32.gt', union, f32(0)));
    return op('i32.and', real, op('f32.gt', op('f32.div', shared, union), this.#iou));
  }
}
