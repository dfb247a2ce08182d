/** Elementwise expressions, reductions and products element by element: for every type that vectors do not cover. */

import type { Loop } from '#compiler/schedule/loops.ts';
import { parseExpr } from '#ir/expr.ts';
import type { DType } from '#ir/types.ts';
import { type Ex, f64, i64, op } from '../encoder/index.ts';
import { copyOf, type KernelFamily, nest, type Pointer } from './family.ts';
import { type Domain, loadScalar, scalarCode, storeScalar } from './scalar.ts';

export interface ScalarMapParams {
  /** Steps of [output, …inputs]. */
  readonly loops: readonly Loop[];
  readonly inputs: readonly DType[];
  readonly output: DType;
  /** What the expression is computed in. */
  readonly domain: Domain;
  readonly expr: string;
}

const total = (...lists: readonly (readonly Loop[])[]): number =>
  lists.flat().reduce((n, l) => n * l.count, 1);

/** One expression of elements of any type. */
export const scalarMap: KernelFamily<ScalarMapParams> = {
  name: 'scalarMap',
  arguments: (p) => [...p.inputs.map((_, k) => `input${k}`), 'output'],
  label: (p) => `${p.output}_map_${total(p.loops)}`,
  emit(body, p, args) {
    const e = parseExpr(p.expr);
    const output = args[args.length - 1] as Pointer;
    const inputs = args.slice(0, -1);
    nest(body, p.loops, [output, ...inputs], () => {
      const values = inputs.map((pointer, k) => {
        const local = body.local(p.domain);
        body.set(local, loadScalar(p.inputs[k] ?? 'f32', pointer, p.domain) as never);
        return local;
      });
      const unsigned = p.inputs.includes('u64');
      storeScalar(
        body,
        p.output,
        output,
        scalarCode(body, e, p.domain, values as never, unsigned) as Ex<'f64'>,
      );
    });
  },
};

export type ScalarCombine = 'add' | 'mul' | 'max' | 'min';

const COMBINE: Record<ScalarCombine, { start: number; join(a: Ex<'f64'>, b: Ex<'f64'>): Ex<'f64'> }> = {
  add: { start: 0, join: (a, b) => op('f64.add', a, b) },
  mul: { start: 1, join: (a, b) => op('f64.mul', a, b) },
  max: { start: Number.NEGATIVE_INFINITY, join: (a, b) => op('f64.max', a, b) },
  min: { start: Number.POSITIVE_INFINITY, join: (a, b) => op('f64.min', a, b) },
};

export interface ScalarReduceParams {
  readonly dtype: DType;
  readonly combine: ScalarCombine;
  /** Expressions of x0, in doubles. */
  readonly before: string;
  readonly after: string;
  /** Steps of [input, output]. */
  readonly kept: readonly Loop[];
  /** Steps of [input]. */
  readonly reduced: readonly Loop[];
}

/** A reduction in doubles; exact for integers up to 2^53. */
export const scalarReduce: KernelFamily<ScalarReduceParams> = {
  name: 'scalarReduce',
  arguments: () => ['input', 'output'],
  label: (p) => `${p.dtype}_reduce_${p.combine}_${total(p.kept, p.reduced)}`,
  emit(body, p, args) {
    const [input, output] = args as [Pointer, Pointer];
    const { start, join } = COMBINE[p.combine];
    const before = parseExpr(p.before);
    const after = parseExpr(p.after);
    const acc = body.local('f64');
    const x = body.local('f64');
    nest(body, p.kept, [input, output], () => {
      const from = copyOf(body, input);
      body.set(acc, f64(start));
      nest(body, p.reduced, [from], () => {
        body.set(x, loadScalar(p.dtype, from, 'f64'));
        body.set(acc, join(acc, scalarCode(body, before, 'f64', [x])));
      });
      storeScalar(body, p.dtype, output, scalarCode(body, after, 'f64', [acc]));
    });
  },
};

export interface ContractParams {
  readonly a: DType;
  readonly b: DType;
  readonly output: DType;
  /** Steps of [a, b, output]. */
  readonly kept: readonly Loop[];
  /** Steps of [a, b]. */
  readonly reduced: readonly Loop[];
}

/** Σ a·b over some axes: exact for integers, in doubles for floats. */
export const contract: KernelFamily<ContractParams> = {
  name: 'contract',
  arguments: () => ['a', 'b', 'output'],
  label: (p) => `${p.a}x${p.b}_contract_${total(p.kept)}x${total(p.reduced)}`,
  emit(body, p, args) {
    const [a, b, output] = args as [Pointer, Pointer, Pointer];
    const floats = p.a === 'f32' || p.b === 'f32';
    const acc = body.local(floats ? 'f64' : 'i64');
    nest(body, p.kept, [a, b, output], () => {
      const fromA = copyOf(body, a);
      const fromB = copyOf(body, b);
      body.set(acc, floats ? f64(0) : (i64(0n) as never));
      nest(body, p.reduced, [fromA, fromB], () => {
        const sum = floats
          ? op(
              'f64.add',
              acc as Ex<'f64'>,
              op('f64.mul', loadScalar(p.a, fromA, 'f64'), loadScalar(p.b, fromB, 'f64')),
            )
          : op(
              'i64.add',
              acc as Ex<'i64'>,
              op('i64.mul', loadScalar(p.a, fromA, 'i64'), loadScalar(p.b, fromB, 'i64')),
            );
        body.set(acc, sum as never);
      });
      storeScalar(body, p.output, output, acc as Ex<'f64'>);
    });
  },
};
