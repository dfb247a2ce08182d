/** The filters of a conv, by their values. */
import { isOp, type Node, operand, tensorOf } from '#ir/graph.ts';
import { byteSize, product } from '#ir/types.ts';

export interface Filters {
  /** Output channels. */
  readonly count: number;
  /** Kernel sizes per spatial axis. */
  readonly kernel: readonly number[];
  /** Input channels that one filter sees. */
  readonly depth: number;
  /** The values of one filter, [depth, k…]; read when they are asked for. */
  filter(index: number): Float32Array;
}

/** Weights in a file that are larger are not read: an audit is to be quick. */
export const MOST_READ_BYTES = 1 << 20;

/** Undefined for any other node, where the values are not there, and where reading them would take long. */
export function filtersOf(node: Node): Filters | undefined {
  if (!isOp(node, 'Conv')) return undefined;
  const { type } = operand(node as Node, 1);
  const tensor = tensorOf(operand(node as Node, 1));
  if (!tensor || type.dtype !== 'f32') return undefined;
  if (tensor.part && byteSize(type) > MOST_READ_BYTES) return undefined;
  const [count = 1, depth = 1, ...kernel] = type.shape;
  const size = depth * product(kernel);
  const filter = (i: number) => (tensor.data as Float32Array).subarray(i * size, (i + 1) * size);
  return { count, depth, kernel, filter };
}
