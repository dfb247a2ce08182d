/** Scalar kernels over windows of any rank: pooling of any type that tells positions, and columns added to an image. */
import type { Loop } from '#compiler/schedule/loops.ts';
import type { BlockAxis } from '#ir/ops/col2im.ts';
import { bytesOf, type DType, product, rowMajorStrides } from '#ir/types.ts';
import { type Ex, i32, type Local, load, op } from '../encoder/index.ts';
import { advance, type Body, copyOf, type KernelFamily, nest, type Pointer } from './family.ts';
import { type Domain, domainOf, loadScalar, storeScalar } from './scalar.ts';

export interface PoolAxis {
  readonly input: number;
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pad: number;
  readonly inputStep: number;
  readonly outputStep: number;
  /** Bytes between the indices of two outputs, and what one input position adds to an index. */
  readonly indexStep: number;
  readonly index: number;
}

export interface LargestParams {
  readonly dtype: DType;
  /** Over batch and channels; steps of [input, output, indices]. */
  readonly planes: readonly Loop[];
  readonly axes: readonly PoolAxis[];
  readonly indices: boolean;
}

/** Position of a tap on an axis, in a local. */
function position(
  body: Body,
  o: Local<'i32'>,
  tap: Local<'i32'>,
  a: { stride: number; dilation: number; pad: number },
) {
  const local = body.local('i32');
  const first = op('i32.sub', op('i32.mul', o, i32(a.stride)), i32(a.pad));
  body.set(local, op('i32.add', first, op('i32.mul', tap, i32(a.dilation))));
  return local;
}

const times = (x: Ex<'i32'>, n: number): Ex<'i32'> => op('i32.mul', x, i32(n));

/** The largest element of each window, of equal ones the first, and its flat index in the whole input. */
export const largest: KernelFamily<LargestParams> = {
  name: 'largest',
  arguments: (p) => ['input', 'output', ...(p.indices ? ['indices'] : [])],
  label: (p) => `${p.dtype}_largest_${p.axes.map((a) => `${a.output}k${a.kernel}s${a.stride}`).join('x')}`,
  emit(body, p, args) {
    const [input, output] = args as [Pointer, Pointer];
    const indices = p.indices ? (args[2] as Pointer) : copyOf(body, output);
    const domain = domainOf(p.dtype);
    const best = body.local(domain) as Local<Domain>;
    const index = body.local('i32');
    const plane = body.local('i32');
    body.set(plane, i32(0));
    const visit = (at: readonly Local<'i32'>[], out: Pointer, indexOut: Pointer): void => {
      const axis = p.axes[at.length];
      if (!axis) {
        body.set(index, i32(-1));
        body.set(best, (domain === 'f64' ? op('f64.const', 0) : op('i64.const', 0n)) as never);
        taps(body, p, at, input, plane, (from, flat) => {
          const x = body.local(domain) as Local<Domain>;
          body.set(x, loadScalar(p.dtype, from, domain) as never);
          const above =
            domain === 'f64'
              ? op('f64.gt', x as Ex<'f64'>, best as Ex<'f64'>)
              : op('i64.gt_s', x as Ex<'i64'>, best as Ex<'i64'>);
          body.if(op('i32.or', op('i32.lt_s', index, i32(0)), above), () => {
            body.set(best, x as never);
            body.set(index, flat);
          });
        });
        storeScalar(body, p.dtype, out, best as Ex<'i64'> | Ex<'f64'>);
        if (p.indices) body.store('i64.store', indexOut, op('i64.extend_i32_s', index));
        return;
      }
      const to = copyOf(body, out);
      const indexTo = copyOf(body, indexOut);
      body.count(0, axis.output, 1, (o) => {
        visit([...at, o], to, indexTo);
        advance(body, to, axis.outputStep);
        advance(body, indexTo, axis.indexStep);
      });
    };
    nest(body, p.planes, [input, output, indices], () => {
      visit([], output, indices);
      body.set(plane, op('i32.add', plane, i32(product(p.axes.map((a) => a.input)))));
    });
  },
};

/** Every tap of a window that lies in the input: its address and its flat index. */
function taps(
  body: Body,
  p: LargestParams,
  at: readonly Local<'i32'>[],
  input: Pointer,
  plane: Local<'i32'>,
  use: (from: Local<'i32'>, flat: Local<'i32'>) => void,
): void {
  const visit = (depth: number, from: Ex<'i32'>, flat: Ex<'i32'>): void => {
    const axis = p.axes[depth];
    const o = at[depth];
    if (!axis || !o) {
      const [address, index] = [body.local('i32'), body.local('i32')];
      body.set(address, from);
      body.set(index, flat);
      use(address, index);
      return;
    }
    body.count(0, axis.kernel, 1, (tap) => {
      const here = position(body, o, tap, axis);
      body.if(op('i32.lt_u', here, i32(axis.input)), () =>
        visit(
          depth + 1,
          op('i32.add', from, times(here, axis.inputStep)),
          op('i32.add', flat, times(here, axis.index)),
        ),
      );
    });
  };
  visit(0, input, plane);
}

export interface ColumnsParams {
  /** Batch times channels. */
  readonly planes: number;
  readonly axes: readonly BlockAxis[];
}

/** Adds columns, row-major [planes, taps…, windows…], to a zeroed image where their windows lie. */
export const columns: KernelFamily<ColumnsParams> = {
  name: 'columns',
  arguments: () => ['input', 'output'],
  label: (p) => `f32_columns_${p.planes}x${p.axes.map((a) => `${a.count}k${a.block}`).join('x')}`,
  emit(body, p, args) {
    const [input, output] = args as [Pointer, Pointer];
    const from = copyOf(body, input);
    const image = p.axes.map((a) => a.image);
    const strides = rowMajorStrides(image);
    const windows = (tapsAt: readonly Local<'i32'>[], at: readonly Local<'i32'>[]): void => {
      const axis = p.axes[at.length];
      if (axis) {
        body.count(0, axis.count, 1, (o) => windows(tapsAt, [...at, o]));
        return;
      }
      body.block((outside) => {
        const to = copyOf(body, output);
        p.axes.forEach((a, k) => {
          const here = position(body, at[k] as Local<'i32'>, tapsAt[k] as Local<'i32'>, a);
          body.brIf(outside, op('i32.ge_u', here, i32(a.image)));
          body.set(to, op('i32.add', to, times(here, (strides[k] ?? 1) * bytesOf('f32'))));
        });
        body.store('f32.store', to, op('f32.add', load('f32.load', to), load('f32.load', from)));
      });
      advance(body, from, bytesOf('f32'));
    };
    const blocks = (at: readonly Local<'i32'>[]): void => {
      const axis = p.axes[at.length];
      if (axis) body.count(0, axis.block, 1, (tap) => blocks([...at, tap]));
      else windows(at, []);
    };
    nest(body, [{ count: p.planes, steps: [product(image) * bytesOf('f32')] }], [output], () => blocks([]));
  },
};
