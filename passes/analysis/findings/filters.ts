/** The filters of a conv, by their values. */
import { isOp, type Node, operand, tensorOf } from '#ir/graph.ts';
import { elementsOf } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';

export interface Filters {
  /** Output channels. */
  readonly count: number;
  /** Kernel sizes per spatial axis. */
  readonly kernel: readonly number[];
  /** Input channels that one filter sees. */
  readonly depth: number;
  /** Elements of a filter. */
  readonly size: number;
  /** The values of one filter, [depth, k…], or its first ones; of a file is read what is asked for. */
  filter(index: number, first?: number): Float32Array;
}

/** Undefined for any other node, and where the values are not there. */
export function filtersOf(node: Node): Filters | undefined {
  if (!isOp(node, 'Conv')) return undefined;
  const { type } = operand(node as Node, 1);
  const tensor = tensorOf(operand(node as Node, 1));
  if (!tensor || type.dtype !== 'f32') return undefined;
  const [count = 1, depth = 1, ...kernel] = type.shape;
  const size = depth * product(kernel);
  const filter = (i: number, first = size) => elementsOf(tensor, i * size, i * size + first) as Float32Array;
  return { count, depth, kernel, size, filter };
}
