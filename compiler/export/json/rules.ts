/** How nodes are written as layers of the JSON description. */
import { constantOf, type Node, type OpName, operand, result, type Value } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { formatShape, sameShape } from '#ir/types.ts';

export interface WrittenLayer {
  readonly kind: string;
  readonly options: unknown;
  readonly inputs: readonly Value[];
  /** Weights by the key that the layer gives them. */
  readonly weights?: Readonly<Record<string, Constant>>;
}

/** A layer; nothing for a node that does nothing; or why it cannot be said. */
export type LayerRule<K extends OpName = OpName> = (node: Node<K>) => WrittenLayer | string | undefined;

/** As few digits as make the same f32 again; a number that is none stays as it is. */
function short(value: number): number {
  for (let digits = 1; digits < 10 && Math.fround(value) === value; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return value;
}

/** Is it this number, as an f32? What the description says unless told needs no words. */
const isDefault = (value: number, known: number): boolean => Math.fround(value) === Math.fround(known);

const EPSILON = 1e-5;
const epsilonOf = (epsilon: number) => (isDefault(epsilon, EPSILON) ? {} : { epsilon: short(epsilon) });

/** The bias where it is not what the description has unless told. */
const biasOf = ({ bias }: Readonly<Record<string, Constant>>) => (bias ? {} : { bias: false });

const shapeOf = (node: Node, slot = 0) => operand(node, slot).type.shape;
/** One number where all axes agree. */
const compact = (list: readonly number[]): number | readonly number[] =>
  list.every((v) => v === list[0]) ? (list[0] ?? 1) : list;

function padding(pads: readonly number[]): unknown {
  const rank = pads.length / 2;
  const pairs = Array.from({ length: rank }, (_, i) => [pads[i] ?? 0, pads[rank + i] ?? 0] as const);
  if (pairs.every(([a, b]) => a === 0 && b === 0)) return 'valid';
  const entries = pairs.map(([a, b]) => (a === b ? a : [a, b]));
  return entries.every((e) => typeof e === 'number') ? compact(entries as number[]) : entries;
}

interface WindowAttrs {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

const unlessOne = (key: string, list: readonly number[]) =>
  list.every((v) => v === 1) ? {} : { [key]: compact(list) };

const window = ({ strides, dilations, pads }: WindowAttrs) => ({
  ...unlessOne('stride', strides),
  ...unlessOne('dilation', dilations),
  padding: padding(pads),
});

/** The constants of the inputs from slot 1 on, by their keys; or which of them is none. */
function stored(node: Node, keys: readonly string[]): Record<string, Constant> | string {
  const found: Record<string, Constant> = {};
  for (const [i, key] of keys.entries()) {
    const value = i + 1 < node.arity ? node.operands[i + 1] : undefined;
    if (!value) continue;
    const constant = constantOf(value);
    if (!constant) return `its ${key} is computed by the network`;
    if (constant.type.dtype !== 'f32') return `its ${key} is ${constant.type.dtype}`;
    found[key] = constant;
  }
  return found;
}

function conv(node: Node<'Conv'>): WrittenLayer | string {
  const weights = stored(node as Node, ['weight', 'bias']);
  if (typeof weights === 'string') return weights;
  const { attrs } = node;
  const [channels = 1, , ...kernel] = shapeOf(node as Node, 1);
  const options = {
    channels,
    kernel: compact(kernel),
    ...window(attrs),
    ...(attrs.group === 1 ? {} : { groups: attrs.group }),
    ...biasOf(weights),
  };
  return { kind: 'conv', options, inputs: [operand(node as Node, 0)], weights };
}

function transposed(node: Node<'ConvTranspose'>): WrittenLayer | string {
  const weights = stored(node as Node, ['weight', 'bias']);
  if (typeof weights === 'string') return weights;
  const { attrs } = node;
  if (attrs.outputPadding.some((p, i) => p >= (attrs.strides[i] ?? 1)))
    return 'its output padding is not smaller than its stride';
  const [, perGroup = 1, ...kernel] = shapeOf(node as Node, 1);
  const options = {
    channels: perGroup * attrs.group,
    kernel: compact(kernel),
    stride: compact(attrs.strides),
    ...unlessOne('dilation', attrs.dilations),
    padding: padding(attrs.pads),
    ...(attrs.group === 1 ? {} : { groups: attrs.group }),
    ...(attrs.outputPadding.some((p) => p !== 0) ? { outputPadding: compact(attrs.outputPadding) } : {}),
    ...biasOf(weights),
  };
  return { kind: 'transposed', options, inputs: [operand(node as Node, 0)], weights };
}

function batchNorm(node: Node<'BatchNormalization'>): WrittenLayer | string {
  const weights = stored(node as Node, ['weight', 'bias', 'running_mean', 'running_var']);
  if (typeof weights === 'string') return weights;
  const epsilon = epsilonOf(node.attrs.epsilon);
  const options = Object.keys(epsilon).length === 0 ? 'batch' : { kind: 'batch', ...epsilon };
  return { kind: 'norm', options, inputs: [operand(node as Node, 0)], weights };
}

/** Normalisation without statistics; a scale per channel. */
const norm =
  (options: (node: Node) => object): LayerRule =>
  (node) => {
    const weights = stored(node, ['weight', 'bias']);
    if (typeof weights === 'string') return weights;
    const channels = shapeOf(node)[1] ?? 1;
    const fits =
      Object.values(weights).length === 2 &&
      Object.values(weights).every((w) => sameShape(w.type.shape, [channels]));
    if (!fits) return 'it has no scale and shift per channel';
    return { kind: 'norm', options: options(node), inputs: [operand(node, 0)], weights };
  };

function dense(node: Node<'Gemm'>): WrittenLayer | string {
  const { alpha, beta, transA, transB } = node.attrs;
  if (alpha !== 1 || beta !== 1 || transA) return 'its product is scaled or transposed';
  const weights = stored(node as Node, ['weight', 'bias']);
  if (typeof weights === 'string') return weights;
  const [, units = 1] = result(node as Node).type.shape;
  if (weights.bias && !sameShape(weights.bias.type.shape, [units]))
    return `its bias is ${formatShape(weights.bias.type.shape)}, not one number per unit`;
  const options = weights.bias ? units : { units, bias: false };
  const { weight } = weights;
  const turned = weight && !transB ? { ...weights, weight: transposedMatrix(weight) } : weights;
  return { kind: 'dense', options, inputs: [operand(node as Node, 0)], weights: turned };
}

function transposedMatrix(constant: Constant): Constant {
  const [rows = 1, columns = 1] = constant.type.shape;
  const type = { dtype: constant.type.dtype, shape: [columns, rows] };
  if ('missing' in constant) return { ...constant, type };
  const { data } = constant;
  const turned = new Float32Array(data.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) turned[c * rows + r] = Number(data[r * columns + c]);
  return { type, data: turned };
}

interface PoolAttrs extends WindowAttrs {
  readonly kernel: readonly number[];
  readonly ceil: boolean;
}

const pool = ({ kernel, strides, pads, ceil }: PoolAttrs) => ({
  kernel: compact(kernel),
  stride: compact(strides),
  padding: padding(pads),
  ...(ceil ? { ceil } : {}),
});

const plain =
  (kind: string, options: unknown = {}): LayerRule =>
  (node) => ({
    kind,
    options,
    inputs: [operand(node, 0)],
  });
const activation = (name: string) => plain('activation', name);
const sloped = (name: string, alpha: number, known: number) =>
  plain('activation', isDefault(alpha, known) ? name : { name, alpha: short(alpha) });

/** A sum or product of values of the network; with constants there is no layer. */
const elementwise =
  (kind: 'add' | 'mul'): LayerRule =>
  (node) => {
    const inputs = [operand(node, 0), operand(node, 1)];
    if (inputs.some((v) => constantOf(v))) return 'one of its operands is a constant';
    const [a = [], b = []] = inputs.map((v) => v.type.shape);
    if (a.length !== b.length || (kind === 'add' && !sameShape(a, b)))
      return `its operands are ${formatShape(a)} and ${formatShape(b)}, which are not joined`;
    return { kind, options: {}, inputs };
  };

function resize({ attrs }: Node<'Resize'>, x: Value): WrittenLayer | string {
  const { shape } = x.type;
  if (attrs.antialias || attrs.excludeOutside) return 'it resizes with antialias or without what is outside';
  if (attrs.sizes[0] !== shape[0] || attrs.sizes[1] !== shape[1])
    return 'it resizes other axes than spatial ones';
  const nearest = attrs.mode === 'nearest';
  const known = nearest
    ? attrs.coordinates === 'asymmetric' && attrs.nearestMode === 'floor'
    : attrs.coordinates === 'half_pixel' || attrs.coordinates === 'align_corners';
  if (!known) return `it resizes by ${attrs.coordinates}${nearest ? ` and ${attrs.nearestMode}` : ''}`;
  const scales = attrs.scales.slice(2);
  const exact = shape.slice(2).every((s, i) => Math.floor(s * (scales[i] ?? 1)) === attrs.sizes[i + 2]);
  const options = {
    ...(exact ? { scale: compact(scales) } : { size: compact(attrs.sizes.slice(2)) }),
    mode: attrs.mode,
    ...(attrs.coordinates === 'align_corners' ? { alignCorners: true } : {}),
  };
  return { kind: 'interpolate', options, inputs: [x] };
}

function pad(node: Node<'Pad'>): WrittenLayer | string {
  const { mode, pads, value } = node.attrs;
  const rank = pads.length / 2;
  if (mode === 'wrap') return 'it pads by wrapping around';
  if ([pads[0], pads[1], pads[rank], pads[rank + 1]].some((p) => p !== 0))
    return 'it pads other axes than spatial ones';
  if (pads.some((p) => p < 0)) return 'it crops';
  const shape = shapeOf(node as Node);
  if (mode === 'reflect' && pads.some((p, i) => p >= Math.max(1, shape[i % rank] ?? 1)))
    return 'it reflects more than there is';
  const spatial = [...pads.slice(2, rank), ...pads.slice(rank + 2)];
  const said = padding(spatial);
  return {
    kind: 'pad',
    options: {
      padding: said === 'valid' ? 0 : said,
      mode,
      ...(value === 0 || mode !== 'constant' ? {} : { value: short(value) }),
    },
    inputs: [operand(node as Node, 0)],
  };
}

/** [N, …] → [N, all]: a flatten, however it is written. */
const flattens = (node: Node): boolean => {
  const from = shapeOf(node);
  const to = result(node).type.shape;
  return to.length === 2 && to[0] === from[0];
};
const flatten: LayerRule = (node) =>
  flattens(node)
    ? plain('flatten')(node)
    : `it makes ${formatShape(result(node).type.shape)} of ${formatShape(shapeOf(node))}`;

const spatialAxes = (node: Node): readonly number[] =>
  shapeOf(node)
    .map((_, i) => i)
    .slice(2);
const reduces = (axes: readonly number[], keepDims: boolean, node: Node): boolean =>
  keepDims &&
  spatialAxes(node).length > 0 &&
  [...axes].sort((a, b) => a - b).join() === spatialAxes(node).join();

export const LAYER_RULES: { readonly [K in OpName]?: LayerRule<K> } = {
  Conv: conv,
  ConvTranspose: transposed,
  BatchNormalization: batchNorm,
  InstanceNormalization: norm(({ attrs }) => ({
    kind: 'instance',
    ...epsilonOf((attrs as { epsilon: number }).epsilon),
  })) as LayerRule<'InstanceNormalization'>,
  GroupNormalization: (node) =>
    norm(() => ({ kind: 'group', groups: node.attrs.groups, ...epsilonOf(node.attrs.epsilon) }))(
      node as Node,
    ),
  Gemm: dense,
  MaxPool: (node) => ({
    kind: 'maxPool',
    options: { ...pool(node.attrs), ...unlessOne('dilation', node.attrs.dilations) },
    inputs: [operand(node as Node, 0)],
  }),
  AveragePool: (node) =>
    node.attrs.dilations.some((d) => d !== 1)
      ? 'it is dilated'
      : {
          kind: 'averagePool',
          options: { ...pool(node.attrs), ...(node.attrs.countIncludePad ? { includePadding: true } : {}) },
          inputs: [operand(node as Node, 0)],
        },
  GlobalAveragePool: plain('globalPool', 'average'),
  ReduceMean: (node) =>
    reduces(node.attrs.axes, node.attrs.keepDims, node as Node)
      ? plain('globalPool', 'average')(node as Node)
      : 'it reduces other axes than the spatial ones, or drops them',
  ReduceMax: (node) =>
    reduces(node.attrs.axes, node.attrs.keepDims, node as Node)
      ? plain('globalPool', 'max')(node as Node)
      : 'it reduces other axes than the spatial ones, or drops them',
  Relu: activation('relu') as LayerRule<'Relu'>,
  Sigmoid: activation('sigmoid') as LayerRule<'Sigmoid'>,
  HardSwish: activation('hardSwish') as LayerRule<'HardSwish'>,
  Tanh: activation('tanh') as LayerRule<'Tanh'>,
  Mish: activation('mish') as LayerRule<'Mish'>,
  Softplus: activation('softplus') as LayerRule<'Softplus'>,
  Swish: (node) =>
    node.attrs.alpha === 1
      ? activation('silu')(node as Node)
      : `its alpha is ${node.attrs.alpha}; silu has 1`,
  Gelu: (node) =>
    node.attrs.approximate === 'none' ? activation('gelu')(node as Node) : 'it is approximated by tanh',
  Elu: (node) => sloped('elu', node.attrs.alpha, 1)(node as Node),
  LeakyRelu: (node) => sloped('leakyRelu', node.attrs.alpha, 0.01)(node as Node),
  Clip: (node) =>
    node.attrs.min === 0 && node.attrs.max === 6
      ? activation('relu6')(node as Node)
      : `it clips to ${node.attrs.min} … ${node.attrs.max}; there is relu6 only`,
  HardSigmoid: (node) =>
    Math.fround(node.attrs.alpha) === Math.fround(1 / 6) && node.attrs.beta === 0.5
      ? activation('hardSigmoid')(node as Node)
      : `its slope is ${node.attrs.alpha}; hardSigmoid has 1/6`,
  Softmax: (node) =>
    node.attrs.axis === 1 ? plain('softmax')(node as Node) : `it is over axis ${node.attrs.axis}`,
  Add: elementwise('add') as LayerRule<'Add'>,
  Mul: elementwise('mul') as LayerRule<'Mul'>,
  Concat: (node) => {
    const inputs = node.operands.flatMap((v) => (v ? [v] : []));
    if (node.attrs.axis !== 1) return `it joins axis ${node.attrs.axis}, not channels`;
    return inputs.some((v) => constantOf(v))
      ? 'one of its operands is a constant'
      : { kind: 'concat', options: {}, inputs };
  },
  Split: (node) =>
    node.attrs.axis === 1
      ? { kind: 'split', options: { sizes: node.attrs.sizes }, inputs: [operand(node as Node, 0)] }
      : `it splits axis ${node.attrs.axis}, not channels`,
  Resize: (node) => resize(node, operand(node as Node, 0)),
  Pad: pad,
  ChannelShuffle: (node) => plain('channelShuffle', node.attrs.groups)(node as Node),
  DepthToSpace: (node) =>
    plain('depthToSpace', { block: node.attrs.blocksize, order: node.attrs.mode })(node as Node),
  Flatten: flatten as LayerRule<'Flatten'>,
  Reshape: flatten as LayerRule<'Reshape'>,
  Squeeze: flatten as LayerRule<'Squeeze'>,
  Identity: () => undefined,
};

/** The layer of a node by itself, nothing where it does nothing, or why there is none. */
export function layerOf(node: Node): WrittenLayer | string | undefined {
  if (node.epilogue) return 'it has an epilogue';
  const rule = (LAYER_RULES as Readonly<Partial<Record<OpName, LayerRule>>>)[node.op];
  return rule ? rule(node) : 'the JSON description has no layer for this';
}
