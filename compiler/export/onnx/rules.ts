/** How each op is written as ONNX. Ops without attributes are ONNX's own and need no rule. */
import { arg, formatExpr } from '#ir/expr.ts';
import { type Node, type OpName, operand, result } from '#ir/graph.ts';
import { RECURRENT_ACTIVATIONS } from '#ir/ops/recurrent.ts';
import { tensor } from '#ir/tensor.ts';
import { isWide, product, type Shape } from '#ir/types.ts';
import { extent, outputSize, windowAxes } from '#ir/window.ts';
import { LAST_AXES_ATTRIBUTE } from './opsets.ts';
import {
  DATA_TYPES,
  ExportRefusal,
  type ExportRule,
  float,
  int,
  ints,
  type NodeExport,
  stored,
  word,
  words,
} from './rule.ts';

interface PoolAttrs {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly ceil: boolean;
}

const inputShape = (node: Node): Shape => operand(node, 0).type.shape;

const poolAttributes = ({ kernel, strides, dilations, pads, ceil }: PoolAttrs) => ({
  kernel_shape: ints(kernel),
  strides: ints(strides),
  ...(dilations.every((d) => d === 1) ? {} : { dilations: ints(dilations) }),
  pads: ints(pads),
  ...(ceil ? { ceil_mode: int(true) } : {}),
});

/**
 * On which axes rounding up makes a difference. Readers disagree about a window that starts in the end padding, so `ceil`
 * is said only where no axis would have one; `mixed` where some axis does and another needs it.
 */
function roundingUp(
  node: Node,
  attrs: PoolAttrs,
): { readonly rises: readonly boolean[]; readonly mixed: boolean } {
  const shape = inputShape(node);
  const axes = windowAxes(attrs);
  const down = axes.map((axis, i) => outputSize(axis, shape[i + 2] ?? 0));
  const rises = down.map((size, i) => size !== result(node).type.shape[i + 2]);
  const uneven = axes.map(
    (axis, i) => ((shape[i + 2] ?? 0) + axis.padBegin + axis.padEnd - extent(axis)) % axis.stride !== 0,
  );
  return { rises, mixed: rises.includes(true) && uneven.some((is, i) => is && !rises[i]) };
}

/** Where rounding up is mixed, the pool over the axes that it adds to and then over the others, which comes to the same. */
function pool(
  op: 'MaxPool' | 'AveragePool' | 'LpPool',
  node: Node,
  attrs: PoolAttrs,
  out: NodeExport,
  more: Parameters<NodeExport['emit']>[1] = {},
): void {
  const { rises, mixed } = roundingUp(node, attrs);
  const over = (axes: readonly boolean[], ceil: boolean) => {
    const on = (list: readonly number[], off: number) =>
      list.map((n, i) => (axes[i % axes.length] ? n : off));
    const { kernel, strides, dilations, pads } = attrs;
    const part = {
      kernel: on(kernel, 1),
      strides: on(strides, 1),
      dilations: on(dilations, 1),
      pads: on(pads, 0),
    };
    return { ...poolAttributes({ ...part, ceil }), ...more };
  };
  if (!mixed) out.emit(op, { ...poolAttributes({ ...attrs, ceil: rises.includes(true) }), ...more });
  else {
    const risen = out.step(op, out.inputs, over(rises, true));
    const rest = rises.map((is) => !is);
    out.emit(op, over(rest, false), { inputs: [risen] });
  }
}

/** Positions are of the input, so all axes are pooled at once; end padding, which is never largest, stands for `ceil`. */
function maxPoolWithIndices(node: Node<'MaxPoolWithIndices'>, out: NodeExport): void {
  const { attrs } = node;
  const { rises, mixed } = roundingUp(node as Node, attrs);
  const { shape } = result(node as Node).type;
  const ends = windowAxes(attrs).map((axis, i) => {
    const reach = ((shape[i + 2] ?? 1) - 1) * axis.stride + extent(axis);
    return rises[i] ? reach - axis.padBegin - (inputShape(node as Node)[i + 2] ?? 0) : axis.padEnd;
  });
  const window = mixed
    ? { ...attrs, pads: [...attrs.pads.slice(0, ends.length), ...ends], ceil: false }
    : { ...attrs, ceil: rises.includes(true) };
  out.emit('MaxPool', { ...poolAttributes(window), storage_order: int(attrs.columnMajor) });
}

type Reduction = Extract<OpName, `Reduce${string}`>;
const reduction = (node: Node<Reduction>, out: NodeExport): void => {
  const { axes, keepDims } = node.attrs;
  if (node.op !== 'ReduceSum' && axes.length > 0 && out.wanted <= LAST_AXES_ATTRIBUTE) {
    out.emit(node.op, { keepdims: int(keepDims), axes: ints(axes) });
    return;
  }
  const inputs = [...out.inputs, out.list(axes, 'axes')];
  out.emit(node.op, { keepdims: int(keepDims), noop_with_empty_axes: int(axes.length === 0) }, { inputs });
};

const axis = (
  node: Node<'Softmax' | 'LogSoftmax' | 'Hardmax' | 'Concat' | 'Gather' | 'Flatten'>,
  out: NodeExport,
) => out.emit(node.op, { axis: int(node.attrs.axis) });
const alpha = (node: Node<'LeakyRelu' | 'Elu' | 'Celu' | 'ThresholdedRelu'>, out: NodeExport) =>
  out.emit(node.op, { alpha: float(node.attrs.alpha) });
/** An op whose list became an input. */
const withList = (op: string, list: readonly number[], what: string, out: NodeExport) =>
  out.emit(op, {}, { inputs: [...out.inputs, out.list(list, what)] });
const extremum = (node: Node<'ArgMax' | 'ArgMin'>, out: NodeExport) =>
  out.emit(node.op, {
    axis: int(node.attrs.axis),
    keepdims: int(node.attrs.keepDims),
    select_last_index: int(node.attrs.selectLast),
  });
const normalisation = (node: Node<'LayerNormalization' | 'RMSNormalization'>, out: NodeExport) =>
  out.emit(node.op, { axis: int(node.attrs.axis), epsilon: float(node.attrs.epsilon) });

function clip(node: Node<'Clip'>, out: NodeExport): void {
  const { min, max } = node.attrs;
  const low = Number.isFinite(min) ? out.scalar(min, 'min') : '';
  const high = Number.isFinite(max) ? out.scalar(max, 'max') : '';
  const inputs = [...out.inputs, low, high];
  while (inputs.at(-1) === '') inputs.pop();
  out.emit('Clip', {}, { inputs });
}

/** By scales where they give the sizes; else by sizes, from which ONNX computes scales. */
function resize(node: Node<'Resize'>, out: NodeExport): void {
  const { attrs } = node;
  const scaled = inputShape(node as Node).map((size, i) =>
    Math.floor(size * Math.fround(attrs.scales[i] ?? 1)),
  );
  const byScale = scaled.every((size, i) => size === attrs.sizes[i]);
  const [x = ''] = out.inputs;
  if (attrs.coordinates === 'half_pixel_symmetric') out.opset = 19;
  const roi = attrs.roi.length === 0 ? '' : out.floats(attrs.roi, 'roi');
  out.emit(
    'Resize',
    {
      mode: word(attrs.mode),
      coordinate_transformation_mode: word(attrs.coordinates),
      nearest_mode: word(attrs.nearestMode),
      cubic_coeff_a: float(attrs.cubicA),
      exclude_outside: int(attrs.excludeOutside),
      ...(attrs.antialias ? { antialias: int(true) } : {}),
    },
    {
      inputs: byScale
        ? [x, roi, out.floats(attrs.scales, 'scales')]
        : [x, roi, '', out.list(attrs.sizes, 'sizes')],
    },
  );
}

function slice(node: Node<'Slice'>, out: NodeExport): void {
  const { starts, steps, sizes } = node.attrs;
  const shape = inputShape(node as Node);
  const ends = starts.map((start, i) => {
    const end = start + (sizes[i] ?? 0) * (steps[i] ?? 1);
    // a negative end counts from the back; this one is clamped to before the first element
    return end < 0 ? -(shape[i] ?? 0) - 1 : end;
  });
  const axes = starts.map((_, i) => i);
  const [x = ''] = out.inputs;
  const lists = [
    out.list(starts, 'starts'),
    out.list(ends, 'ends'),
    out.list(axes, 'axes'),
    out.list(steps, 'steps'),
  ];
  out.emit('Slice', {}, { inputs: [x, ...lists] });
}

/** As exporters spell it: [N, g, C/g, rest] transposed. */
function channelShuffle(node: Node<'ChannelShuffle'>, out: NodeExport): void {
  const shape = inputShape(node as Node);
  const [n = 1, c = 1] = shape;
  const { groups } = node.attrs;
  const view = [n, groups, c / groups, product(shape.slice(2))];
  const [x = ''] = out.inputs;
  const seen = out.step('Reshape', [x, out.list(view, 'view')]);
  const turned = out.step('Transpose', [seen], { perm: ints([0, 2, 1, 3]) });
  out.emit('Reshape', {}, { inputs: [turned, out.list(shape, 'shape')] });
}

function swish(node: Node<'Swish'>, out: NodeExport): void {
  const [x = ''] = out.inputs;
  const scale = node.attrs.alpha;
  const scaled = scale === 1 ? x : out.step('Mul', [x, out.scalar(scale, 'alpha')]);
  out.emit('Mul', {}, { inputs: [x, out.step('Sigmoid', [scaled])] });
}

/** Recurrent layers of the common activations, with their states in ONNX's order: lengths come before them. */
function recurrent(
  node: Node<'LSTM' | 'GRU' | 'RNN'>,
  out: NodeExport,
  more: Readonly<Record<string, ReturnType<typeof int>>>,
): void {
  const { direction, activations, clip: bound, lengths } = node.attrs;
  const named = activations.split('; ').map((text) => {
    const known = Object.keys(RECURRENT_ACTIVATIONS).find(
      (name) => formatExpr(RECURRENT_ACTIVATIONS[name]?.() ?? arg(0)) === text,
    );
    if (known === undefined) throw new ExportRefusal(`its activation ${text} is none of ONNX's`);
    return known.charAt(0).toUpperCase() + known.slice(1);
  });
  const [x = '', w = '', r = '', b = '', ...states] = out.inputs;
  const stepsOf =
    lengths.length === 0 ? '' : out.constant(tensor('i32', [lengths.length], lengths), 'lengths');
  const inputs = [x, w, r, b, stepsOf, ...states];
  while (inputs.at(-1) === '') inputs.pop();
  const [, , hidden = 0] = operand(node as Node, 2).type.shape;
  const attributes = {
    direction: word(direction),
    activations: words(named),
    hidden_size: int(hidden),
    ...(bound > 0 ? { clip: float(bound) } : {}),
    ...more,
  };
  out.emit(node.op, attributes, { inputs });
}

/** The kernel shows in the third input only, which says the result's shape. */
function maxUnpool(node: Node<'MaxUnpool'>, out: NodeExport): void {
  const kernel = inputShape(node as Node)
    .slice(2)
    .map(() => 1);
  const inputs = [...out.inputs, out.list(node.attrs.shape, 'shape')];
  out.emit('MaxUnpool', { kernel_shape: ints(kernel) }, { inputs });
}

function quantize(node: Node<'QuantizeLinear'>, out: NodeExport): void {
  const { axis: along, block } = node.attrs;
  const code = DATA_TYPES[result(node as Node).type.dtype];
  const said = out.inputs.length > 2 ? {} : { output_dtype: int(code) };
  out.emit('QuantizeLinear', { axis: int(along), ...(block > 0 ? { block_size: int(block) } : {}), ...said });
}

const convolved = (node: Node<'Conv' | 'ConvInteger' | 'QLinearConv'>, out: NodeExport) =>
  out.emit(node.op, {
    strides: ints(node.attrs.strides),
    dilations: ints(node.attrs.dilations),
    pads: ints(node.attrs.pads),
    group: int(node.attrs.group),
  });

function constantOfShape(node: Node<'ConstantOfShape'>, out: NodeExport): void {
  const { dtype, value } = node.attrs;
  const element = tensor(dtype, [1], [isWide(dtype) ? BigInt(Math.trunc(value)) : value]);
  out.emit('ConstantOfShape', { value: stored(element) });
}

export const RULES: { readonly [K in OpName]?: ExportRule<K> } = {
  Conv: convolved,
  ConvInteger: convolved,
  QLinearConv: convolved,
  QuantizeLinear: quantize,
  DequantizeLinear: ({ attrs }, out) =>
    out.emit('DequantizeLinear', {
      axis: int(attrs.axis),
      ...(attrs.block > 0 ? { block_size: int(attrs.block) } : {}),
    }),
  Einsum: ({ attrs }, out) => out.emit('Einsum', { equation: word(attrs.equation) }),
  RMSNormalization: (node, out) => {
    out.opset = 23;
    normalisation(node, out);
  },
  CumProd: ({ attrs }, out) => {
    out.opset = 26;
    out.emit(
      'CumProd',
      { exclusive: int(attrs.exclusive), reverse: int(attrs.reverse) },
      { inputs: [...out.inputs, out.constant(tensor('i64', [], [BigInt(attrs.axis)]), 'axis')] },
    );
  },
  MaxUnpool: maxUnpool,
  LSTM: (node, out) => recurrent(node, out, { input_forget: int(node.attrs.inputForget) }),
  GRU: (node, out) => recurrent(node, out, { linear_before_reset: int(node.attrs.linearBeforeReset) }),
  RNN: (node, out) => recurrent(node, out, {}),
  ConvTranspose: ({ attrs }, out) =>
    out.emit('ConvTranspose', {
      strides: ints(attrs.strides),
      dilations: ints(attrs.dilations),
      pads: ints(attrs.pads),
      group: int(attrs.group),
      output_padding: ints(attrs.outputPadding),
    }),
  Gemm: ({ attrs }, out) =>
    out.emit('Gemm', {
      alpha: float(attrs.alpha),
      beta: float(attrs.beta),
      transA: int(attrs.transA),
      transB: int(attrs.transB),
    }),
  MaxPool: (node, out) => pool('MaxPool', node as Node, node.attrs, out),
  AveragePool: (node, out) =>
    pool('AveragePool', node as Node, node.attrs, out, {
      count_include_pad: int(node.attrs.countIncludePad),
    }),
  LpPool: (node, out) => pool('LpPool', node as Node, node.attrs, out, { p: int(node.attrs.p) }),
  BatchNormalization: ({ attrs }, out) => out.emit('BatchNormalization', { epsilon: float(attrs.epsilon) }),
  InstanceNormalization: ({ attrs }, out) =>
    out.emit('InstanceNormalization', { epsilon: float(attrs.epsilon) }),
  GroupNormalization: ({ attrs }, out) =>
    out.emit('GroupNormalization', { num_groups: int(attrs.groups), epsilon: float(attrs.epsilon) }),
  LayerNormalization: normalisation,
  LpNormalization: ({ attrs }, out) =>
    out.emit('LpNormalization', { axis: int(attrs.axis), p: int(attrs.p) }),
  MeanVarianceNormalization: ({ attrs }, out) =>
    out.emit('MeanVarianceNormalization', { axes: ints(attrs.axes) }),
  LRN: ({ attrs }, out) =>
    out.emit('LRN', {
      size: int(attrs.size),
      alpha: float(attrs.alpha),
      beta: float(attrs.beta),
      bias: float(attrs.bias),
    }),
  Softmax: axis,
  LogSoftmax: axis,
  Hardmax: axis,
  LeakyRelu: alpha,
  Elu: alpha,
  Celu: alpha,
  ThresholdedRelu: alpha,
  Selu: ({ attrs }, out) => out.emit('Selu', { alpha: float(attrs.alpha), gamma: float(attrs.gamma) }),
  HardSigmoid: ({ attrs }, out) =>
    out.emit('HardSigmoid', { alpha: float(attrs.alpha), beta: float(attrs.beta) }),
  Shrink: ({ attrs }, out) => out.emit('Shrink', { lambd: float(attrs.lambda), bias: float(attrs.bias) }),
  Gelu: ({ attrs }, out) => out.emit('Gelu', { approximate: word(attrs.approximate) }),
  Swish: swish,
  Clip: clip,
  Mod: ({ attrs }, out) => out.emit('Mod', { fmod: int(attrs.truncated) }),
  IsInf: ({ attrs }, out) =>
    out.emit('IsInf', { detect_positive: int(attrs.positive), detect_negative: int(attrs.negative) }),
  BitShift: ({ attrs }, out) => out.emit('BitShift', { direction: word(attrs.direction.toUpperCase()) }),
  ReduceSum: reduction,
  ReduceMean: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceProd: reduction,
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceLogSum: reduction,
  ReduceLogSumExp: reduction,
  ReduceSumSquare: reduction,
  ArgMax: extremum,
  ArgMin: extremum,
  Resize: resize,
  Reshape: ({ attrs }, out) =>
    out.emit('Reshape', attrs.shape.includes(0) ? { allowzero: int(true) } : {}, {
      inputs: [...out.inputs, out.list(attrs.shape, 'shape')],
    }),
  Flatten: axis,
  Squeeze: ({ attrs }, out) => withList('Squeeze', attrs.axes, 'axes', out),
  Unsqueeze: ({ attrs }, out) => withList('Unsqueeze', attrs.axes, 'axes', out),
  Expand: ({ attrs }, out) => withList('Expand', attrs.shape, 'shape', out),
  Tile: ({ attrs }, out) => withList('Tile', attrs.repeats, 'repeats', out),
  Transpose: ({ attrs }, out) => out.emit('Transpose', { perm: ints(attrs.perm) }),
  Concat: axis,
  Slice: slice,
  Split: ({ attrs }, out) =>
    out.emit('Split', { axis: int(attrs.axis) }, { inputs: [...out.inputs, out.list(attrs.sizes, 'split')] }),
  Pad: ({ attrs }, out) => {
    const inputs = [...out.inputs, out.list(attrs.pads, 'pads')];
    if (attrs.mode === 'constant' && attrs.value !== 0) inputs.push(out.scalar(attrs.value, 'value'));
    out.emit('Pad', { mode: word(attrs.mode) }, { inputs });
  },
  Gather: axis,
  GatherElements: ({ attrs }, out) => out.emit('GatherElements', { axis: int(attrs.axis) }),
  GatherND: ({ attrs }, out) => out.emit('GatherND', { batch_dims: int(attrs.batchDims) }),
  ScatterElements: ({ attrs }, out) =>
    out.emit('ScatterElements', { axis: int(attrs.axis), reduction: word(attrs.reduction) }),
  ScatterND: ({ attrs }, out) => out.emit('ScatterND', { reduction: word(attrs.reduction) }),
  TopK: ({ attrs }, out) =>
    out.emit(
      'TopK',
      { axis: int(attrs.axis), largest: int(attrs.largest) },
      { inputs: [...out.inputs, out.list([attrs.k], 'k')] },
    ),
  CumSum: ({ attrs }, out) =>
    out.emit(
      'CumSum',
      { exclusive: int(attrs.exclusive), reverse: int(attrs.reverse) },
      { inputs: [...out.inputs, out.constant(tensor('i64', [], [BigInt(attrs.axis)]), 'axis')] },
    ),
  NonMaxSuppression: ({ attrs }, out) =>
    out.emit('NonMaxSuppression', { center_point_box: int(attrs.center) }),
  GridSample: ({ attrs }, out) =>
    out.emit('GridSample', {
      mode: word(attrs.mode),
      padding_mode: word(attrs.padding),
      align_corners: int(attrs.alignCorners),
    }),
  RoiAlign: ({ attrs }, out) =>
    out.emit('RoiAlign', {
      mode: word(attrs.mode),
      output_height: int(attrs.size[0] ?? 1),
      output_width: int(attrs.size[1] ?? 1),
      sampling_ratio: int(attrs.samples),
      spatial_scale: float(attrs.scale),
      coordinate_transformation_mode: word(attrs.halfPixel ? 'half_pixel' : 'output_half_pixel'),
    }),
  DeformConv: ({ attrs }, out) =>
    out.emit('DeformConv', {
      strides: ints(attrs.strides),
      dilations: ints(attrs.dilations),
      pads: ints(attrs.pads),
      group: int(attrs.group),
      offset_group: int(attrs.offsetGroups),
    }),
  Col2Im: ({ attrs }, out) =>
    out.emit(
      'Col2Im',
      { strides: ints(attrs.strides), dilations: ints(attrs.dilations), pads: ints(attrs.pads) },
      { inputs: [...out.inputs, out.list(attrs.image, 'image_shape'), out.list(attrs.block, 'block_shape')] },
    ),
  MaxPoolWithIndices: maxPoolWithIndices,
  DepthToSpace: ({ attrs }, out) =>
    out.emit('DepthToSpace', { blocksize: int(attrs.blocksize), mode: word(attrs.mode) }),
  ChannelShuffle: channelShuffle,
  Shape: ({ attrs }, out) => out.emit('Shape', { start: int(attrs.start), end: int(attrs.end) }),
  ConstantOfShape: constantOfShape,
  Cast: (node, out) => out.emit('Cast', { to: int(DATA_TYPES[result(node as Node).type.dtype]) }),
};
