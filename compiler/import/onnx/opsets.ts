/** Which versions of the default operator set are read. */
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { listed } from './text.ts';

const OLDEST = 6;
/** The newest whose conformance cases are part of the tests. */
const NEWEST = 28;

/**
 * Operators that changed on the way to version 6, and when. Models of older sets are read where they use none of these
 * in an older form; the standard gives all others one definition from version 1 to 6.
 */
const REPLACED: Readonly<Record<string, number>> = {
  GlobalLpPool: 2,
  LpPool: 2,
  Pad: 2,
  Split: 2,
  GRU: 3,
  Concat: 4,
  Reshape: 5,
  Abs: 6,
  Add: 6,
  BatchNormalization: 6,
  Cast: 6,
  Ceil: 6,
  Clip: 6,
  Div: 6,
  Dropout: 6,
  Elu: 6,
  Exp: 6,
  Floor: 6,
  Gemm: 6,
  HardSigmoid: 6,
  InstanceNormalization: 6,
  LeakyRelu: 6,
  Log: 6,
  Max: 6,
  Mean: 6,
  Min: 6,
  Mul: 6,
  Neg: 6,
  PRelu: 6,
  Reciprocal: 6,
  Relu: 6,
  Selu: 6,
  Sigmoid: 6,
  Sqrt: 6,
  Sub: 6,
  Sum: 6,
  Tanh: 6,
  Tile: 6,
  Upsample: 7,
};

/** Does an operator have an older form in this set than the one that is read? */
export const isReplaced = (op: string, opset: number): boolean =>
  opset < OLDEST && Object.hasOwn(REPLACED, op) && (REPLACED[op] ?? 0) > opset;

/** One diagnostic for all operators in forms that are not read. */
export function oldOpset(ops: readonly string[], opset: number): Diagnostic[] {
  if (ops.length === 0) return [];
  const names = listed([...new Set(ops)].sort());
  const message = `the model uses op set ${opset} of ONNX; the forms that ${names} had before op set ${OLDEST} are not read`;
  return [diagnostic('opset-unsupported', `op set ${opset}`, message)];
}

/** A warning where the model is of a set that came later than what is known here. */
export function newOpset(opset: number): Diagnostic[] {
  if (opset <= NEWEST) return [];
  const message = `the model uses op set ${opset} of ONNX; operators are read as op set ${NEWEST} defines them`;
  return [diagnostic('opset-newer', `op set ${opset}`, message)];
}
