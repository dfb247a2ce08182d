/** Code for y = M x, where M is a small matrix of constants. */

import type { Matrix } from '../../../../winograd/transforms.ts';
import { type Ex, type Local, op, v128 } from '../../encoder/index.ts';
import type { MultiplyAdd } from '../../engines.ts';
import { addProduct, subProduct } from '../../simd-vector.ts';
import type { Body, Vector } from '../family.ts';

type Term = readonly [coefficient: number, value: Local<'v128'>];

/**
 * Gives each element of M x to `use`. Points ±p make rows, or columns, that differ only in signs: their even and odd parts
 * are computed once for both.
 */
export function multiplyByMatrix(
  body: Body,
  matrix: Matrix,
  x: readonly Local<'v128'>[],
  how: MultiplyAdd | undefined,
  use: (row: number, value: Vector) => void,
): void {
  const { rows, inputs } = foldColumns(body, matrix, x);
  const terms = (row: readonly number[]): Term[] =>
    row.flatMap((c, k): Term[] => (c === 0 ? [] : [[c, inputs[k] as Local<'v128'>]]));
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as readonly number[];
    const next = rows[i + 1];
    if (!next || !isMirrored(row, next)) {
      use(i, sum(terms(row), how));
      continue;
    }
    const even = inLocal(body, sum(terms(row.map((c, k) => (c === next[k] ? c : 0))), how));
    const odd = inLocal(body, sum(terms(row.map((c, k) => (c === next[k] ? 0 : c))), how));
    use(i, op('f32x4.add', even, odd));
    use(i + 1, op('f32x4.sub', even, odd));
    i++;
  }
}

/** Two columns that agree but for signs become the sum and the difference of their inputs. */
function foldColumns(body: Body, matrix: Matrix, x: readonly Local<'v128'>[]) {
  const columns = x.map((_, k) => matrix.map((row) => row[k] ?? 0));
  const inputs = [...x];
  for (let k = 0; k + 1 < columns.length; k++) {
    const [a = [], b = []] = [columns[k], columns[k + 1]];
    if (!isMirrored(a, b)) continue;
    const [p, q] = [x[k] as Local<'v128'>, x[k + 1] as Local<'v128'>];
    inputs[k] = inLocal(body, op('f32x4.add', p, q));
    inputs[k + 1] = inLocal(body, op('f32x4.sub', p, q));
    columns[k] = a.map((c, i) => (c === b[i] ? c : 0));
    columns[k + 1] = a.map((c, i) => (c === b[i] ? 0 : c));
    k++;
  }
  return { rows: matrix.map((_, i) => columns.map((column) => column[i] ?? 0)), inputs };
}

/** Equal up to signs, with some equal and some opposite that are not zero. */
const isMirrored = (a: readonly number[], b: readonly number[]): boolean =>
  a.every((c, i) => Math.abs(c) === Math.abs(b[i] ?? 0)) &&
  a.some((c, i) => c !== 0 && c === b[i]) &&
  a.some((c, i) => c !== 0 && c !== b[i]);

function sum(terms: readonly Term[], how: MultiplyAdd | undefined): Vector {
  // a term of coefficient 1 first: it needs no multiplication
  const [first, ...rest] = [...terms].sort(([a], [b]) => Number(b === 1) - Number(a === 1));
  if (!first) return v128('f32x4', 0, 0, 0, 0);
  return rest.reduce<Vector>(
    (total, [c, value]) => {
      const size = Math.abs(c);
      if (size === 1) return op(c < 0 ? 'f32x4.sub' : 'f32x4.add', total, value);
      return (c < 0 ? subProduct : addProduct)(how, value, factor(size), total);
    },
    scaled(...first),
  );
}

const factor = (c: number): Vector => v128('f32x4', c, c, c, c);
const scaled = (c: number, value: Ex<'v128'>): Vector =>
  c === 1 ? value : op('f32x4.mul', value, factor(c));

export function inLocal(body: Body, value: Vector): Local<'v128'> {
  const local = body.local('v128');
  body.set(local, value);
  return local;
}
