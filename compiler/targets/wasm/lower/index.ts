/** How each op becomes kernel calls. An op that is missing here does not type-check. */
import { elementwiseParts } from '#compiler/schedule/elementwise.ts';
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
import { type Node, type OpName, result } from '#ir/graph.ts';
import { elementCount } from '#ir/types.ts';
import type { LowerContext } from '../context.ts';
import { unsupportedFunction } from '../simd-expr.ts';
import { lowerConv } from './conv.ts';
import { lowerConvTranspose, transposedRefusal } from './conv-transpose.ts';
import { isKnownProduct, lowerQLinearConv, lowerQLinearMatMul } from './dot.ts';
import { elementwisePlan, lowerCast, lowerElementwise } from './elementwise.ts';
import { lowerGather } from './gather.ts';
import { lowerConvInteger, lowerMatMulInteger } from './integer.ts';
import {
  lowerArgReduction,
  lowerGatherElements,
  lowerGatherND,
  lowerLargest,
  lowerMaxUnpool,
  lowerNonMaxSuppression,
  lowerNonZero,
  lowerScan,
  lowerScatterElements,
  lowerScatterND,
  lowerTopK,
} from './irregular.ts';
import { lowerGemm, lowerMatMul } from './product.ts';
import { lowerGru, lowerLstm, lowerRnn } from './recurrent.ts';
import { lowerGlobalAveragePool, lowerReduction, lowerSoftmax, reductionRefusal } from './reduce.ts';
import { lowerResize } from './resize.ts';
import { lowerCol2Im, lowerDeformConv, lowerGridSample, lowerRoiAlign } from './sampled.ts';
import { lowerAveragePool, lowerMaxPool } from './window.ts';

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

const expression = (node: Node): string | undefined => {
  const { expr, operands } = elementwiseParts(node);
  const plan = elementwisePlan(expr, operands, result(node));
  return plan.kind === 'none' ? plan.reason : undefined;
};

const folded = (node: Node): string => `${node.op} of values that are not constant`;

const elementwise: Lowering = { lower: lowerElementwise, refuse: expression };
/** Reductions in doubles know the basic functions only. */
const reduction: Lowering = {
  lower: lowerReduction,
  refuse: (node) => reductionRefusal(node),
};
const view: Lowering = { lower: lowerView };
const never = (refuse: (node: Node) => string): Lowering => ({ refuse, lower: () => {} });

/** What passes/canonicalize/expand-composites.ts writes in other ops, in every form that it can. */
const composite = never((node) => `${node.op} that could not be written in other operators`);

/** Quantised products of this form stay whole. */
const quantisedRefusal = (node: Node): string | undefined =>
  isKnownProduct(node) ? undefined : composite.refuse?.(node);

const LOWERINGS: { readonly [K in OpName]: Lowering } = {
  Conv: { lower: lowerConv, refuse: floats },
  ShuffledConv: { lower: lowerConv, refuse: floats },
  ConvTranspose: { lower: lowerConvTranspose, refuse: (node) => transposedRefusal(node) ?? floats(node) },
  Gemm: { lower: lowerGemm, refuse: floats },
  MatMul: { lower: lowerMatMul, refuse: floats },
  MaxPool: { lower: (node, context) => (floats(node) ? lowerLargest : lowerMaxPool)(node, context) },
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
  QLinearConv: { lower: lowerQLinearConv, refuse: quantisedRefusal },
  QLinearMatMul: { lower: lowerQLinearMatMul, refuse: quantisedRefusal },
  Einsum: composite,
  Det: composite,
  ConvInteger: { lower: lowerConvInteger },
  MatMulInteger: { lower: lowerMatMulInteger },
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
  Resize: { lower: lowerResize, refuse: floats },
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
  LSTM: { lower: lowerLstm },
  GRU: { lower: lowerGru },
  RNN: { lower: lowerRnn },
};

/** Why the target cannot run a node; undefined where it can. */
export function refusal(node: Node): string | undefined {
  const epilogue = node.epilogue ? unsupportedFunction(node.epilogue) : undefined;
  if (epilogue) return `no vector code for ${epilogue}`;
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
