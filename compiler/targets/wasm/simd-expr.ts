/** Renders scalar expressions (ir/expr.ts) as f32x4 code. */
import { children, type Expr, exprKey } from '#ir/expr.ts';
import { type Local, op, v128 } from './encoder/index.ts';
import type { MultiplyAdd } from './engines.ts';
import { BINARY_CODE, isSimplePower, logistic, logNormal, power, UNARY_CODE } from './simd-functions.ts';
import { greater, lesser, type Pen, type Vector } from './simd-vector.ts';

/** The part of a function body that expressions need: temporaries. */
export interface Temporaries {
  local(type: 'v128'): Local<'v128'>;
  set(target: Local<'v128'>, value: Vector): void;
}

/** The first function of an expression that has no f32x4 code, if there is one. */
export function unsupportedFunction(e: Expr): string | undefined {
  if (e.kind === 'unary' && UNARY_CODE[e.fn] === 'unsupported') return e.fn;
  if (e.kind === 'binary' && BINARY_CODE[e.fn] === 'unsupported') return e.fn;
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
  readonly #multiplyAdd: MultiplyAdd | undefined;

  /** @param multiplyAdd how functions that are polynomials add products; `separate` unless given */
  constructor(e: Expr, body: Temporaries, multiplyAdd?: MultiplyAdd) {
    this.#e = e;
    this.#multiplyAdd = multiplyAdd;
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
      wide: (value) => {
        seen.set(keyOf('d', value), v128('f64x2', value, value));
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
    const constant = (kind: ConstantKind, value: number): Vector => {
      const local = this.#constants.get(keyOf(kind, value));
      if (!local) throw new RangeError(`constant ${value} was not prepared`);
      return local;
    };
    const pen: Pen = {
      k: (value) => constant('f', value),
      bits: (value) => constant('i', value),
      wide: (value) => constant('d', value),
      hold: (value) => {
        if (value.kind === 'local') return value;
        const local = this.#body.local('v128');
        this.#body.set(local, value);
        return local;
      },
      multiplyAdd: this.#multiplyAdd,
    };
    return renderWith(this.#e, pen, (index) => args[index] ?? missingArgument(index), new Map());
  }
}

/** f32x4, i32x4 and f64x2 constants. */
type ConstantKind = 'f' | 'i' | 'd';

const keyOf = (kind: ConstantKind, value: number): string => `${kind}${Object.is(value, -0) ? '-0' : value}`;

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

/**
 * min and max against a number take one instruction where the variable side, which may be NaN, goes first. A −0 passes a
 * bound of 0.
 */
function clampCode(
  { fn, x, y }: Extract<Expr, { kind: 'binary' }>,
  pen: Pen,
  render: (child: Expr) => Vector,
): Vector | undefined {
  if (fn !== 'min' && fn !== 'max') return undefined;
  const [variable, bound] = y.kind === 'const' ? [x, y] : [y, x];
  if (bound.kind !== 'const' || Number.isNaN(bound.value)) return undefined;
  const code = fn === 'min' ? lesser : greater;
  return code(render(variable), pen.k(bound.value));
}

/** The argument x of 1 + eˣ, whichever way the sum is written. */
function argumentOfOneAndPower(sum: Expr): Expr | undefined {
  const isOne = (e: Expr) => e.kind === 'const' && e.value === 1;
  if (sum.kind !== 'binary' || sum.fn !== 'add') return undefined;
  const power = isOne(sum.y) ? sum.x : isOne(sum.x) ? sum.y : undefined;
  return power?.kind === 'unary' && power.fn === 'exp' ? power.x : undefined;
}

/** The argument x of 1 / (1 + e⁻ˣ). */
export function logisticArgument({
  fn,
  x: one,
  y: sum,
}: Extract<Expr, { kind: 'binary' }>): Expr | undefined {
  if (fn !== 'div' || one.kind !== 'const' || one.value !== 1) return undefined;
  const negative = argumentOfOneAndPower(sum);
  return negative?.kind === 'unary' && negative.fn === 'neg' ? negative.x : undefined;
}

function renderCall(
  e: Exclude<Expr, { kind: 'arg' | 'const' }>,
  pen: Pen,
  render: (child: Expr) => Vector,
): Vector {
  switch (e.kind) {
    case 'unary': {
      if (e.fn === 'log' && argumentOfOneAndPower(e.x)) return logNormal(pen, render(e.x));
      const code = UNARY_CODE[e.fn];
      if (code === 'unsupported') throw new RangeError(`${e.fn} has no f32x4 code`);
      return code(pen, render(e.x));
    }
    case 'binary': {
      if (e.fn === 'pow' && e.y.kind === 'const' && isSimplePower(e.y.value))
        return power(pen, render(e.x), e.y.value);
      const logit = logisticArgument(e);
      if (logit) return logistic(pen, render(logit));
      const code = BINARY_CODE[e.fn];
      if (code === 'unsupported') throw new RangeError(`${e.fn} has no f32x4 code`);
      const bounded = clampCode(e, pen, render);
      return bounded ?? code(pen, render(e.x), render(e.y));
    }
    case 'select': {
      const mask = op('f32x4.ne', render(e.test), pen.k(0));
      return op('v128.bitselect', render(e.x), render(e.y), mask);
    }
  }
}
