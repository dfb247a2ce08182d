/** Views, and what makes shapes: after import, sizes are numbers in attributes. */
import type { Value } from '#ir/graph.ts';
import { i64, read, tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

/** 0 copies the input's size (unless allowzero), −1 takes what is left. */
const reshape: ImportRule = (node) => {
  const wanted = node.requiredNumbers(1, 'shape');
  const from = node.shape(0);
  const keepZero = node.attrs.flag('allowzero');
  const sizes = wanted.map((size, axis) => (size === 0 && !keepZero ? (from[axis] ?? 0) : size));
  const open = sizes.indexOf(-1);
  if (open >= 0) {
    const known = elementCount(sizes.filter((_, axis) => axis !== open));
    const total = elementCount(from);
    if (known === 0 || total % known !== 0) {
      node.refuse(`[${from.join(',')}] does not reshape to [${wanted.join(',')}]`, 'shape-mismatch');
    }
    sizes[open] = total / known;
  }
  return node.emit('Reshape', [node.input(0)], { shape: sizes });
};

const flatten: ImportRule = (node) => {
  const rank = node.shape(0).length;
  const axis = node.attrs.int('axis', 1);
  return node.emit('Flatten', [node.input(0)], { axis: axis === rank ? rank : node.axis(axis, rank) });
};

/** An input from opset 13 on, an attribute before. */
const givenAxes = (node: NodeImport, since: number): readonly number[] | undefined =>
  node.opset >= since ? node.knownNumbers(1, 'axes') : node.attrs.ints('axes');

const squeeze: ImportRule = (node) => {
  const shape = node.shape(0);
  const given = givenAxes(node, 13);
  const axes = given?.length
    ? node.axes(given, shape.length)
    : shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
  return node.emit('Squeeze', [node.input(0)], { axes });
};

const unsqueeze: ImportRule = (node) => {
  const axes = givenAxes(node, 13) ?? node.refuse('Unsqueeze has no axes', 'graph-invalid');
  return node.emit('Unsqueeze', [node.input(0)], {
    axes: node.axes(axes, node.shape(0).length + axes.length),
  });
};

/** Shapes are concrete, so this is a constant whatever the input is. */
const shape: ImportRule = (node) => {
  const sizes = node.shape(0);
  const clamp = (axis: number) => Math.min(Math.max(axis < 0 ? axis + sizes.length : axis, 0), sizes.length);
  const start = clamp(node.attrs.int('start', 0));
  const end = clamp(node.attrs.int('end', sizes.length));
  return node.constant(i64(sizes.slice(start, Math.max(start, end))));
};

const MAX_VALUE_ELEMENTS = 1;

/** The value as a constant where the size allows, else an op; f32 zero unless said. */
const constantOfShape: ImportRule = (node) => {
  const sizes = node.requiredNumbers(0, 'shape');
  const proto = node.attrs.tensor('value');
  const value = proto ? node.storedTensor(proto) : undefined;
  const dtype = value?.type.dtype ?? 'f32';
  const stored = value?.source.kind === 'constant' ? value.source.constant.data : null;
  if (value && stored?.length !== MAX_VALUE_ELEMENTS)
    node.refuse('ConstantOfShape needs one value', 'graph-invalid');
  const element = stored?.[0] ?? 0;
  return (
    node.filled(dtype, sizes, element) ??
    node.emit('ConstantOfShape', [node.input(0)], { value: Number(element), dtype })
  );
};

const constant: ImportRule = (node) => {
  const { attrs } = node;
  const proto = attrs.tensor('value');
  if (proto) return node.storedTensor(proto);
  const int = attrs.int('value_int');
  if (int !== undefined) return node.constant(i64([int], []));
  const ints = attrs.ints('value_ints');
  if (ints) return node.constant(i64(ints));
  const float = attrs.float('value_float');
  if (float !== undefined) return node.constant(tensor('f32', [], [float]));
  const floats = attrs.floats('value_floats');
  if (floats) return node.constant(tensor('f32', [floats.length], floats));
  return node.refuse('a Constant of strings or of a sparse tensor is not supported', 'dtype-unsupported');
};

const range: ImportRule = (node) => {
  for (const [i, what] of ['start', 'limit', 'delta'].entries()) node.requiredNumbers(i, what);
  return node.emit('Range', [node.input(0), node.input(1), node.input(2)], {});
};

/** Inlines the branch that a constant condition takes. */
const conditional: ImportRule = (node): readonly Value[] => {
  const condition =
    node.known(0) ??
    node.refuse(
      'If with a condition that depends on the values of the model’s inputs is not supported',
      'op-unsupported-form',
      'export the model so that only one branch is left',
    );
  if (condition.data.length !== 1) node.refuse('the condition of If has not one element', 'shape-mismatch');
  return node.subgraph(read(condition.data, 0) !== 0 ? 'then_branch' : 'else_branch');
};

export const SHAPES = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Shape: shape,
  Size: (node) => node.constant(i64([elementCount(node.shape(0))], [])),
  ConstantOfShape: constantOfShape,
  Constant: constant,
  Range: range,
  If: conditional,
} satisfies Record<string, ImportRule>;
