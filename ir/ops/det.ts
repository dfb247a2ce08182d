import type { Builder } from '../builder.ts';
import type { Value } from '../graph.ts';
import {
  type DecomposeContext,
  defineOp,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import { elementCount, formatShape, formatType } from '../types.ts';
import { axisField } from './common.ts';

/** Determinants of the matrices [M, M] in the last two axes, by elimination with row pivoting. x […, M, M] → […]. */
export const Det = defineOp({
  name: 'Det',
  attrs: {},
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'rowMajor' },
  infer({ inputs }) {
    const x = inputType({ inputs }, 0);
    if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
    if (x.shape.length < 2 || x.shape.at(-1) !== x.shape.at(-2))
      throw new OpError(`${formatShape(x.shape)} does not hold square matrices`);
    return [{ dtype: 'f32', shape: x.shape.slice(0, -2) }];
  },
  /** M³/3 products and subtractions per matrix. */
  cost({ inputs, outputs }) {
    const m = inputType({ inputs }, 0).shape.at(-1) ?? 0;
    return { macs: Math.ceil(m ** 3 / 3) * elementCount(outputType({ outputs }).shape), otherOps: 0 };
  },
  field: ({ outputs }) => outputType({ outputs }).shape.map((_, axis) => axisField(axis)),
  reference: {
    kind: 'element',
    element(context) {
      const m = inputType(context, 0).shape.at(-1) ?? 0;
      const data = inputData(context, 0) as Float32Array;
      return (index) => determinant(Float64Array.from(data.subarray(index * m * m, (index + 1) * m * m)), m);
    },
  },
  decompose,
});

function determinant(a: Float64Array, m: number): number {
  let det = 1;
  const at = (row: number, column: number) => a[row * m + column] as number;
  for (let k = 0; k < m; k++) {
    let pivot = k;
    for (let row = k + 1; row < m; row++) if (Math.abs(at(row, k)) > Math.abs(at(pivot, k))) pivot = row;
    if (at(pivot, k) === 0) return 0;
    if (pivot !== k) {
      det = -det;
      for (let column = 0; column < m; column++) {
        const held = at(k, column);
        a[k * m + column] = at(pivot, column);
        a[pivot * m + column] = held;
      }
    }
    det *= at(k, k);
    for (let row = k + 1; row < m; row++) {
      const factor = at(row, k) / at(k, k);
      for (let column = k; column < m; column++)
        a[row * m + column] = at(row, column) - factor * at(k, column);
    }
  }
  return det;
}

/** Larger matrices would be unrolled into more nodes than they are worth. */
const LARGEST = 16;

/** The same elimination, one step after another, in f32; of elements that are not finite nothing is promised. */
function decompose({ b, ...context }: DecomposeContext<unknown>): Value[] | undefined {
  const x = inputValue(context, 0);
  const m = x.type.shape.at(-1) ?? 0;
  const { shape } = outputType(context);
  const count = elementCount(shape);
  if (m === 0 || m > LARGEST || count === 0) return undefined;
  let rest = b.op('Reshape', [x], { shape: [count, m, m] });
  let det: Value | undefined;
  for (let size = m; size > 0; size--) {
    const step = eliminate(b, rest, count, size);
    det = det ? b.op('Mul', [det, step.pivot], {}) : step.pivot;
    rest = step.rest ?? rest;
  }
  return [b.op('Reshape', [det], { shape })];
}

/** The pivot of the first column [N, 1, 1], with the sign of the exchange, and what is left of [N, M, M]. */
function eliminate(b: Builder, a: Value, n: number, m: number): { pivot: Value; rest: Value | undefined } {
  if (m === 1) return { pivot: a, rest: undefined };
  const slice = (v: Value, starts: number[], sizes: number[]) =>
    b.op('Slice', [v], { starts, steps: [1, 1, 1], sizes });
  const column = slice(a, [0, 0, 0], [n, m, 1]);
  const chosen = b.op('Hardmax', [b.op('Abs', [column], {})], { axis: 1 });
  const pivotRow = b.op('ReduceSum', [b.op('Mul', [chosen, a], {})], { axes: [1] });
  const firstRow = slice(a, [0, 0, 0], [n, 1, m]);
  // the first row moves to where the pivot's was
  const others = b.op(
    'Add',
    [
      slice(a, [0, 1, 0], [n, m - 1, m]),
      b.op('Mul', [slice(chosen, [0, 1, 0], [n, m - 1, 1]), b.op('Sub', [firstRow, pivotRow], {})], {}),
    ],
    {},
  );
  const pivot = slice(pivotRow, [0, 0, 0], [n, 1, 1]);
  const isFirst = slice(chosen, [0, 0, 0], [n, 1, 1]);
  const sign = b.op('Sub', [b.op('Mul', [isFirst, b.scalar(2)], {}), b.scalar(1)], {});
  const isZero = b.op('Equal', [pivot, b.scalar(0)], {});
  const divisor = b.op('Where', [isZero, b.scalar(1), pivot], {});
  const factors = b.op('Div', [slice(others, [0, 0, 0], [n, m - 1, 1]), divisor], {});
  const tail = (v: Value, rows: number) => slice(v, [0, 0, 1], [n, rows, m - 1]);
  const rest = b.op('Sub', [tail(others, m - 1), b.op('Mul', [factors, tail(pivotRow, 1)], {})], {});
  return { pivot: b.op('Mul', [pivot, sign], {}), rest };
}
