/** Layers around the size of a tile of WebGPU. */
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { Random } from './graphs.ts';

/** With padding and a border, without, with a stride, and a product of matrices. */
export function rowGraphs(row: number): Graph[] {
  const random = new Random(row);
  const conv = (kernel: number, stride: number, pad: number) => {
    const b = new Builder('conv');
    const x = b.input('x', [1, 4, 3 * stride, (row - 1) * stride + kernel - 2 * pad]);
    const w = b.constant('w', random.tensor([8, 4, kernel, kernel], -0.5, 0.5));
    b.output('y', b.relu(b.conv(x, w, { strides: [stride, stride], pads: [pad, pad, pad, pad] })));
    return b.graph;
  };
  const product = new Builder('product');
  const weights = product.constant('w', random.tensor([5, 6], -0.5, 0.5));
  product.output('y', product.op('MatMul', [product.input('x', [row, 5]), weights], {}));
  return [conv(1, 1, 0), conv(3, 1, 1), conv(2, 2, 0), product.graph];
}
