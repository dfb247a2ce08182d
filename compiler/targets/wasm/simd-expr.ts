/** Renders scalar expressions (ir/expr.ts) as f32x4 code. */
import { type BinaryFn, children, type Expr, exprKey, type UnaryFn } from '#ir/expr.ts';
import { type Ex, type Local, op, v128 } from './encoder/index.ts';

type Vector = Ex<'v128'>;

/** The part of a function body that expressions need: temporaries. */
export interface Temporaries {
  local(type: 'v128'): Local<'v128'>;
  set(target: Local<'v128'>, value: Vector): void;
}

/** What a primitive is rendered with: constants (kept in locals) and temporaries. */
interface Pen {
  k(value: number): Vector;
  bits(value: number): Vector;
  hold(value: Vector): Vector;
}

const add = (a: Vector, b: Vector): Vector => op('f32x4.add', a, b);
const sub = (a: Vector, b: Vector): Vector => op('f32x4.sub', a, b);
const mul = (a: Vector, b: Vector): Vector => op('f32x4.mul', a, b);
const div = (a: Vector, b: Vector): Vector => op('f32x4.div', a, b);
/** `b < a ? b : a`: keeps a NaN in `a`. */
const lesser = (a: Vector, b: Vector): Vector => op('f32x4.pmin', a, b);
const greater = (a: Vector, b: Vector): Vector => op('f32x4.pmax', a, b);
const abs = (a: Vector): Vector => op('f32x4.abs', a);

/** Horner's scheme; coefficients from the highest power down. */
const polynomial = (pen: Pen, x: Vector, coefficients: readonly number[]): Vector =>
  coefficients.slice(1).reduce((sum, c) => add(mul(sum, x), pen.k(c)), pen.k(coefficients[0] ?? 0));

/** Taylor-like minimax coefficients of exp on [−ln 2 / 2, ln 2 / 2] (Cephes expf, S. Moshier). */
const EXP = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
];

/** exp by reduction to n·ln 2 + r; 2^n is applied in two factors, so that overflow and underflow are gradual. */
function exp(pen: Pen, x: Vector): Vector {
  const clamped = pen.hold(lesser(greater(x, pen.k(-104)), pen.k(89)));
  const n = pen.hold(op('f32x4.nearest', mul(clamped, pen.k(Math.LOG2E))));
  const r = pen.hold(sub(sub(clamped, mul(n, pen.k(0.693359375))), mul(n, pen.k(-2.1219444e-4))));
  const p = pen.hold(add(add(mul(mul(polynomial(pen, r, EXP), r), r), r), pen.k(1)));
  const whole = pen.hold(op('i32x4.trunc_sat_f32x4_s', n));
  const half = pen.hold(op('i32x4.shr_s', whole, 1));
  const power = (e: Vector): Vector => op('i32x4.shl', op('i32x4.add', e, pen.bits(127)), 23);
  return mul(mul(p, power(half)), power(op('i32x4.sub', whole, half)));
}

const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

/** log by splitting off the exponent (Cephes logf); log 0 = −∞, log of a negative number is NaN. */
function log(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const scaled = pen.hold(
    op('v128.bitselect', mul(v, pen.k(8388608)), v, op('f32x4.lt', v, pen.k(1.1754943508222875e-38))),
  );
  const bias = pen.hold(
    op('v128.bitselect', pen.k(149), pen.k(126), op('f32x4.lt', v, pen.k(1.1754943508222875e-38))),
  );
  const mantissa = pen.hold(
    op('v128.or', op('v128.and', scaled, pen.bits(0x007fffff)), pen.bits(0x3f000000)),
  );
  const exponent = sub(op('f32x4.convert_i32x4_s', op('i32x4.shr_u', scaled, 23)), bias);
  const small = pen.hold(op('f32x4.lt', mantissa, pen.k(Math.SQRT1_2)));
  const e = pen.hold(sub(exponent, op('v128.and', small, pen.k(1))));
  const m = pen.hold(add(sub(mantissa, pen.k(1)), op('v128.and', small, mantissa)));
  const z = pen.hold(mul(m, m));
  const tail = mul(mul(polynomial(pen, m, LOG), m), z);
  const y = add(sub(add(tail, mul(e, pen.k(-2.1219444e-4))), mul(z, pen.k(0.5))), m);
  const result = pen.hold(add(y, mul(e, pen.k(0.693359375))));
  const finite = op('v128.bitselect', result, v, op('f32x4.lt', v, pen.k(Number.POSITIVE_INFINITY)));
  const positive = op('v128.bitselect', pen.k(Number.NEGATIVE_INFINITY), finite, op('f32x4.eq', v, pen.k(0)));
  return op('v128.bitselect', pen.k(Number.NaN), positive, op('f32x4.lt', v, pen.k(0)));
}

const TANH = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1];

/** tanh: a polynomial below 0.625, 1 − 2/(e^2|x| + 1) above (Cephes tanhf). */
function tanh(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const magnitude = pen.hold(abs(v));
  const z = pen.hold(mul(v, v));
  const near = pen.hold(add(v, mul(v, mul(z, polynomial(pen, z, TANH)))));
  const tail = div(pen.k(2), add(exp(pen, mul(magnitude, pen.k(2))), pen.k(1)));
  const far = op('v128.bitselect', sub(pen.k(1), tail), v, pen.bits(0x7fffffff));
  return op('v128.bitselect', near, far, op('f32x4.lt', magnitude, pen.k(0.625)));
}

/** exp(−x²)-scaled rational approximation of erfc (Abramowitz & Stegun 7.1.26, absolute error below 1.5e-7). */
function erf(pen: Pen, x: Vector): Vector {
  const v = pen.hold(x);
  const magnitude = pen.hold(abs(v));
  const t = pen.hold(div(pen.k(1), add(pen.k(1), mul(magnitude, pen.k(0.3275911)))));
  const p = mul(polynomial(pen, t, [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]), t);
  const far = sub(pen.k(1), mul(p, exp(pen, op('f32x4.neg', mul(v, v)))));
  return op('v128.bitselect', far, v, pen.bits(0x7fffffff));
}

const truth = (pen: Pen, mask: Vector): Vector => op('v128.and', mask, pen.k(1));

type UnaryRenderer = ((pen: Pen, x: Vector) => Vector) | 'unsupported';
type BinaryRenderer = ((pen: Pen, x: Vector, y: Vector) => Vector) | 'unsupported';

const UNARY_CODE: Record<UnaryFn, UnaryRenderer> = {
  neg: (_, x) => op('f32x4.neg', x),
  abs: (_, x) => abs(x),
  sign: (pen, x) => {
    const v = pen.hold(x);
    return sub(truth(pen, op('f32x4.gt', v, pen.k(0))), truth(pen, op('f32x4.lt', v, pen.k(0))));
  },
  floor: (_, x) => op('f32x4.floor', x),
  ceil: (_, x) => op('f32x4.ceil', x),
  round: (_, x) => op('f32x4.nearest', x),
  trunc: (_, x) => op('f32x4.trunc', x),
  sqrt: (_, x) => op('f32x4.sqrt', x),
  exp,
  log,
  tanh,
  erf,
  sin: 'unsupported',
  cos: 'unsupported',
  not: (pen, x) => truth(pen, op('f32x4.eq', x, pen.k(0))),
};

const BINARY_CODE: Record<BinaryFn, BinaryRenderer> = {
  add: (_, x, y) => add(x, y),
  sub: (_, x, y) => sub(x, y),
  mul: (_, x, y) => mul(x, y),
  div: (_, x, y) => div(x, y),
  min: (_, x, y) => lesser(x, y),
  max: (_, x, y) => greater(x, y),
  pow: 'unsupported',
  mod: (pen, x, y) => {
    const a = pen.hold(x);
    const b = pen.hold(y);
    return sub(a, mul(b, op('f32x4.floor', div(a, b))));
  },
  fmod: (pen, x, y) => {
    const a = pen.hold(x);
    const b = pen.hold(y);
    return sub(a, mul(b, op('f32x4.trunc', div(a, b))));
  },
  eq: (pen, x, y) => truth(pen, op('f32x4.eq', x, y)),
  ne: (pen, x, y) => truth(pen, op('f32x4.ne', x, y)),
  lt: (pen, x, y) => truth(pen, op('f32x4.lt', x, y)),
  le: (pen, x, y) => truth(pen, op('f32x4.le', x, y)),
  gt: (pen, x, y) => truth(pen, op('f32x4.gt', x, y)),
  ge: (pen, x, y) => truth(pen, op('f32x4.ge', x, y)),
};

/** Powers by a constant that are products, a root or a quotient. */
const isSimplePower = (y: Expr): boolean =>
  y.kind === 'const' &&
  (y.value === 0.5 || y.value === -1 || (Number.isInteger(y.value) && y.value >= 0 && y.value <= 16));

/** The first function of an expression that has no f32x4 code, if there is one. */
export function unsupportedFunction(e: Expr): string | undefined {
  if (e.kind === 'unary' && UNARY_CODE[e.fn] === 'unsupported') return e.fn;
  if (e.kind === 'binary' && BINARY_CODE[e.fn] === 'unsupported' && !(e.fn === 'pow' && isSimplePower(e.y))) {
    return e.fn === 'pow' ? 'pow by anything but 0.5, −1 or a small whole number' : e.fn;
  }
  for (const child of children(e)) {
    const found = unsupportedFunction(child);
    if (found) return found;
  }
  return undefined;
}

/**
 * An expression in a function: `prepare` loads its constants into locals where code is run once, `render` then writes
 * its code wherever it is needed.
 */
export class SimdExpr {
  readonly #e: Expr;
  readonly #body: Temporaries;
  readonly #constants = new Map<string, Vector>();

  constructor(e: Expr, body: Temporaries) {
    this.#e = e;
    this.#body = body;
    const seen = new Map<string, Vector>();
    const dry: Pen = {
      k: (value) => {
        seen.set(keyOf('f', value), v128('f32x4', value, value, value, value));
        return v128('f32x4', 0, 0, 0, 0);
      },
      bits: (value) => {
        seen.set(keyOf('i', value), v128('i32x4', value, value, value, value));
        return v128('f32x4', 0, 0, 0, 0);
      },
      hold: (value) => value,
    };
    renderWith(e, dry, () => v128('f32x4', 0, 0, 0, 0), new Map());
    for (const [key, vector] of seen) {
      const local = body.local('v128');
      body.set(local, vector);
      this.#constants.set(key, local);
    }
  }

  /** Code for the value of the expression; `args` are read as often as the expression names them. */
  render(args: readonly Vector[]): Vector {
    const constant = (kind: 'f' | 'i', value: number): Vector => {
      const local = this.#constants.get(keyOf(kind, value));
      if (!local) throw new RangeError(`constant ${value} was not prepared`);
      return local;
    };
    const pen: Pen = {
      k: (value) => constant('f', value),
      bits: (value) => constant('i', value),
      hold: (value) => {
        if (value.kind === 'local') return value;
        const local = this.#body.local('v128');
        this.#body.set(local, value);
        return local;
      },
    };
    return renderWith(this.#e, pen, (index) => args[index] ?? missingArgument(index), new Map());
  }
}

const keyOf = (kind: 'f' | 'i', value: number): string => `${kind}${Object.is(value, -0) ? '-0' : value}`;

function missingArgument(index: number): never {
  throw new RangeError(`expression argument x${index} is missing`);
}

function renderWith(
  e: Expr,
  pen: Pen,
  argument: (index: number) => Vector,
  shared: Map<string, Vector>,
): Vector {
  switch (e.kind) {
    case 'arg':
      return argument(e.index);
    case 'const':
      return pen.k(e.value);
  }
  const key = exprKey(e);
  const known = shared.get(key);
  if (known) return known;
  const held = pen.hold(renderCall(e, pen, (child) => renderWith(child, pen, argument, shared)));
  shared.set(key, held);
  return held;
}

function renderCall(
  e: Exclude<Expr, { kind: 'arg' | 'const' }>,
  pen: Pen,
  render: (child: Expr) => Vector,
): Vector {
  switch (e.kind) {
    case 'unary': {
      const code = UNARY_CODE[e.fn];
      if (code === 'unsupported') throw new RangeError(`${e.fn} has no f32x4 code`);
      return code(pen, render(e.x));
    }
    case 'binary': {
      if (e.fn === 'pow' && e.y.kind === 'const') return power(pen, render(e.x), e.y.value);
      const code = BINARY_CODE[e.fn];
      if (code === 'unsupported') throw new RangeError(`${e.fn} has no f32x4 code`);
      // the operand that may be NaN goes first in min and max: see `lesser`
      const swap = (e.fn === 'min' || e.fn === 'max') && e.x.kind === 'const';
      return swap ? code(pen, render(e.y), render(e.x)) : code(pen, render(e.x), render(e.y));
    }
    case 'select': {
      const mask = op('f32x4.ne', render(e.test), pen.k(0));
      return op('v128.bitselect', render(e.x), render(e.y), mask);
    }
  }
}

function power(pen: Pen, x: Vector, exponent: number): Vector {
  if (exponent === 0.5) return op('f32x4.sqrt', x);
  if (exponent === -1) return div(pen.k(1), x);
  if (exponent === 0) return pen.k(1);
  const base = pen.hold(x);
  let result: Vector = base;
  for (const bit of exponent.toString(2).slice(1)) {
    const square = pen.hold(result);
    result = bit === '1' ? mul(mul(square, square), base) : mul(square, square);
  }
  return result;
}
