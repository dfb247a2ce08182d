/** What code of f32x4 functions is written with. */
import { type Ex, op } from './encoder/index.ts';
import type { MultiplyAdd } from './engines.ts';

export type Vector = Ex<'v128'>;

/** What a primitive is rendered with: constants (kept in locals) and temporaries. */
export interface Pen {
  k(value: number): Vector;
  bits(value: number): Vector;
  /** A constant of two doubles. */
  wide(value: number): Vector;
  hold(value: Vector): Vector;
  /** How products are added; `separate` unless given. */
  readonly multiplyAdd?: MultiplyAdd | undefined;
}

export const add = (a: Vector, b: Vector): Vector => op('f32x4.add', a, b);
export const sub = (a: Vector, b: Vector): Vector => op('f32x4.sub', a, b);
export const mul = (a: Vector, b: Vector): Vector => op('f32x4.mul', a, b);
export const div = (a: Vector, b: Vector): Vector => op('f32x4.div', a, b);
/** x·y + sum. */
export const addProduct = (how: MultiplyAdd | undefined, x: Vector, y: Vector, sum: Vector): Vector =>
  how === 'relaxed' ? op('f32x4.relaxed_madd', x, y, sum) : add(sum, mul(x, y));
/** sum − x·y. */
export const subProduct = (how: MultiplyAdd | undefined, x: Vector, y: Vector, sum: Vector): Vector =>
  how === 'relaxed' ? op('f32x4.relaxed_nmadd', x, y, sum) : sub(sum, mul(x, y));
/** `b < a ? b : a`: keeps a NaN in `a`. */
export const lesser = (a: Vector, b: Vector): Vector => op('f32x4.pmin', a, b);
export const greater = (a: Vector, b: Vector): Vector => op('f32x4.pmax', a, b);
export const abs = (a: Vector): Vector => op('f32x4.abs', a);
export const copySign = (pen: Pen, magnitude: Vector, sign: Vector): Vector =>
  op('v128.bitselect', magnitude, sign, pen.bits(0x7fffffff));

/** Horner's scheme; coefficients from the highest power down. */
export const polynomial = (pen: Pen, x: Vector, coefficients: readonly number[]): Vector =>
  coefficients
    .slice(1)
    .reduce((sum, c) => addProduct(pen.multiplyAdd, sum, x, pen.k(c)), pen.k(coefficients[0] ?? 0));
