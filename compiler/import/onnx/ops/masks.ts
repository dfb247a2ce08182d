/** Ops that simpler ones say, once shapes are known: masks, diagonals, one-hot vectors, blocks, centred crops. */
import type { Value } from '#ir/graph.ts';
import { type Tensor, tensor } from '#ir/tensor.ts';
import { type DType, product, type Shape } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

const MOST_ELEMENTS = 2 ** 26;

/** A matrix whose element (r, c) is `value(c − r)`. */
function diagonals(node: NodeImport, dtype: DType, shape: Shape, value: (offset: number) => number): Tensor {
  const [rows = 0, columns = 0] = shape;
  if (rows * columns > MOST_ELEMENTS) node.refuse(`a matrix of ${rows}×${columns} is too large`);
  return tensor(
    dtype,
    shape,
    Array.from({ length: rows * columns }, (_, i) => value((i % columns) - Math.floor(i / columns))),
  );
}

/** Keeps what lies on or above (below) the k-th diagonal. */
const trilu: ImportRule = (node) => {
  const [k = 0] = node.knownNumbers(1, 'k') ?? [];
  const upper = node.attrs.flag('upper', true);
  const { dtype, shape } = node.input(0).type;
  const matrix = shape.slice(-2);
  if (matrix.length < 2) node.refuse(`Trilu of rank ${shape.length}`, 'shape-mismatch');
  if (product(shape) === 0) return node.emit('Identity', [node.input(0)], {});
  const kept = diagonals(node, 'bool', matrix, (offset) => ((upper ? offset >= k : offset <= k) ? 1 : 0));
  const zero = node.literal(tensor(dtype, [], [0]));
  return node.emit('Where', [node.literal(kept), node.input(0), zero], {});
};

/** A constant: it needs the shape of its input only. */
const eyeLike: ImportRule = (node) => {
  const { dtype, shape } = node.input(0).type;
  if (shape.length !== 2) node.refuse(`EyeLike of rank ${shape.length}`, 'shape-mismatch');
  const code = node.attrs.int('dtype');
  const k = node.attrs.int('k', 0);
  return node.constant(
    diagonals(node, code === undefined ? dtype : node.dtypeOf(code), shape, (offset) =>
      offset === k ? 1 : 0,
    ),
  );
};

/** Element d along `axis` is values[1] where the index is d, else values[0]. */
const oneHot: ImportRule = (node) => {
  const [depth = 0] = node.requiredNumbers(1, 'depth');
  if (!(Number.isInteger(depth) && depth >= 0 && depth <= MOST_ELEMENTS)) node.refuse(`depth is ${depth}`);
  const { dtype, shape } = node.input(0).type;
  const axis = node.axis(node.attrs.int('axis', -1), shape.length + 1);
  const number = (value: number): Value => node.literal(tensor(dtype, [], [value]));
  let indices = node.input(0);
  if (dtype !== 'bool' && !dtype.startsWith('u')) {
    const wrapped = node.step('Add', [indices, number(depth)], {});
    indices = node.step('Where', [node.step('Less', [indices, number(0)], {}), wrapped, indices], {});
  }
  const positions = tensor(
    dtype,
    [depth, ...new Array<number>(shape.length - axis).fill(1)],
    Array.from({ length: depth }, (_, i) => i),
  );
  const spread = node.step('Unsqueeze', [indices], { axes: [axis] });
  const hit = node.step('Equal', [spread, node.literal(positions)], {});
  const value = (at: number) => node.step('Slice', [node.input(2)], { starts: [at], steps: [1], sizes: [1] });
  return node.emit('Where', [hit, value(1), value(0)], {});
};

/** x [N, C, H·b, W·b] → [N, C·b², H, W], as a view with more axes, permuted; depth first in mode CRD. */
const spaceToDepth: ImportRule = (node) => {
  const b = node.attrs.int('blocksize') ?? node.refuse('SpaceToDepth has no blocksize', 'graph-invalid');
  const word = node.attrs.string('mode', 'DCR');
  const [n = 0, c = 0, h = 0, w = 0] = node.shape(0);
  if (word !== 'DCR' && word !== 'CRD') node.refuse(`mode "${word}" is not known`);
  if (node.shape(0).length !== 4 || b < 1 || h % b !== 0 || w % b !== 0)
    node.refuse(`${h}×${w} does not divide into blocks of ${b}×${b}`, 'shape-mismatch');
  const blocks = node.step('Reshape', [node.input(0)], { shape: [n, c, h / b, b, w / b, b] });
  const perm = word === 'DCR' ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4];
  const turned = node.step('Transpose', [blocks], { perm });
  return node.emit('Reshape', [turned], { shape: [n, c * b * b, h / b, w / b] });
};

/** Cuts or pads both ends of the given axes, so that the middle stays in the middle. */
const centerCropPad: ImportRule = (node) => {
  const from = node.shape(0);
  const wanted = node.requiredNumbers(1, 'shape');
  const axes = (node.attrs.ints('axes') ?? from.map((_, axis) => axis)).map((a) => node.axis(a, from.length));
  if (wanted.length !== axes.length)
    node.refuse(`${wanted.length} sizes for ${axes.length} axes`, 'shape-mismatch');
  const sizes = [...from];
  const starts = from.map(() => 0);
  const pads = new Array<number>(2 * from.length).fill(0);
  axes.forEach((axis, i) => {
    const [size = 0, target = 0] = [from[axis], wanted[i]];
    const half = Math.floor(Math.abs(target - size) / 2);
    if (target < size) {
      starts[axis] = half;
      sizes[axis] = target;
    } else {
      pads[axis] = half;
      pads[from.length + axis] = target - size - half;
    }
  });
  const cut = node.step('Slice', [node.input(0)], { starts, steps: from.map(() => 1), sizes });
  return node.emit('Pad', [cut], { mode: 'constant', pads });
};

export const MASKS = {
  Trilu: trilu,
  EyeLike: eyeLike,
  OneHot: oneHot,
  SpaceToDepth: spaceToDepth,
  CenterCropPad: centerCropPad,
} satisfies Record<string, ImportRule>;
