/** The operator sets in which nodes mean what the rules of export write. */
import type { AttributeProto, Init, NodeProto } from '../../import/onnx/generated/onnx-proto.js';

/** Group normalisation with a scale per channel, and pooling as PyTorch counts, are of this version. */
export const OPSET = 21;
/** Lists are inputs from here on, as the rules write them. */
const FIRST = 13;
const LAST = 26;

/**
 * The first version whose op takes what the rules write of floats and of indices; what is not named here is written for
 * version 21. (The versions of the ONNX operators' specification.)
 */
const SINCE: Readonly<Record<string, number>> = {
  ...versions(
    13,
    'Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Gemm MatMul Add Sub Mul Div Neg Abs Sqrt Exp Log Pow Erf',
    'Relu LeakyRelu PRelu Elu Celu Selu Sigmoid Tanh Softplus Softsign HardSigmoid ThresholdedRelu Clip Floor Ceil Reciprocal Min Max',
    'BatchNormalization InstanceNormalization LRN Softmax LogSoftmax Hardmax ReduceSum ArgMax ArgMin TopK',
    'Reshape Flatten Squeeze Unsqueeze Expand Tile Transpose Concat Slice Split Pad Gather GatherElements GatherND',
    'Resize DepthToSpace SpaceToDepth Identity Where ConstantOfShape Einsum NonMaxSuppression LSTM GRU RNN Cast',
  ),
  ...versions(14, 'HardSwish CumSum'),
  ...versions(17, 'LayerNormalization'),
  ...versions(
    18,
    'Mish ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum',
    'ReduceLogSumExp ReduceSumSquare',
  ),
  ...versions(20, 'Gelu GridSample'),
};

/** Of reductions that say their axes as an attribute. */
const OLD_REDUCTION = 13;

/** Attributes that came later than their op. */
const ATTRIBUTES: Readonly<Record<string, number>> = {
  'Reshape allowzero': 14,
  'AveragePool dilations': 19,
  'AveragePool ceil_mode': OPSET,
  'Resize antialias': 18,
};

function versions(version: number, ...lists: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(lists.flatMap((list) => list.split(' ')).map((op) => [op, version]));
}

/** Up to which version reductions say their axes as an attribute. */
export const LAST_AXES_ATTRIBUTE = 17;

/** The first version that has this node. */
export function opsetOf({ opType = '', attribute = [] }: Init<NodeProto>): number {
  const named: readonly Init<AttributeProto>[] = attribute ?? [];
  const names = named.map(({ name }) => name ?? '');
  if (/^Reduce/.test(opType) && names.includes('axes')) return OLD_REDUCTION;
  const later = names.map((name) => ATTRIBUTES[`${opType} ${name}`] ?? 0);
  return Math.max(SINCE[opType] ?? OPSET, ...later);
}

/** The version that a model of this version is written in, if no op asks for more. */
export const keptOpset = (wanted: number | undefined): number =>
  Math.min(LAST, Math.max(FIRST, wanted || OPSET));

/** The version of the file format that came with an operator set. */
export function irVersionOf(opset: number): number {
  if (opset <= 18) return 8;
  if (opset <= 20) return 9;
  return opset <= 21 ? 10 : 13;
}
