/** How each op becomes kernel calls. An op that is missing here does not type-check. */
import {
  lowerChannelShuffle,
  lowerConcat,
  lowerDepthToSpace,
  lowerExpand,
  lowerPad,
  lowerSlice,
  lowerSplit,
  lowerTile,
  lowerTranspose,
  lowerView,
} from '#compiler/schedule/move.ts';
import { type Graph, type Node, type OpName, operand, tensorOf, type Value } from '#ir/graph.ts';
import { elementCount } from '#ir/types.ts';
import type { LowerContext } from '../context.ts';
import { unsupportedIn } from '../wgsl-expr.ts';
import { beyondWords } from '../words.ts';
import { lowerLargest, lowerMaxUnpool, lowerTopK } from './choose.ts';
import { elementwiseRefusal, lowerCast, lowerElementwise } from './elementwise.ts';
import { lowerNonMaxSuppression, lowerNonZero } from './find.ts';
import {
  lowerGather,
  lowerGatherElements,
  lowerGatherND,
  lowerResize,
  lowerScatterElements,
  lowerScatterND,
  resizeRefusal,
} from './indexed.ts';
import { lowerIntegerProduct, lowerQLinear, quantisedRefusal } from './integer.ts';
import { lowerGemm, lowerMatMul } from './product.ts';
import { lowerGru, lowerLstm, lowerRnn, recurrentRefusal } from './recurrent.ts';
import {
  lowerArgReduction,
  lowerGlobalAveragePool,
  lowerReduction,
  lowerScan,
  lowerSoftmax,
  reductionRefusal,
} from './reduce.ts';
import { lowerCol2Im, lowerDeformConv, lowerGridSample, lowerRoiAlign } from './sampled.ts';
import { lowerAveragePool, lowerConv, lowerConvTranspose, lowerMaxPool } from './window.ts';

interface Lowering {
  /** Why a node cannot be lowered in this form; absent where every form can. */
  readonly refuse?: (node: Node) => string | undefined;
  readonly lower: (node: Node, context: LowerContext) => void;
}

/** f32 results and operands; movement ops take any type and do not ask. */
const floats = (node: Node): string | undefined => {
  for (const value of [...node.operands, ...node.outputs]) {
    if (value && value.type.dtype !== 'f32') return `${node.op} of ${value.type.dtype} values`;
  }
  return undefined;
};

const elementwise: Lowering = { lower: lowerElementwise, refuse: elementwiseRefusal };
const reduction: Lowering = { lower: lowerReduction, refuse: reductionRefusal };
const view: Lowering = { lower: lowerView };
const never = (refuse: (node: Node) => string): Lowering => ({ refuse, lower: () => {} });
const folded = (node: Node): string => `${node.op} of values that are not constant`;
/** What passes/canonicalize/expand-composites.ts writes in other ops, in every form that it can. */
const composite = never((node) => `${node.op} that could not be written in other operators`);

const LOWERINGS: { readonly [K in OpName]: Lowering } = {
  Conv: { lower: lowerConv, refuse: floats },
  ShuffledConv: { lower: lowerConv, refuse: floats },
  ConvTranspose: { lower: lowerConvTranspose, refuse: floats },
  Gemm: { lower: lowerGemm, refuse: floats },
  MatMul: { lower: lowerMatMul, refuse: floats },
  MaxPool: {
    lower: (node, context) => (floats(node) ? lowerLargest : lowerMaxPool)(node, context),
  },
  AveragePool: { lower: lowerAveragePool, refuse: floats },
  GlobalAveragePool: { lower: lowerGlobalAveragePool, refuse: floats },
  BatchNormalization: never(
    () => 'batch normalisation that no pass has written as multiplication and addition',
  ),
  Softmax: { lower: lowerSoftmax, refuse: floats },
  LogSoftmax: composite,
  Hardmax: composite,
  LayerNormalization: composite,
  RMSNormalization: composite,
  GroupNormalization: composite,
  InstanceNormalization: composite,
  MeanVarianceNormalization: composite,
  LpNormalization: composite,
  LRN: composite,
  LpPool: composite,
  QuantizeLinear: composite,
  DequantizeLinear: composite,
  DynamicQuantizeLinear: composite,
  QLinearConv: { lower: lowerQLinear, refuse: quantisedRefusal },
  QLinearMatMul: { lower: lowerQLinear, refuse: quantisedRefusal },
  Einsum: composite,
  Det: composite,
  ConvInteger: { lower: lowerIntegerProduct },
  MatMulInteger: { lower: lowerIntegerProduct },
  Relu: elementwise,
  LeakyRelu: elementwise,
  Clip: elementwise,
  Sigmoid: elementwise,
  HardSigmoid: elementwise,
  HardSwish: elementwise,
  Tanh: elementwise,
  Erf: elementwise,
  Exp: elementwise,
  Log: elementwise,
  Sqrt: elementwise,
  Reciprocal: elementwise,
  Neg: elementwise,
  Abs: elementwise,
  Floor: elementwise,
  Ceil: elementwise,
  Round: elementwise,
  Sign: elementwise,
  Not: elementwise,
  Add: elementwise,
  Sub: elementwise,
  Mul: elementwise,
  Div: elementwise,
  Pow: elementwise,
  Min: elementwise,
  Max: elementwise,
  Equal: elementwise,
  Less: elementwise,
  LessOrEqual: elementwise,
  Greater: elementwise,
  GreaterOrEqual: elementwise,
  And: elementwise,
  Or: elementwise,
  Where: elementwise,
  PRelu: elementwise,
  Elu: elementwise,
  Selu: elementwise,
  Celu: elementwise,
  ThresholdedRelu: elementwise,
  Swish: elementwise,
  Softplus: elementwise,
  Softsign: elementwise,
  Mish: elementwise,
  Gelu: elementwise,
  Shrink: elementwise,
  Sin: elementwise,
  Cos: elementwise,
  Tan: elementwise,
  Asin: elementwise,
  Acos: elementwise,
  Atan: elementwise,
  Sinh: elementwise,
  Cosh: elementwise,
  Asinh: elementwise,
  Acosh: elementwise,
  Atanh: elementwise,
  Mod: elementwise,
  Xor: elementwise,
  IsNaN: elementwise,
  IsInf: elementwise,
  BitwiseAnd: elementwise,
  BitwiseOr: elementwise,
  BitwiseXor: elementwise,
  BitwiseNot: elementwise,
  BitShift: elementwise,
  ReduceSum: reduction,
  ReduceMean: reduction,
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceProd: reduction,
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceLogSum: reduction,
  ReduceLogSumExp: composite,
  ReduceSumSquare: reduction,
  Resize: { lower: lowerResize, refuse: resizeRefusal },
  Reshape: view,
  Flatten: view,
  Squeeze: view,
  Unsqueeze: view,
  Identity: view,
  Transpose: { lower: lowerTranspose },
  Concat: { lower: lowerConcat },
  Slice: { lower: lowerSlice },
  Split: { lower: lowerSplit },
  Pad: { lower: lowerPad },
  Gather: { lower: lowerGather },
  Expand: { lower: lowerExpand },
  Tile: { lower: lowerTile },
  DepthToSpace: { lower: lowerDepthToSpace },
  ChannelShuffle: { lower: lowerChannelShuffle },
  Shape: never(folded),
  ConstantOfShape: never(folded),
  Range: never(folded),
  Cast: { lower: lowerCast },
  GatherElements: { lower: lowerGatherElements },
  GatherND: { lower: lowerGatherND },
  ScatterElements: { lower: lowerScatterElements },
  ScatterND: { lower: lowerScatterND },
  ArgMax: { lower: lowerArgReduction },
  ArgMin: { lower: lowerArgReduction },
  TopK: { lower: lowerTopK },
  NonZero: { lower: lowerNonZero },
  NonMaxSuppression: { lower: lowerNonMaxSuppression },
  CumSum: { lower: lowerScan },
  CumProd: { lower: lowerScan },
  GridSample: { lower: lowerGridSample },
  RoiAlign: { lower: lowerRoiAlign },
  DeformConv: { lower: lowerDeformConv },
  Col2Im: { lower: lowerCol2Im },
  MaxPoolWithIndices: { lower: lowerLargest },
  MaxUnpool: { lower: lowerMaxUnpool },
  LSTM: { lower: lowerLstm, refuse: recurrentRefusal },
  GRU: { lower: lowerGru, refuse: recurrentRefusal },
  RNN: { lower: lowerRnn, refuse: recurrentRefusal },
};

/** The values that leave the network, and those that outputs are only other views of. */
export function leaving(graph: Graph): ReadonlySet<Value> {
  const values = new Set<Value>();
  const add = (value: Value): void => {
    const { source } = value;
    values.add(value);
    if (source.kind === 'node' && LOWERINGS[source.node.op] === view) add(operand(source.node, 0));
  };
  for (const { value } of graph.outputs) add(value);
  return values;
}

/** Why the target cannot run a node; undefined where it can. */
export function refusal(node: Node): string | undefined {
  const epilogue = node.epilogue ? unsupportedIn(node.epilogue, 'f32') : undefined;
  if (epilogue) return `no code for ${epilogue}`;
  for (const value of node.operands) {
    const tensor = tensorOf(value);
    const beyond = tensor && beyondWords(tensor);
    if (beyond !== undefined) return `the constant ${beyond} of "${value?.name}" is beyond 32 bits`;
  }
  return LOWERINGS[node.op].refuse?.(node);
}

export function lowerNode(node: Node, context: LowerContext): void {
  // a result without elements is computed by no call
  if (node.outputs.every((value) => elementCount(value.type.shape) === 0)) {
    node.outputs.forEach((_, index) => {
      context.output(node, index);
    });
    return;
  }
  LOWERINGS[node.op].lower(node, context);
}
