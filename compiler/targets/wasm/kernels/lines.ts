/** Kernels that go along one axis of a tensor of any type: running sums, the position of an extreme, the k largest. */
import type { Loop } from '#compiler/schedule/loops.ts';
import { parseExpr } from '#ir/expr.ts';
import type { DType } from '#ir/types.ts';
import { type Ex, i32, i64, type Local, op } from '../encoder/index.ts';
import { advance, type Body, copyOf, type KernelFamily, nest, type Pointer } from './family.ts';
import { type Domain, domainOf, loadScalar, scalarCode, storeScalar } from './scalar.ts';

interface Lines {
  readonly dtype: DType;
  /** One iteration per line. */
  readonly outer: readonly Loop[];
  /** Elements of a line, and the bytes from one to the next. */
  readonly length: number;
  readonly step: number;
}

const lineCount = (p: Lines): number => p.outer.reduce((n, loop) => n * loop.count, 1);

type Scalar = Ex<'i64'> | Ex<'f64'>;

/** Does `a` come before `b`, the larger or the smaller first? */
function isBefore(p: Lines, a: Scalar, b: Scalar, largest: boolean): Ex<'i32'> {
  if (domainOf(p.dtype) === 'f64') return op(largest ? 'f64.gt' : 'f64.lt', a as Ex<'f64'>, b as Ex<'f64'>);
  const [x, y] = [a as Ex<'i64'>, b as Ex<'i64'>];
  if (p.dtype === 'u64') return op(largest ? 'i64.gt_u' : 'i64.lt_u', x, y);
  return op(largest ? 'i64.gt_s' : 'i64.lt_s', x, y);
}

/** A new local that holds the element at an address. */
function element(body: Body, dtype: DType, at: Ex<'i32'>): Local<Domain> {
  const local = body.local(domainOf(dtype)) as Local<Domain>;
  body.set(local, loadScalar(dtype, at, domainOf(dtype)) as never);
  return local;
}

export interface ScanParams extends Lines {
  /** The new total, of the total so far (x0) and an element (x1). */
  readonly combine: string;
  readonly init: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

/** Totals up to each element. Steps of [input, output]; both have the same. */
export const scan: KernelFamily<ScanParams> = {
  name: 'scan',
  arguments: () => ['input', 'output'],
  label: (p) => `${p.dtype}_scan_${lineCount(p)}x${p.length}`,
  emit(body, p, args) {
    const [input, output] = args as [Pointer, Pointer];
    const domain = domainOf(p.dtype);
    const start = p.reverse ? (p.length - 1) * p.step : 0;
    const step = p.reverse ? -p.step : p.step;
    const total = body.local(domain) as Local<Domain>;
    nest(body, p.outer, [input, output], () => {
      const from = copyOf(body, input, start);
      const to = copyOf(body, output, start);
      body.set(total, (domain === 'f64' ? op('f64.const', p.init) : i64(BigInt(p.init))) as never);
      nest(body, [{ count: p.length, steps: [step, step] }], [from, to], () => {
        const x = element(body, p.dtype, from);
        if (p.exclusive) storeScalar(body, p.dtype, to, total as Scalar);
        body.set(total, scalarCode(body, parseExpr(p.combine), domain, [total, x] as never) as never);
        if (!p.exclusive) storeScalar(body, p.dtype, to, total as Scalar);
      });
    });
  },
};

export interface ArgReduceParams extends Lines {
  readonly largest: boolean;
  /** Of equal elements, the last rather than the first. */
  readonly last: boolean;
}

/** The position of the largest or smallest element of each line, as i64. Steps of [input, output]. */
export const argReduce: KernelFamily<ArgReduceParams> = {
  name: 'argReduce',
  arguments: () => ['input', 'output'],
  label: (p) => `${p.dtype}_arg${p.largest ? 'max' : 'min'}_${lineCount(p)}x${p.length}`,
  emit(body, p, args) {
    const [input, output] = args as [Pointer, Pointer];
    const best = body.local('i32');
    nest(body, p.outer, [input, output], () => {
      const from = copyOf(body, input);
      const top = element(body, p.dtype, from);
      body.set(best, i32(0));
      body.count(1, p.length, 1, (i) => {
        advance(body, from, p.step);
        const x = element(body, p.dtype, from);
        // the last of equal ones: unless the best so far comes before
        const better = p.last
          ? op('i32.eqz', isBefore(p, top as Scalar, x as Scalar, p.largest))
          : isBefore(p, x as Scalar, top as Scalar, p.largest);
        body.if(better, () => {
          body.set(top, x as never);
          body.set(best, i);
        });
      });
      body.store('i64.store', output, op('i64.extend_i32_u', best));
    });
  },
};

export interface TopKParams extends Lines {
  readonly k: number;
  readonly largest: boolean;
  /** Bytes from one of the k results to the next. */
  readonly valueStep: number;
  readonly indexStep: number;
}

/** The k first elements of each line in order, by insertion. Steps of [input, values, indices]. */
export const topK: KernelFamily<TopKParams> = {
  name: 'topK',
  arguments: () => ['input', 'values', 'indices'],
  label: (p) => `${p.dtype}_top_${p.k}_of_${lineCount(p)}x${p.length}`,
  emit(body, p, args) {
    const [input, values, indices] = args as [Pointer, Pointer, Pointer];
    const kept = body.local('i32');
    const place = body.local('i32');
    const slot = (base: Pointer, step: number, at: Ex<'i32'>) =>
      op('i32.add', base, op('i32.mul', at, i32(step)));
    nest(body, p.outer, [input, values, indices], () => {
      const from = copyOf(body, input);
      body.set(kept, i32(0));
      body.count(0, p.length, 1, (i) => {
        const x = element(body, p.dtype, from);
        body.set(place, kept);
        body.block((skip) => {
          body.if(op('i32.eq', kept, i32(p.k)), () => {
            body.set(place, i32(p.k - 1));
            const last = element(body, p.dtype, slot(values, p.valueStep, place));
            body.brIf(skip, op('i32.eqz', isBefore(p, x as Scalar, last as Scalar, p.largest)));
          });
          body.block((found) => {
            body.loop((again) => {
              body.brIf(found, op('i32.eqz', place));
              const before = body.local('i32');
              body.set(before, op('i32.sub', place, i32(1)));
              const other = element(body, p.dtype, slot(values, p.valueStep, before));
              body.brIf(found, op('i32.eqz', isBefore(p, x as Scalar, other as Scalar, p.largest)));
              storeScalar(body, p.dtype, slot(values, p.valueStep, place), other as Scalar);
              body.store(
                'i64.store',
                slot(indices, p.indexStep, place),
                loadScalar('i64', slot(indices, p.indexStep, before), 'i64'),
              );
              body.set(place, before);
              body.br(again);
            });
          });
          storeScalar(body, p.dtype, slot(values, p.valueStep, place), x as Scalar);
          body.store('i64.store', slot(indices, p.indexStep, place), op('i64.extend_i32_u', i));
          body.if(op('i32.lt_u', kept, i32(p.k)), () => body.set(kept, op('i32.add', kept, i32(1))));
        });
        advance(body, from, p.step);
      });
    });
  },
};
