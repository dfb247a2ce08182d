/** Kernels that read or write where a tensor of indices says: whatever the indices are, inside the tensor. */
import type { Loop } from '#compiler/schedule/loops.ts';
import { parseExpr } from '#ir/expr.ts';
import { bytesOf, type DType } from '#ir/types.ts';
import { type Ex, i32, i64, type Label, type Local, op } from '../encoder/index.ts';
import { type Body, copyOf, type KernelFamily, nest, type Pointer } from './family.ts';
import { copyRun } from './move.ts';
import { domainOf, loadScalar, scalarCode, storeScalar } from './scalar.ts';

/** An axis that an index runs over. */
export interface IndexedAxis {
  readonly size: number;
  readonly step: number;
}

interface Indexed {
  readonly index: DType;
  /** The axes that a tuple of indices, side by side, runs over. */
  readonly tuple: readonly IndexedAxis[];
}

export interface GatherAtParams extends Indexed {
  /** One iteration per tuple; steps of [input, indices, output]. */
  readonly loops: readonly Loop[];
  /** Bytes that are copied, side by side on both sides. */
  readonly bytes: number;
}

const iterations = (loops: readonly Loop[]): number => loops.reduce((n, loop) => n * loop.count, 1);

/** The address that a tuple names; `outside` emits what happens to an index that names no position. */
function address(
  body: Body,
  p: Indexed,
  base: Pointer,
  indices: Pointer,
  outside: (index: Local<'i64'>, isOutside: Ex<'i32'>) => void,
): Pointer {
  const at = copyOf(body, base);
  const index = body.local('i64');
  p.tuple.forEach(({ size, step }, k) => {
    body.set(index, loadScalar(p.index, indices, 'i64', k * bytesOf(p.index)));
    body.if(op('i64.lt_s', index, i64(0n)), () => body.set(index, op('i64.add', index, i64(BigInt(size)))));
    outside(index, op('i64.ge_u', index, i64(BigInt(size))));
    body.set(at, op('i32.add', at, op('i32.mul', op('i32.wrap_i64', index), i32(step))));
  });
  return at;
}

/** Copies what tuples of indices name; an index outside its axis reads position 0. */
export const gatherAt: KernelFamily<GatherAtParams> = {
  name: 'gatherAt',
  arguments: () => ['input', 'indices', 'output'],
  label: (p) => `gather_at_${iterations(p.loops)}x${p.bytes}`,
  emit(body, p, args) {
    const [input, indices, output] = args as [Pointer, Pointer, Pointer];
    nest(body, p.loops, [input, indices, output], () => {
      const from = address(body, p, input, indices, (index, isOutside) =>
        body.if(isOutside, () => body.set(index, i64(0n))),
      );
      copyRun(body, from, output, p.bytes);
    });
  },
};

export interface ScatterAtParams extends Indexed {
  /** One iteration per tuple; steps of [output, indices, updates]. */
  readonly loops: readonly Loop[];
  /** Elements that are written, side by side on both sides. */
  readonly count: number;
  readonly dtype: DType;
  /** What is written, of the element there (x0) and the update (x1); absent for the update as it is. */
  readonly combine?: string;
}

/** Writes updates where tuples of indices say, in order; an index outside its axis drops its update. */
export const scatterAt: KernelFamily<ScatterAtParams> = {
  name: 'scatterAt',
  arguments: () => ['output', 'indices', 'updates'],
  label: (p) => `${p.dtype}_scatter_at_${iterations(p.loops)}x${p.count}`,
  emit(body, p, args) {
    const [output, indices, updates] = args as [Pointer, Pointer, Pointer];
    const size = bytesOf(p.dtype);
    nest(body, p.loops, [output, indices, updates], () => {
      body.block((skip: Label) => {
        const to = address(body, p, output, indices, (_, isOutside) => body.brIf(skip, isOutside));
        if (p.combine === undefined) copyRun(body, updates, to, p.count * size);
        else combine(body, p, p.combine, to, updates);
      });
    });
  },
};

function combine(body: Body, p: ScatterAtParams, expr: string, to: Pointer, updates: Pointer): void {
  const domain = domainOf(p.dtype);
  const size = bytesOf(p.dtype);
  const from = copyOf(body, updates);
  const there = body.local(domain);
  const update = body.local(domain);
  nest(body, [{ count: p.count, steps: [size, size] }], [to, from], () => {
    body.set(there, loadScalar(p.dtype, to, domain) as never);
    body.set(update, loadScalar(p.dtype, from, domain) as never);
    storeScalar(
      body,
      p.dtype,
      to,
      scalarCode(body, parseExpr(expr), domain, [there, update], p.dtype === 'u64'),
    );
  });
}

export interface UnpoolParams {
  readonly count: number;
  /** Elements of the output. */
  readonly size: number;
  readonly bytes: number;
}

/** Moves elements to flat i64 positions; those outside are dropped. */
export const unpool: KernelFamily<UnpoolParams> = {
  name: 'unpool',
  arguments: () => ['input', 'indices', 'output'],
  label: (p) => `unpool_${p.count}`,
  emit(body, p, args) {
    const [input, indices, output] = args as [Pointer, Pointer, Pointer];
    const index = body.local('i64');
    const from = copyOf(body, input);
    const at = copyOf(body, indices);
    nest(body, [{ count: p.count, steps: [p.bytes, 8] }], [from, at], () => {
      body.set(index, loadScalar('i64', at, 'i64'));
      body.if(op('i64.lt_u', index, i64(BigInt(p.size))), () => {
        const to = body.local('i32');
        body.set(to, op('i32.add', output, op('i32.mul', op('i32.wrap_i64', index), i32(p.bytes))));
        copyRun(body, from, to, p.bytes);
      });
    });
  },
};
