/**
 * Products of 16-bit integers with sums of 32 bits, which are exact (they wrap around). As gemm, but that a word of an
 * operand is a pair of neighbours: one instruction multiplies both and adds the products.
 */
import { op } from '../encoder/index.ts';
import { type KernelFamily, LANES, storeLanes, VECTOR_BYTES } from './family.ts';
import {
  type Arithmetic,
  emitProduct,
  type ProductParams,
  productArguments,
  productPieces,
  productSizes,
} from './gemm.ts';
import { storeTyped } from './lanes.ts';

export interface DotParams extends ProductParams {
  /** The sums themselves; or bytes: the epilogue's value of the sum as a float, which must be whole, saturated. */
  readonly result: 'i32' | 'u8' | 'i8';
}

export const dot: KernelFamily<DotParams> = {
  name: 'dot',
  arguments: productArguments,
  label: (p) => `i16_dot_${productSizes(p)}_${p.result}`,
  pieces: productPieces,
  emit(body, p, args, _, team) {
    if (p.weights.kind !== 'packed') throw new RangeError('pairs of weights are packed');
    if (p.result === 'i32' && p.epilogue) throw new RangeError('integers have no epilogue');
    emitProduct(body, p, integers(p.result), args, team);
  },
};

function integers(result: DotParams['result']): Arithmetic {
  const multiplyAdd: Arithmetic['multiplyAdd'] = (x, y, sum) =>
    op('i32x4.add', sum, op('i32x4.dot_i16x8_s', x, y));
  if (result === 'i32')
    return { multiplyAdd, finish: (sum) => sum, store: storeLanes, resultBytes: VECTOR_BYTES };
  return {
    multiplyAdd,
    finish: (sum) => op('f32x4.convert_i32x4_s', sum),
    store: (body, pointer, value, lanes, offset) => storeTyped(body, result, pointer, value, lanes, offset),
    resultBytes: LANES,
  };
}
