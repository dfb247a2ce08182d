/**
 * Scalar expressions: what an elementwise op or a fused epilogue does to one element.
 *
 * An activation is one expression here; evaluation, operation counts, text, WASM and WGSL are renderers over it.
 */
export type Expr =
  | { readonly kind: 'arg'; readonly index: number }
  | { readonly kind: 'const'; readonly value: number }
  | { readonly kind: 'unary'; readonly fn: UnaryFn; readonly x: Expr }
  | { readonly kind: 'binary'; readonly fn: BinaryFn; readonly x: Expr; readonly y: Expr }
  | { readonly kind: 'select'; readonly test: Expr; readonly x: Expr; readonly y: Expr };

/** Abramowitz & Stegun 7.1.26 is too coarse; this is W. J. Cody's scheme as a Maclaurin series and continued fraction. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 60; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

/** Rounds half to even, as ONNX Round. */
function roundEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

interface UnaryMeaning {
  eval(x: number): number;
  integer?(x: bigint): bigint;
}

/** Functions of one argument. `integer` gives the meaning on 64-bit integers where there is one. */
export const UNARY = {
  neg: { eval: (x: number) => -x, integer: (x: bigint) => -x },
  abs: { eval: Math.abs, integer: (x: bigint) => (x < 0n ? -x : x) },
  sign: { eval: Math.sign, integer: (x: bigint) => (x > 0n ? 1n : x < 0n ? -1n : 0n) },
  floor: { eval: Math.floor, integer: (x: bigint) => x },
  ceil: { eval: Math.ceil, integer: (x: bigint) => x },
  round: { eval: roundEven, integer: (x: bigint) => x },
  trunc: { eval: Math.trunc, integer: (x: bigint) => x },
  sqrt: { eval: Math.sqrt },
  exp: { eval: Math.exp },
  log: { eval: Math.log },
  tanh: { eval: Math.tanh },
  erf: { eval: erf },
  sin: { eval: Math.sin },
  cos: { eval: Math.cos },
  tan: { eval: Math.tan },
  asin: { eval: Math.asin },
  acos: { eval: Math.acos },
  atan: { eval: Math.atan },
  sinh: { eval: Math.sinh },
  cosh: { eval: Math.cosh },
  asinh: { eval: Math.asinh },
  acosh: { eval: Math.acosh },
  atanh: { eval: Math.atanh },
  isnan: { eval: (x: number) => (Number.isNaN(x) ? 1 : 0), integer: (_: bigint) => 0n },
  bitnot: { eval: (x: number) => -x - 1, integer: (x: bigint) => ~x },
  not: { eval: (x: number) => (x === 0 ? 1 : 0), integer: (x: bigint) => (x === 0n ? 1n : 0n) },
} as const satisfies Record<string, UnaryMeaning>;
export type UnaryFn = keyof typeof UNARY;

const truth = (b: boolean): number => (b ? 1 : 0);
const wideTruth = (b: boolean): bigint => (b ? 1n : 0n);

/** Exact while it is short; of longer results only the low 64 bits, which are all that a tensor keeps. */
function power(x: bigint, y: bigint): bigint {
  if (y < 0n) return x === 1n ? 1n : x === -1n ? (y % 2n === 0n ? 1n : -1n) : 0n;
  if (y <= 64n) return x ** y;
  let result = 1n;
  for (let rest = y, base = x; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = BigInt.asIntN(64, result * base);
    base = BigInt.asIntN(64, base * base);
  }
  return result;
}

/** A function of integers on whole numbers held in doubles; NaN where one of them is none. */
const onWhole =
  (fn: (x: bigint, y: bigint) => bigint) =>
  (x: number, y: number): number =>
    Number.isInteger(x) && Number.isInteger(y) ? Number(fn(BigInt(x), BigInt(y))) : Number.NaN;

/** A shift by as many bits as there are, or by a negative number, moves every bit out. */
const shiftWidth = (y: bigint): bigint => (y < 0n || y > 64n ? 64n : y);

const bitAnd = (x: bigint, y: bigint): bigint => x & y;
const bitOr = (x: bigint, y: bigint): bigint => x | y;
const bitXor = (x: bigint, y: bigint): bigint => x ^ y;
const shiftLeft = (x: bigint, y: bigint): bigint => x << shiftWidth(y);
const shiftRight = (x: bigint, y: bigint): bigint => x >> shiftWidth(y);

/** The remainder of division rounded down: it has the sign of the divisor, zeros too. */
function floorMod(x: number, y: number): number {
  const rest = x % y;
  if (rest === 0) return y < 0 ? -0 : 0;
  return rest < 0 === y < 0 ? rest : rest + y;
}

/**
 * Functions of two arguments. Comparisons give 1 or 0. `min` and `max` return NaN if either argument is NaN.
 * Integer division truncates toward zero; `mod` has the sign of the divisor, `fmod` that of the dividend.
 * `shr` keeps the sign; bits that a shift or a negation makes beyond the element's width are dropped when it is stored.
 */
export const BINARY = {
  add: { eval: (x: number, y: number) => x + y, integer: (x: bigint, y: bigint) => x + y },
  sub: { eval: (x: number, y: number) => x - y, integer: (x: bigint, y: bigint) => x - y },
  mul: { eval: (x: number, y: number) => x * y, integer: (x: bigint, y: bigint) => x * y },
  div: { eval: (x: number, y: number) => x / y, integer: (x: bigint, y: bigint) => (y === 0n ? 0n : x / y) },
  min: { eval: Math.min, integer: (x: bigint, y: bigint) => (x < y ? x : y) },
  max: { eval: Math.max, integer: (x: bigint, y: bigint) => (x > y ? x : y) },
  pow: { eval: (x: number, y: number) => x ** y, integer: power },
  mod: {
    eval: floorMod,
    integer: (x: bigint, y: bigint) => (y === 0n ? 0n : ((x % y) + y) % y),
  },
  fmod: { eval: (x: number, y: number) => x % y, integer: (x: bigint, y: bigint) => (y === 0n ? 0n : x % y) },
  bitand: { eval: onWhole(bitAnd), integer: bitAnd },
  bitor: { eval: onWhole(bitOr), integer: bitOr },
  bitxor: { eval: onWhole(bitXor), integer: bitXor },
  shl: { eval: onWhole(shiftLeft), integer: shiftLeft },
  shr: { eval: onWhole(shiftRight), integer: shiftRight },
  eq: {
    eval: (x: number, y: number) => truth(x === y),
    integer: (x: bigint, y: bigint) => wideTruth(x === y),
  },
  ne: {
    eval: (x: number, y: number) => truth(x !== y),
    integer: (x: bigint, y: bigint) => wideTruth(x !== y),
  },
  lt: { eval: (x: number, y: number) => truth(x < y), integer: (x: bigint, y: bigint) => wideTruth(x < y) },
  le: { eval: (x: number, y: number) => truth(x <= y), integer: (x: bigint, y: bigint) => wideTruth(x <= y) },
  gt: { eval: (x: number, y: number) => truth(x > y), integer: (x: bigint, y: bigint) => wideTruth(x > y) },
  ge: { eval: (x: number, y: number) => truth(x >= y), integer: (x: bigint, y: bigint) => wideTruth(x >= y) },
} as const satisfies Record<
  string,
  { eval(x: number, y: number): number; integer(x: bigint, y: bigint): bigint }
>;
export type BinaryFn = keyof typeof BINARY;

export const arg = (index: number): Expr => ({ kind: 'arg', index });
export const constant = (value: number): Expr => ({ kind: 'const', value });
const lift = (x: Expr | number): Expr => (typeof x === 'number' ? constant(x) : x);
export const unary = (fn: UnaryFn, x: Expr | number): Expr => ({ kind: 'unary', fn, x: lift(x) });
export const binary = (fn: BinaryFn, x: Expr | number, y: Expr | number): Expr => ({
  kind: 'binary',
  fn,
  x: lift(x),
  y: lift(y),
});
/** `test ≠ 0 ? x : y`; both sides are evaluated. */
export const select = (test: Expr, x: Expr | number, y: Expr | number): Expr => ({
  kind: 'select',
  test,
  x: lift(x),
  y: lift(y),
});

/** Rebuilds an expression with every argument replaced; arguments keep their sharing. */
export function substitute(e: Expr, replace: (index: number) => Expr): Expr {
  switch (e.kind) {
    case 'arg':
      return replace(e.index);
    case 'const':
      return e;
    case 'unary':
      return { ...e, x: substitute(e.x, replace) };
    case 'binary':
      return { ...e, x: substitute(e.x, replace), y: substitute(e.y, replace) };
    case 'select':
      return {
        ...e,
        test: substitute(e.test, replace),
        x: substitute(e.x, replace),
        y: substitute(e.y, replace),
      };
  }
}

export const children = (e: Expr): readonly Expr[] => {
  switch (e.kind) {
    case 'arg':
    case 'const':
      return [];
    case 'unary':
      return [e.x];
    case 'binary':
      return [e.x, e.y];
    case 'select':
      return [e.test, e.x, e.y];
  }
};

/** Arithmetic operations on one element: every function application counts 1, whatever it costs a machine. */
export const operationCount = (e: Expr): number =>
  children(e).reduce(
    (sum, child) => sum + operationCount(child),
    e.kind === 'arg' || e.kind === 'const' ? 0 : 1,
  );

/** One more than the largest argument index. */
export const arity = (e: Expr): number =>
  e.kind === 'arg' ? e.index + 1 : children(e).reduce((n, child) => Math.max(n, arity(child)), 0);

/** Structural equality and hashing in one: equal keys, equal expressions. */
export const exprKey = (e: Expr): string => formatExpr(e);

/** Compiles to a closure over an argument array, in double arithmetic. */
export function compileExpr(e: Expr): (args: ArrayLike<number>) => number {
  switch (e.kind) {
    case 'arg': {
      const { index } = e;
      return (args) => args[index] ?? Number.NaN;
    }
    case 'const': {
      const { value } = e;
      return () => value;
    }
    case 'unary': {
      const fn: (x: number) => number = UNARY[e.fn].eval;
      const x = compileExpr(e.x);
      return (args) => fn(x(args));
    }
    case 'binary': {
      const fn: (x: number, y: number) => number = BINARY[e.fn].eval;
      const x = compileExpr(e.x);
      const y = compileExpr(e.y);
      return (args) => fn(x(args), y(args));
    }
    case 'select': {
      const test = compileExpr(e.test);
      const x = compileExpr(e.x);
      const y = compileExpr(e.y);
      return (args) => (test(args) !== 0 ? x(args) : y(args));
    }
  }
}

/** Evaluates on exact integers. @throws RangeError where a function has no meaning on integers. */
export function evaluateInteger(e: Expr, args: readonly bigint[]): bigint {
  switch (e.kind) {
    case 'arg':
      return args[e.index] ?? 0n;
    case 'const':
      return BigInt(Math.trunc(e.value));
    case 'unary': {
      const entry: UnaryMeaning = UNARY[e.fn];
      if (!entry.integer) throw new RangeError(`${e.fn} is not defined on integers`);
      return entry.integer(evaluateInteger(e.x, args));
    }
    case 'binary':
      return BINARY[e.fn].integer(evaluateInteger(e.x, args), evaluateInteger(e.y, args));
    case 'select':
      return evaluateInteger(e.test, args) !== 0n ? evaluateInteger(e.x, args) : evaluateInteger(e.y, args);
  }
}

/** `max(x0, 0)`: calls of the named functions over arguments x0, x1, … and numbers. */
export function formatExpr(e: Expr): string {
  switch (e.kind) {
    case 'arg':
      return `x${e.index}`;
    case 'const':
      return Object.is(e.value, -0) ? '-0' : String(e.value);
    case 'unary':
      return `${e.fn}(${formatExpr(e.x)})`;
    case 'binary':
      return `${e.fn}(${formatExpr(e.x)}, ${formatExpr(e.y)})`;
    case 'select':
      return `select(${formatExpr(e.test)}, ${formatExpr(e.x)}, ${formatExpr(e.y)})`;
  }
}

/** Reads what `formatExpr` writes. @throws SyntaxError */
export function parseExpr(text: string): Expr {
  const tokens = text.match(/[(),]|[^\s(),]+/g) ?? [];
  let at = 0;
  const expect = (token: string) => {
    if (tokens[at++] !== token) throw new SyntaxError(`expected "${token}" in expression "${text}"`);
  };
  const parse = (depth: number): Expr => {
    if (depth > 200) throw new SyntaxError('expression nested too deeply');
    const token = tokens[at++] ?? '';
    const index = /^x(\d+)$/.exec(token);
    if (index) return arg(Number(index[1]));
    if (tokens[at] !== '(') {
      const value = token === '' ? Number.NaN : Number(token);
      if (Number.isNaN(value) && token !== 'NaN')
        throw new SyntaxError(`unknown term "${token}" in "${text}"`);
      return constant(value);
    }
    const operands: Expr[] = [];
    do {
      at++;
      operands.push(parse(depth + 1));
    } while (tokens[at] === ',');
    expect(')');
    const [x, y, z] = operands;
    if (x && operands.length === 1 && Object.hasOwn(UNARY, token)) return unary(token as UnaryFn, x);
    if (x && y && operands.length === 2 && Object.hasOwn(BINARY, token))
      return binary(token as BinaryFn, x, y);
    if (x && y && z && operands.length === 3 && token === 'select') return select(x, y, z);
    throw new SyntaxError(`unknown function "${token}" of ${operands.length} arguments`);
  };
  const result = parse(0);
  if (at !== tokens.length) throw new SyntaxError(`unexpected "${tokens[at]}" in expression "${text}"`);
  return result;
}
