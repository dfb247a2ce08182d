import { attr } from '../attrs.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  OpError,
  outputType,
} from '../op.ts';
import {
  broadcastShapes,
  broadcastStrides,
  elementCount,
  formatShape,
  isWide,
  product,
  type Shape,
  type TensorType,
} from '../types.ts';
import { axisField, broadcastField } from './common.ts';
import { checkedShape, flattenOffsets, stridedOffsets } from './offsets.ts';

function checkTypes(types: readonly TensorType[]): void {
  const dtype = types[0]?.dtype ?? 'f32';
  for (const t of types) if (t.dtype !== dtype) throw new OpError(`operands are ${dtype} and ${t.dtype}`);
  if (isWide(dtype) || dtype === 'bool') throw new OpError(`products of ${dtype} are not supported`);
}

/** Rows, columns and depth of op(a)·op(b). */
function gemmSizes(a: Shape, b: Shape, attrs: { readonly transA: boolean; readonly transB: boolean }) {
  const [m = 0, k = 0] = attrs.transA ? [a[1], a[0]] : a;
  const [depth = 0, n = 0] = attrs.transB ? [b[1], b[0]] : b;
  return { m, n, k, depth };
}

/** alpha·op(a)·op(b) + beta·c. a [M, K] (transA: [K, M]), b [K, N] (transB: [N, K]), c broadcast to [M, N] → [M, N]. */
export const Gemm = defineOp({
  name: 'Gemm',
  attrs: { alpha: attr.float(1), beta: attr.float(1), transA: attr.bool(false), transB: attr.bool(false) },
  inputs: [
    { name: 'a', role: 'data' },
    { name: 'b', role: 'weight' },
    { name: 'c', role: 'weight', optional: true },
  ],
  traits: { layout: 'rowMajor', epilogue: true },
  channelAxis: ({ transB }) => (transB ? 0 : 1),
  infer({ attrs, inputs }) {
    const a = inputType({ inputs }, 0);
    const b = inputType({ inputs }, 1);
    const c = inputs[2];
    if (a.shape.length !== 2 || b.shape.length !== 2) {
      throw new OpError(`operands have ranks ${a.shape.length} and ${b.shape.length}, not 2`);
    }
    checkTypes(c ? [a, b, c] : [a, b]);
    const { m, n, k, depth } = gemmSizes(a.shape, b.shape, attrs);
    if (k !== depth) throw new OpError(`a has ${k} columns, b has ${depth} rows`);
    const shape = checkedShape([m, n]);
    if (c && broadcastShapes(c.shape, shape)?.join() !== shape.join()) {
      throw new OpError(`c is ${formatShape(c.shape)} and does not broadcast to ${formatShape(shape)}`);
    }
    return [{ dtype: a.dtype, shape }];
  },
  cost({ attrs, inputs, outputs }) {
    const { k } = gemmSizes(inputType({ inputs }, 0).shape, inputType({ inputs }, 1).shape, attrs);
    const out = elementCount(outputType({ outputs }).shape);
    return { macs: out * k, otherOps: inputs[2] ? out : 0 };
  },
  field: ({ attrs, inputs, outputs }, _output, input): AxisField[] => {
    if (input === 0) return [axisField(attrs.transA ? 1 : 0), { kind: 'whole' }];
    if (input === 1) return [{ kind: 'whole' }, axisField(attrs.transB ? 0 : 1)];
    return broadcastField(inputType({ inputs }, 2).shape, outputType({ outputs }).shape);
  },
  reference: {
    kind: 'element',
    element(context) {
      const { alpha, beta, transA, transB } = context.attrs;
      const aShape = inputType(context, 0).shape;
      const bShape = inputType(context, 1).shape;
      const a = inputData(context, 0) as Float32Array;
      const b = inputData(context, 1) as Float32Array;
      const c = context.data[2] as Float32Array | undefined;
      const out = outputType(context).shape;
      const { n, k } = gemmSizes(aShape, bShape, context.attrs);
      const [aRow, aStep] = transA ? [1, aShape[1] ?? 1] : [k, 1];
      const [bColumn, bStep] = transB ? [k, 1] : [1, n];
      const [cRow = 0, cColumn = 0] = broadcastStrides(context.inputs[2]?.shape ?? [], out);
      return (index) => {
        const i = Math.floor(index / n);
        const j = index - i * n;
        const sum = dot(a, i * aRow, aStep, b, j * bColumn, bStep, k);
        return alpha * sum + (c ? beta * (c[i * cRow + j * cColumn] as number) : 0);
      };
    },
  },
});

function dot(
  a: Float32Array,
  aStart: number,
  aStep: number,
  b: Float32Array,
  bStart: number,
  bStep: number,
  length: number,
): number {
  let sum = 0;
  let x = aStart;
  let y = bStart;
  for (let k = 0; k < length; k++) {
    sum += (a[x] as number) * (b[y] as number);
    x += aStep;
    y += bStep;
  }
  return sum;
}

interface Product {
  readonly batch: Shape;
  readonly aBatch: Shape;
  readonly bBatch: Shape;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** The sizes of a product by NumPy's rules. @throws OpError where they do not fit. */
function productOf(a: Shape, b: Shape): Product {
  if (a.length === 0 || b.length === 0) throw new OpError('an operand is a scalar');
  const k = a.at(-1) ?? 1;
  const depth = b.at(b.length === 1 ? -1 : -2) ?? 1;
  if (k !== depth)
    throw new OpError(`${formatShape(a)} times ${formatShape(b)}: ${k} columns and ${depth} rows`);
  const aBatch = a.slice(0, -2);
  const bBatch = b.slice(0, -2);
  const batch = broadcastShapes(aBatch, bBatch);
  if (!batch) throw new OpError(`batches ${formatShape(aBatch)} and ${formatShape(bBatch)} do not broadcast`);
  return {
    batch,
    aBatch,
    bBatch,
    m: a.length === 1 ? 1 : (a.at(-2) ?? 1),
    n: b.length === 1 ? 1 : (b.at(-1) ?? 1),
    k,
  };
}

/**
 * Product of matrices, or of stacks of them that broadcast. a […, M, K], b […, K, N] → […, M, N]. An operand of rank 1
 * is a row (a) or a column (b) whose axis the result lacks, as in NumPy.
 */
export const MatMul = defineOp({
  name: 'MatMul',
  attrs: {},
  inputs: [
    { name: 'a', role: 'data' },
    { name: 'b', role: 'weight' },
  ],
  traits: { layout: 'rowMajor', epilogue: true },
  channelAxis: (_, { length }) => (length === 2 ? 1 : null),
  infer({ inputs }) {
    const a = inputType({ inputs }, 0);
    const b = inputType({ inputs }, 1);
    checkTypes([a, b]);
    const { batch, m, n } = productOf(a.shape, b.shape);
    const shape = [...batch, ...(a.shape.length > 1 ? [m] : []), ...(b.shape.length > 1 ? [n] : [])];
    return [{ dtype: a.dtype, shape: checkedShape(shape) }];
  },
  cost({ inputs }) {
    const { batch, m, n, k } = productOf(inputType({ inputs }, 0).shape, inputType({ inputs }, 1).shape);
    return { macs: m * n * k * product(batch), otherOps: 0 };
  },
  field({ inputs, outputs }, _output, input) {
    const a = inputType({ inputs }, 0).shape;
    const b = inputType({ inputs }, 1).shape;
    const { batch } = productOf(a, b);
    const own = input === 0 ? a : b;
    return outputType({ outputs }).shape.map((size, axis): AxisField => {
      if (axis < batch.length) {
        const at = axis - (batch.length - Math.max(0, own.length - 2));
        if (at < 0) return { kind: 'none' };
        return own[at] === size ? axisField(at) : { kind: 'whole' };
      }
      const isRow = a.length > 1 && axis === batch.length;
      if (input === 0) return isRow ? axisField(a.length - 2) : { kind: 'whole' };
      return isRow ? { kind: 'whole' } : axisField(b.length - 1);
    });
  },
  reference: { kind: 'element', element: matMulElement },
});

/** Single elements of a product, in doubles. */
export function matMulElement(context: EvalContext<unknown>): (index: number) => number {
  const { batch, aBatch, bBatch, m, n, k } = productOf(
    inputType(context, 0).shape,
    inputType(context, 1).shape,
  );
  const a = inputData(context, 0) as Float32Array;
  const b = inputData(context, 1) as Float32Array;
  const aStart = matrixNumbers(aBatch, batch);
  const bStart = matrixNumbers(bBatch, batch);
  return (index) => {
    const row = Math.floor(index / n);
    const j = index - row * n;
    const matrix = Math.floor(row / m);
    const i = row - matrix * m;
    const x = ((aStart[matrix] as number) * m + i) * k;
    return dot(a, x, 1, b, (bStart[matrix] as number) * k * n + j, n, k);
  };
}

/** For each matrix of the broadcast stack, which one of the operand's it reads. */
function matrixNumbers(from: Shape, to: Shape): Int32Array {
  const strides = broadcastStrides(from, to);
  return flattenOffsets(to.map((size, axis) => stridedOffsets(size, strides[axis] ?? 0)));
}

export const PRODUCTS = { Gemm, MatMul } as const;
