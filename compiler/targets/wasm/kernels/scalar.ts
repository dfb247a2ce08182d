/** Single elements of any type: loads, stores and expressions in one of two domains, exact integers or doubles. */
import { type Expr, exprKey } from '#ir/expr.ts';
import { bytesOf, type DType, isInteger } from '#ir/types.ts';
import { type Ex, f64, i64, type Local, load, op, select } from '../encoder/index.ts';
import type { Body } from './family.ts';

/** What scalar code computes in. Integers and bool fit `i64`; f32 and everything rounded fits `f64`. */
export type Domain = 'i64' | 'f64';

/** The domain in which values of a type are exact. */
export const domainOf = (dtype: DType): Domain => (isInteger(dtype) || dtype === 'bool' ? 'i64' : 'f64');

type Address = Ex<'i32'>;

const LOAD_INTEGER: Record<Exclude<DType, 'f32'>, (at: Address, offset: number) => Ex<'i64'>> = {
  i8: (at, offset) => load('i64.load8_s', at, { offset }),
  u8: (at, offset) => load('i64.load8_u', at, { offset }),
  bool: (at, offset) => load('i64.load8_u', at, { offset }),
  i16: (at, offset) => load('i64.load16_s', at, { offset }),
  u16: (at, offset) => load('i64.load16_u', at, { offset }),
  i32: (at, offset) => load('i64.load32_s', at, { offset }),
  u32: (at, offset) => load('i64.load32_u', at, { offset }),
  i64: (at, offset) => load('i64.load', at, { offset }),
  u64: (at, offset) => load('i64.load', at, { offset }),
};

/** The element at an address, in a domain. Doubles become integers by truncation, saturating. */
export function loadScalar(dtype: DType, at: Address, domain: 'i64', offset?: number): Ex<'i64'>;
export function loadScalar(dtype: DType, at: Address, domain: 'f64', offset?: number): Ex<'f64'>;
export function loadScalar(dtype: DType, at: Address, domain: Domain, offset?: number): Ex<'i64'> | Ex<'f64'>;
export function loadScalar(dtype: DType, at: Address, domain: Domain, offset = 0): Ex<'i64'> | Ex<'f64'> {
  if (dtype === 'f32') {
    const value = op('f64.promote_f32', load('f32.load', at, { offset }));
    return domain === 'f64' ? value : op('i64.trunc_sat_f64_s', value);
  }
  const value = LOAD_INTEGER[dtype](at, offset);
  if (domain === 'i64') return value;
  return dtype === 'u64' ? op('f64.convert_i64_u', value) : op('f64.convert_i64_s', value);
}

/** Writes a value of a domain as an element: integers wrap, doubles are truncated first, bool is `≠ 0`. */
export function storeScalar(
  body: Body,
  dtype: DType,
  at: Address,
  value: Ex<'i64'> | Ex<'f64'>,
  offset = 0,
): void {
  if (dtype === 'f32') {
    const wide = value.type === 'f64' ? (value as Ex<'f64'>) : op('f64.convert_i64_s', value as Ex<'i64'>);
    body.store('f32.store', at, op('f32.demote_f64', wide), { offset });
    return;
  }
  if (dtype === 'bool') {
    const truth =
      value.type === 'f64'
        ? op('f64.ne', value as Ex<'f64'>, f64(0))
        : op('i64.ne', value as Ex<'i64'>, i64(0n));
    body.store('i32.store8', at, truth, { offset });
    return;
  }
  const whole = value.type === 'i64' ? (value as Ex<'i64'>) : truncate(dtype, value as Ex<'f64'>);
  const size = bytesOf(dtype);
  if (size === 1) body.store('i64.store8', at, whole, { offset });
  else if (size === 2) body.store('i64.store16', at, whole, { offset });
  else if (size === 4) body.store('i64.store32', at, whole, { offset });
  else body.store('i64.store', at, whole, { offset });
}

const truncate = (dtype: DType, value: Ex<'f64'>): Ex<'i64'> =>
  dtype === 'u64' ? op('i64.trunc_sat_f64_u', value) : op('i64.trunc_sat_f64_s', value);

/** Functions that scalar code has in doubles; the others exist as vector code only. */
const DOUBLES: Partial<Record<string, (x: Ex<'f64'>, y: Ex<'f64'>) => Ex<'f64'>>> = {
  neg: (x) => op('f64.neg', x),
  abs: (x) => op('f64.abs', x),
  floor: (x) => op('f64.floor', x),
  ceil: (x) => op('f64.ceil', x),
  round: (x) => op('f64.nearest', x),
  trunc: (x) => op('f64.trunc', x),
  sqrt: (x) => op('f64.sqrt', x),
  sign: (x) => op('f64.sub', truthOf(op('f64.gt', x, f64(0))), truthOf(op('f64.lt', x, f64(0)))),
  not: (x) => truthOf(op('f64.eq', x, f64(0))),
  isnan: (x) => truthOf(op('f64.ne', x, x)),
  add: (x, y) => op('f64.add', x, y),
  sub: (x, y) => op('f64.sub', x, y),
  mul: (x, y) => op('f64.mul', x, y),
  div: (x, y) => op('f64.div', x, y),
  min: (x, y) => op('f64.min', x, y),
  max: (x, y) => op('f64.max', x, y),
  mod: (x, y) => floorMod(x, y),
  fmod: (x, y) => truncatedMod(x, y),
  eq: (x, y) => truthOf(op('f64.eq', x, y)),
  ne: (x, y) => truthOf(op('f64.ne', x, y)),
  lt: (x, y) => truthOf(op('f64.lt', x, y)),
  le: (x, y) => truthOf(op('f64.le', x, y)),
  gt: (x, y) => truthOf(op('f64.gt', x, y)),
  ge: (x, y) => truthOf(op('f64.ge', x, y)),
};

const INFINITY = Number.POSITIVE_INFINITY;

/** The rest of x/y with the sign of x; x itself where only y is infinite. Operands are locals: they are read often. */
const truncatedMod = (x: Ex<'f64'>, y: Ex<'f64'>): Ex<'f64'> =>
  select(
    x,
    op('f64.sub', x, op('f64.mul', y, op('f64.trunc', op('f64.div', x, y)))),
    op(
      'i32.and',
      op('f64.eq', op('f64.abs', y), f64(INFINITY)),
      op('f64.ne', op('f64.abs', x), f64(INFINITY)),
    ),
  );

/** The rest of x/y with the sign of y. */
function floorMod(x: Ex<'f64'>, y: Ex<'f64'>): Ex<'f64'> {
  const rest = truncatedMod(x, y);
  const agrees = op('i32.eq', op('f64.lt', rest, f64(0)), op('f64.lt', y, f64(0)));
  const moved = select(rest, op('f64.add', rest, y), agrees);
  return select(op('f64.copysign', f64(0), y), moved, op('f64.eq', rest, f64(0)));
}

const truthOf = (test: Ex<'i32'>): Ex<'f64'> => op('f64.convert_i32_u', test);
const wideTruth = (test: Ex<'i32'>): Ex<'i64'> => op('i64.extend_i32_u', test);

type IntegerCode = (x: Ex<'i64'>, y: Ex<'i64'>, unsigned: boolean) => Ex<'i64'>;

/** A division that neither traps on 0 (result 0) nor on the one overflow. */
const quotient: IntegerCode = (x, y, unsigned) => {
  const zero = op('i64.eqz', y);
  const safe = select(i64(1n), y, zero);
  if (unsigned) return select(i64(0n), op('i64.div_u', x, safe), zero);
  const minusOne = op('i64.eq', y, i64(-1n));
  const divisor = select(i64(1n), safe, minusOne);
  return select(i64(0n), select(op('i64.sub', i64(0n), x), op('i64.div_s', x, divisor), minusOne), zero);
};

const remainder: IntegerCode = (x, y, unsigned) => {
  const zero = op('i64.eqz', y);
  const safe = select(i64(1n), y, zero);
  return select(i64(0n), unsigned ? op('i64.rem_u', x, safe) : op('i64.rem_s', x, safe), zero);
};

const compare =
  (
    signed: 'i64.lt_s' | 'i64.le_s' | 'i64.gt_s' | 'i64.ge_s',
    unsigned: 'i64.lt_u' | 'i64.le_u' | 'i64.gt_u' | 'i64.ge_u',
  ): IntegerCode =>
  (x, y, isUnsigned) =>
    wideTruth(op(isUnsigned ? unsigned : signed, x, y));

/** The same on 64-bit integers; operands are held, so that they may be read twice. */
const INTEGERS: Partial<Record<string, IntegerCode>> = {
  neg: (x) => op('i64.sub', i64(0n), x),
  abs: (x) => select(op('i64.sub', i64(0n), x), x, op('i64.lt_s', x, i64(0n))),
  sign: (x) => op('i64.sub', wideTruth(op('i64.gt_s', x, i64(0n))), wideTruth(op('i64.lt_s', x, i64(0n)))),
  floor: (x) => x,
  ceil: (x) => x,
  round: (x) => x,
  trunc: (x) => x,
  not: (x) => wideTruth(op('i64.eqz', x)),
  isnan: () => i64(0n),
  bitnot: (x) => op('i64.xor', x, i64(-1n)),
  add: (x, y) => op('i64.add', x, y),
  sub: (x, y) => op('i64.sub', x, y),
  mul: (x, y) => op('i64.mul', x, y),
  div: quotient,
  min: (x, y, u) => select(x, y, op(u ? 'i64.lt_u' : 'i64.lt_s', x, y)),
  max: (x, y, u) => select(x, y, op(u ? 'i64.gt_u' : 'i64.gt_s', x, y)),
  fmod: remainder,
  mod: (x, y, u) => (u ? remainder(x, y, u) : remainder(op('i64.add', remainder(x, y, u), y), y, u)),
  bitand: (x, y) => op('i64.and', x, y),
  bitor: (x, y) => op('i64.or', x, y),
  bitxor: (x, y) => op('i64.xor', x, y),
  shl: (x, y) => select(op('i64.shl', x, y), i64(0n), op('i64.lt_u', y, i64(64n))),
  shr: (x, y, u) => {
    const within = op('i64.lt_u', y, i64(64n));
    if (u) return select(op('i64.shr_u', x, y), i64(0n), within);
    return op('i64.shr_s', x, select(y, i64(63n), within));
  },
  eq: (x, y) => wideTruth(op('i64.eq', x, y)),
  ne: (x, y) => wideTruth(op('i64.ne', x, y)),
  lt: compare('i64.lt_s', 'i64.lt_u'),
  le: compare('i64.le_s', 'i64.le_u'),
  gt: compare('i64.gt_s', 'i64.gt_u'),
  ge: compare('i64.ge_s', 'i64.ge_u'),
};

/** The first function of an expression that has no scalar code in a domain. */
export function unsupportedScalar(e: Expr, domain: Domain): string | undefined {
  if (e.kind === 'arg' || e.kind === 'const') return undefined;
  if (e.kind === 'select') {
    return (
      unsupportedScalar(e.test, domain) ?? unsupportedScalar(e.x, domain) ?? unsupportedScalar(e.y, domain)
    );
  }
  const known = domain === 'f64' ? DOUBLES : INTEGERS;
  if (!known[e.fn] && !(e.fn === 'pow' && domain === 'i64')) return e.fn;
  return unsupportedScalar(e.x, domain) ?? (e.kind === 'binary' ? unsupportedScalar(e.y, domain) : undefined);
}

/** Scalar code of an expression over values of one domain. */
export function scalarCode<D extends Domain>(
  body: Body,
  e: Expr,
  domain: D,
  args: readonly Local<D>[],
  unsigned = false,
): Ex<D> {
  const shared = new Map<string, Local<D>>();
  const hold = (value: Ex<D>): Local<D> => {
    if (value.kind === 'local') return value as Local<D>;
    const local = body.local(domain);
    body.set(local, value as never);
    return local;
  };
  const render = (x: Expr): Ex<D> => {
    if (x.kind === 'arg') {
      const found = args[x.index];
      if (!found) throw new RangeError(`expression argument x${x.index} is missing`);
      return found;
    }
    if (x.kind === 'const') return literal(x.value, domain) as Ex<D>;
    const key = exprKey(x);
    const known = shared.get(key);
    if (known) return known;
    const held = hold(renderCall(x));
    shared.set(key, held);
    return held;
  };
  const renderCall = (x: Exclude<Expr, { kind: 'arg' | 'const' }>): Ex<D> => {
    if (x.kind === 'select') {
      const test = render(x.test);
      const truth =
        domain === 'f64' ? op('f64.ne', test as Ex<'f64'>, f64(0)) : op('i64.ne', test as Ex<'i64'>, i64(0n));
      return select(hold(render(x.x)) as Ex, hold(render(x.y)) as never, truth) as Ex<D>;
    }
    const a = hold(render(x.x));
    const b = x.kind === 'binary' ? hold(render(x.y)) : a;
    if (domain === 'f64') {
      const code = DOUBLES[x.fn];
      if (!code) throw new RangeError(`${x.fn} has no scalar code`);
      return code(a as Ex<'f64'>, b as Ex<'f64'>) as Ex<D>;
    }
    if (x.fn === 'pow') return integerPower(body, a as Local<'i64'>, b as Local<'i64'>) as Ex<D>;
    const code = INTEGERS[x.fn];
    if (!code) throw new RangeError(`${x.fn} has no integer code`);
    return code(a as Ex<'i64'>, b as Ex<'i64'>, unsigned) as Ex<D>;
  };
  return render(e);
}

const literal = (value: number, domain: Domain): Ex<'i64'> | Ex<'f64'> =>
  domain === 'f64' ? f64(value) : i64(BigInt(Math.trunc(Number.isFinite(value) ? value : 0)));

/** x^y by repeated squaring; a negative exponent gives 0 but for a base of ±1. */
function integerPower(body: Body, x: Local<'i64'>, y: Local<'i64'>): Ex<'i64'> {
  const result = body.local('i64');
  const base = body.local('i64');
  const left = body.local('i64');
  body.set(result, i64(1n));
  body.set(base, x);
  body.set(left, y);
  body.if(
    op('i64.lt_s', y, i64(0n)),
    () => {
      const odd = op('i64.and', y, i64(1n));
      const minus = select(x, i64(1n), op('i32.wrap_i64', odd));
      const unit = op('i64.le_u', op('i64.add', x, i64(1n)), i64(2n));
      body.set(result, select(select(minus, i64(0n), unit), i64(0n), op('i64.ne', x, i64(0n))));
    },
    () => {
      body.block((done) => {
        body.loop((again) => {
          body.brIf(done, op('i64.eqz', left));
          body.if(op('i32.wrap_i64', op('i64.and', left, i64(1n))), () => {
            body.set(result, op('i64.mul', result, base));
          });
          body.set(base, op('i64.mul', base, base));
          body.set(left, op('i64.shr_u', left, i64(1n)));
          body.br(again);
        });
      });
    },
  );
  return result;
}
