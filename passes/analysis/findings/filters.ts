/** The filters of a conv, by their values. */
import { isOp, type Node, operand, tensorOf } from '#ir/graph.ts';
import { product } from '#ir/types.ts';

export interface Filters {
  /** Output channels. */
  readonly count: number;
  /** Kernel sizes per spatial axis. */
  readonly kernel: readonly number[];
  /** Input channels that one filter sees. */
  readonly depth: number;
  /** The values of one filter, [depth, k…]. */
  filter(index: number): Float32Array;
}

/** Undefined for any other node, and where the values are not there. */
export function filtersOf(node: Node): Filters | undefined {
  if (!isOp(node, 'Conv')) return undefined;
  const data = tensorOf(operand(node as Node, 1))?.data;
  if (!(data instanceof Float32Array)) return undefined;
  const [count = 1, depth = 1, ...kernel] = operand(node as Node, 1).type.shape;
  const size = depth * product(kernel);
  return { count, depth, kernel, filter: (i) => data.subarray(i * size, (i + 1) * size) };
}
