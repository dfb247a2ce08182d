import { isOp, type Node, type OpName, operand } from '#ir/graph.ts';
import { elementCount, product } from '#ir/types.ts';
import {
  biasAdds,
  byMacs,
  countByOp,
  definePreset,
  forOps,
  inputElements,
  type OpRules,
  outputElements,
} from './preset.ts';

/** What it takes an operation for, in instructions; additions, multiplications and comparisons are 1. */
const DIV = 4;
const EXP = 32;
const LOG = 43;
const SQRT = 24;
const SINE = 39;
const TANH = EXP + 2 + DIV;
const ATAN = SQRT + 4 + DIV;

/** Per output element. */
const ELEMENTWISE = {
  Add: 1,
  Sub: 1,
  Mul: 1,
  Div: DIV,
  Mod: 1,
  Min: 1,
  Max: 1,
  Neg: 1,
  Abs: 1,
  Sign: 1,
  Ceil: 1,
  Floor: 1,
  Reciprocal: DIV,
  Exp: EXP,
  Pow: EXP,
  Log: LOG,
  Sqrt: SQRT,
  Sin: SINE,
  Cos: SINE,
  // these two it doubles
  Tanh: 2 * TANH,
  Atan: 2 * ATAN,
  Relu: 1,
  LeakyRelu: 2,
  PRelu: 2,
  Clip: 2,
  Sigmoid: EXP,
  HardSigmoid: 4,
  HardSwish: 5,
  Softmax: EXP + DIV,
  BatchNormalization: 3 + SQRT + DIV,
  // per element 3 + DIV, and that twice
  InstanceNormalization: 2 * (3 + DIV),
  CumSum: 1,
  QuantizeLinear: 2,
  DequantizeLinear: 2,
  Less: 1,
  LessOrEqual: 1,
  Greater: 1,
  Equal: 1,
  And: 1,
  Not: 1,
} as const satisfies { readonly [Op in OpName]?: number };

const elementwise: OpRules = Object.fromEntries(
  Object.entries(ELEMENTWISE).map(([op, each]) => [op, (node: Node) => each * outputElements(node)]),
);

/** Output elements × the weight without its first axis: right for a convolution, not for its transpose. */
const conv = (node: Node): number =>
  outputElements(node) * product(operand(node, 1).type.shape.slice(1)) + biasAdds(node);

/** Of a window with three axes it takes the first alone. */
function pool(node: Node): number {
  const { kernel } = node.attrs as { readonly kernel: readonly number[] };
  return outputElements(node) * (kernel.length === 2 ? elementCount(kernel) : (kernel[0] ?? 1));
}

function layerNorm(node: Node): number {
  if (!isOp(node, 'LayerNormalization')) return 0;
  const { shape } = operand(node as Node, 0).type;
  const lines = elementCount(shape) / (shape[node.attrs.axis] ?? 1);
  return 7 * elementCount(shape) + (1 + SQRT + DIV) * lines;
}

const resize = (node: Node): number =>
  isOp(node, 'Resize')
    ? { nearest: 0, linear: 4, cubic: 8 }[node.attrs.mode] * outputElements(node as Node)
    : 0;

const lrn = (node: Node): number =>
  isOp(node, 'LRN') ? (DIV + EXP + 1 + node.attrs.size) * outputElements(node as Node) : 0;

export const onnxTool = definePreset({
  name: 'onnx-tool',
  unit: 'MAC',
  says: 'instructions: 1 per MAC, addition and comparison, more for division, roots and exponentials; transposed convolutions stride²·Cout/Cin times the truth',
  source: 'onnx-tool, onnx_tool/node.py',
  count: countByOp({
    ...elementwise,
    Conv: conv,
    ConvTranspose: conv,
    Gemm: (node, macs) => macs + biasAdds(node),
    MatMul: byMacs,
    Einsum: byMacs,
    ...forOps(['MaxPool', 'AveragePool'], pool),
    GlobalAveragePool: (node) => inputElements(node) + DIV * outputElements(node),
    LayerNormalization: layerNorm,
    LRN: lrn,
    Resize: resize,
    ...forOps(['ReduceMean', 'ReduceSum', 'ReduceProd', 'ReduceMax', 'ReduceMin'], inputElements),
    ReduceL2: (node) => (1 + SQRT) * inputElements(node),
  }),
});
