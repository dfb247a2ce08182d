/** The filters of a conv, by their values. */
import { isOp, type Node, operand, tensorOf } from '#ir/graph.ts';
import { elementsOf, type Tensor } from '#ir/tensor.ts';
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
  /** The values of each filter in turn, [depth, k…], valid until the next is asked for. */
  values(): Iterable<Float32Array>;
}

/** Elements that are read at once: of a file, every read is a call of the system. */
const READ_AHEAD = 2 ** 14;

/** Undefined for any other node, and where the values are not there. */
export function filtersOf(node: Node): Filters | undefined {
  if (!isOp(node, 'Conv')) return undefined;
  const { type } = operand(node as Node, 1);
  const tensor = tensorOf(operand(node as Node, 1));
  if (!tensor || type.dtype !== 'f32') return undefined;
  const [count = 1, depth = 1, ...kernel] = type.shape;
  const size = depth * product(kernel);
  return { count, depth, kernel, size, values: () => filtersIn(tensor, count, size) };
}

function* filtersIn(tensor: Tensor, count: number, size: number): Iterable<Float32Array> {
  const atOnce = Math.max(1, Math.floor(READ_AHEAD / size));
  // new memory for each run would cost more than reading
  const scratch = new Uint8Array(Math.min(atOnce, count) * size * Float32Array.BYTES_PER_ELEMENT);
  for (let first = 0; first < count; first += atOnce) {
    const filters = Math.min(atOnce, count - first);
    const run = elementsOf(tensor, first * size, (first + filters) * size, scratch) as Float32Array;
    for (let i = 0; i < filters; i++) yield run.subarray(i * size, (i + 1) * size);
  }
}
