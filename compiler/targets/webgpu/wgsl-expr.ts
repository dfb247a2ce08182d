/** Scalar expressions as WGSL, over floats, four floats at once, or integers. */
import { children, type Expr, exprKey } from '#ir/expr.ts';

/** What the terms of an expression are. */
export type Domain = 'f32' | 'vec4f' | 'i32' | 'u32';

export const isFloat = (domain: Domain): boolean => domain === 'f32' || domain === 'vec4f';

/** A function that WGSL lacks, or has with gaps, over one number; of floats `name` + `4` over four too. */
interface Helper {
  readonly code: string;
  readonly integers?: true;
  /** Others that it calls. */
  readonly needs?: readonly string[];
}

/** Where WGSL leaves the result for a number open (a power of a negative one, tanh of a large one), it is settled here. */
const HELPERS = {
  // Abramowitz & Stegun 7.1.26: at most 1.5e-7 off
  erf_: {
    code: `fn erf_(x: f32) -> f32 {
  let a = min(abs(x), 6.0);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  let near = a * (1.1283791671 + a * a * (-0.3761263890 + a * a * (0.1128379167 - a * a * 0.0268661706)));
  return sign(x) * select(1.0 - p * exp(-a * a), near, a < 0.3);
}`,
  },
  tanh_: {
    code: `fn tanh_(x: f32) -> f32 {
  let s = x * x;
  let near = x * (1.0 - s * (0.3333333333 - s * (0.1333333333 - s * 0.0539682540)));
  let e = exp(-2.0 * min(abs(x), 20.0));
  return select(sign(x) * (1.0 - e) / (1.0 + e), near, abs(x) < 0.12);
}`,
  },
  pow_: {
    code: `fn pow_(x: f32, y: f32) -> f32 {
  let r = exp2(y * log2(abs(x)));
  let odd = floor(y * 0.5) * 2.0 != y;
  let whole = floor(y) == y;
  let negative = select(bitcast<f32>(at[15].w | 0x7fc00000u), select(r, -r, odd), whole);
  let zero = select(0.0, 1.0, y == 0.0);
  return select(select(select(r, negative, x < 0.0), zero, x == 0.0 && y >= 0.0), x * x, y == 2.0);
}`,
  },
  // by its bits: compilers of WGSL may take every float for a number
  isnan_: {
    code: 'fn isnan_(x: f32) -> f32 { return select(0.0, 1.0, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u); }',
  },
  mod_: {
    needs: ['fmod_'],
    code: `fn mod_(x: f32, y: f32) -> f32 {
  let r = fmod_(x, y);
  return select(r, r + y, r != 0.0 && (r < 0.0) != (y < 0.0));
}`,
  },
  // a quotient may be rounded to the next whole number, on either side
  fmod_: {
    code: `fn fmod_(x: f32, y: f32) -> f32 {
  let a = abs(y);
  let first = abs(x) - a * trunc(abs(x) / a);
  let second = select(first, first + a, first < 0.0);
  let rest = select(second, second - a, second >= a);
  return select(select(rest, -rest, x < 0.0), x, (bitcast<u32>(y) & 0x7fffffffu) == 0x7f800000u);
}`,
  },
  asinh_: {
    code: 'fn asinh_(x: f32) -> f32 { let a = abs(x); let far = log(a) + 0.6931471806; return sign(x) * select(select(log(a + sqrt(a * a + 1.0)), far, a > 1e9), a * (1.0 - a * a * (0.1666666667 - a * a * 0.075)), a < 0.1); }',
  },
  atanh_: {
    code: 'fn atanh_(x: f32) -> f32 { let s = x * x; return select(0.5 * log((1.0 + x) / (1.0 - x)), x * (1.0 + s * (0.3333333333 + s * 0.2)), abs(x) < 0.1); }',
  },
  sinh_: {
    code: 'fn sinh_(x: f32) -> f32 { let s = x * x; return select(0.5 * (exp(x) - exp(-x)), x * (1.0 + s * (0.1666666667 + s * 0.0083333333)), abs(x) < 0.2); }',
  },
  // below 0 all but the powers of 1 and −1 are fractions
  ipow_: {
    integers: true,
    code: `fn ipow_(x: i32, y: i32) -> i32 {
  if (y < 0) { return select(select(0, select(1, -1, (y & 1) != 0), x == -1), 1, x == 1); }
  var result = 1;
  var base = x;
  for (var rest = y; rest > 0; rest >>= 1u) {
    if ((rest & 1) != 0) { result *= base; }
    base *= base;
  }
  return result;
}`,
  },
} as const satisfies Record<string, Helper>;
export type HelperName = keyof typeof HELPERS;

/** The text of helpers, and of their forms over four floats. */
export function helperCode(names: Iterable<HelperName>): string {
  const all = [...names].flatMap((name) => {
    const helper: Helper = HELPERS[name];
    return [name, ...((helper.needs ?? []) as readonly HelperName[])];
  });
  return [...new Set(all)]
    .sort()
    .map((name) => {
      const { code, integers }: Helper = HELPERS[name];
      if (integers) return code;
      const two = code.includes('y: f32)');
      const parameters = two ? 'x: vec4f, y: vec4f' : 'x: vec4f';
      const lanes = ['x', 'y', 'z', 'w'].map((l) => (two ? `${name}(x.${l}, y.${l})` : `${name}(x.${l})`));
      return `${code}\nfn ${name}4(${parameters}) -> vec4f { return vec4f(${lanes.join(', ')}); }`;
    })
    .join('\n');
}

const FLOAT_FUNCTIONS: Readonly<Record<string, string>> = {
  abs: 'abs',
  sign: 'sign',
  floor: 'floor',
  ceil: 'ceil',
  round: 'round',
  trunc: 'trunc',
  sqrt: 'sqrt',
  exp: 'exp',
  log: 'log',
  sin: 'sin',
  cos: 'cos',
  tan: 'tan',
  asin: 'asin',
  acos: 'acos',
  atan: 'atan',
  cosh: 'cosh',
  acosh: 'acosh',
};
const HELPED: Readonly<Record<string, HelperName>> = {
  tanh: 'tanh_',
  erf: 'erf_',
  sinh: 'sinh_',
  asinh: 'asinh_',
  atanh: 'atanh_',
  pow: 'pow_',
  mod: 'mod_',
  fmod: 'fmod_',
  isnan: 'isnan_',
};
const INFIX: Readonly<Record<string, string>> = { add: '+', sub: '-', mul: '*', div: '/' };
const COMPARED: Readonly<Record<string, string>> = {
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
};
const BITWISE: Readonly<Record<string, string>> = { bitand: '&', bitor: '|', bitxor: '^' };
/** Functions of integers that leave them as they are. */
const WHOLE = ['floor', 'ceil', 'round', 'trunc'];

/** A function of the expression that has no code in the domain. */
export function unsupportedIn(e: Expr, domain: Domain): string | undefined {
  for (const child of children(e)) {
    const inner = unsupportedIn(child, domain);
    if (inner) return inner;
  }
  if (e.kind !== 'unary' && e.kind !== 'binary') return undefined;
  const { fn } = e;
  const common =
    Object.hasOwn(INFIX, fn) || Object.hasOwn(COMPARED, fn) || ['neg', 'not', 'min', 'max'].includes(fn);
  if (common) return undefined;
  const known = isFloat(domain)
    ? Object.hasOwn(FLOAT_FUNCTIONS, fn) || Object.hasOwn(HELPED, fn)
    : Object.hasOwn(BITWISE, fn) ||
      WHOLE.includes(fn) ||
      ['abs', 'sign', 'bitnot', 'shl', 'shr', 'mod', 'fmod', 'pow'].includes(fn);
  return known ? undefined : fn;
}

/** Statements that compute an expression, each part once. */
export class WgslExpr {
  readonly #domain: Domain;
  readonly #lines: string[] = [];
  readonly #known = new Map<string, string>();
  readonly #prefix: string;
  readonly helpers = new Set<HelperName>();

  /** @param prefix of the names of what is computed on the way */
  constructor(domain: Domain, prefix = 't') {
    this.#domain = domain;
    this.#prefix = prefix;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** The term for an expression over given terms. */
  render(e: Expr, args: readonly string[]): string {
    if (e.kind === 'arg') return args[e.index] ?? this.literal(0);
    if (e.kind === 'const') return isFloat(this.#domain) ? this.literal(e.value) : this.#hidden(e.value);
    const key = exprKey(e);
    const known = this.#known.get(key);
    if (known) return known;
    const text = this.#term(e, args);
    const name = `${this.#prefix}${this.#known.size}`;
    this.#lines.push(`let ${name} = ${text};`);
    this.#known.set(key, name);
    return name;
  }

  /** An integer that compilers of WGSL do not see: they refuse divisions by 0 and shifts beyond the width. */
  #hidden(value: number): string {
    return `(${this.literal(value)} + ${this.#domain === 'i32' ? 'i32(at[15].w)' : 'at[15].w'})`;
  }

  /** A number of the domain. */
  literal(value: number): string {
    switch (this.#domain) {
      case 'f32':
        return floatLiteral(value);
      case 'vec4f':
        return `vec4f(${floatLiteral(value)})`;
      case 'i32':
        return intLiteral(value);
      case 'u32':
        return `${Math.max(0, Math.min(4294967295, Math.trunc(value)))}u`;
    }
  }

  #term(e: Exclude<Expr, { kind: 'arg' | 'const' }>, args: readonly string[]): string {
    const [zero, one] = [this.literal(0), this.literal(1)];
    const truth = (condition: string) => `select(${zero}, ${one}, ${condition})`;
    if (e.kind === 'select') {
      const [test, x, y] = [e.test, e.x, e.y].map((part) => this.render(part, args));
      return `select(${y}, ${x}, ${test} != ${zero})`;
    }
    if (e.kind === 'unary') {
      const x = this.render(e.x, args);
      switch (e.fn) {
        case 'neg':
          return this.#domain === 'u32' ? `(0u - ${x})` : `(-${x})`;
        case 'not':
          return truth(`${x} == ${zero}`);
        case 'bitnot':
          return `(~${x})`;
        default:
      }
      if (!isFloat(this.#domain)) {
        if (WHOLE.includes(e.fn)) return x;
        return this.#domain === 'u32' && e.fn === 'sign' ? truth(`${x} != 0u`) : `${e.fn}(${x})`;
      }
      return `${this.#float(e.fn)}(${x})`;
    }
    const [x, y] = [this.render(e.x, args), this.render(e.y, args)];
    const infix = INFIX[e.fn] ?? BITWISE[e.fn];
    if (infix === '/' && !isFloat(this.#domain)) return `select(${x} / ${y}, ${zero}, ${y} == ${zero})`;
    if (infix) return `(${x} ${infix} ${y})`;
    const compared = COMPARED[e.fn];
    // what differs from itself is no number, which compilers of WGSL need not respect
    if (x === y && isFloat(this.#domain) && (e.fn === 'eq' || e.fn === 'ne')) {
      const unlike = `${this.#float('isnan')}(${x})`;
      return e.fn === 'ne' ? unlike : `(${one} - ${unlike})`;
    }
    if (compared) return truth(`${x} ${compared} ${y}`);
    if (e.fn === 'min' || e.fn === 'max') return `${e.fn}(${x}, ${y})`;
    if (isFloat(this.#domain)) return `${this.#float(e.fn)}(${x}, ${y})`;
    if (e.fn === 'shl' || e.fn === 'shr') {
      if (e.fn === 'shl') return `select(${x} << (u32(${y}) & 31u), ${zero}, u32(${y}) > 31u)`;
      // every bit is moved out: what is left is the sign
      const out = this.#domain === 'i32' ? `${x} >> 31u` : zero;
      return `select(${x} >> (u32(${y}) & 31u), ${out}, u32(${y}) > 31u)`;
    }
    if (e.fn === 'pow') {
      this.helpers.add('ipow_');
      return this.#domain === 'u32' ? `u32(ipow_(i32(${x}), i32(${y})))` : `ipow_(${x}, ${y})`;
    }
    const rest = `(${x} % ${y})`;
    if (e.fn === 'fmod' || this.#domain === 'u32') return `select(${rest}, ${zero}, ${y} == ${zero})`;
    return `select(${rest} + select(0, ${y}, ${rest} != 0 && (${rest} < 0) != (${y} < 0)), 0, ${y} == 0)`;
  }

  #float(fn: string): string {
    const helped = HELPED[fn];
    if (!helped) return FLOAT_FUNCTIONS[fn] ?? fn;
    this.helpers.add(helped);
    return this.#domain === 'vec4f' ? `${helped}4` : helped;
  }
}

/** WGSL has no literal for what is not finite, and refuses constants that give it: a word of the call, which is 0, hides it. */
function floatLiteral(value: number): string {
  if (Number.isNaN(value)) return 'bitcast<f32>(at[15].w | 0x7fc00000u)';
  if (!Number.isFinite(Math.fround(value)))
    return `bitcast<f32>(at[15].w | ${value > 0 ? '0x7f800000u' : '0xff800000u'})`;
  const rounded = Math.fround(value);
  const text = Object.is(rounded, -0) ? '-0' : String(rounded);
  const literal = `${text}${/[.e]/.test(text) ? 'f' : '.0f'}`;
  return literal.startsWith('-') ? `(${literal})` : literal;
}

const intLiteral = (value: number): string => {
  const whole = Math.max(-2147483648, Math.min(2147483647, Math.trunc(value)));
  return whole === -2147483648 ? '(-2147483647 - 1)' : whole < 0 ? `(${whole})` : `${whole}`;
};
