/** Interval arithmetic over a graph: what values are known to lie between, without running it. */
import { children, type Expr } from '#ir/expr.ts';
import { type Node, opDef, operand, producer, tensorOf, type Value } from '#ir/graph.ts';

/** Both ends included. Says nothing of NaN, which is in every interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

const ANYTHING: Interval = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
/** How far back a value is followed. */
const DEEPEST = 100;

export const boundsOf = (value: Value): Interval => new Bounds().of(value, 0);

/** Remembers what it has found: a value can be reached on very many paths. */
class Bounds {
  readonly #known = new Map<Value, Interval>();

  of(value: Value, depth: number): Interval {
    let found = this.#known.get(value);
    if (!found) {
      const node = producer(value);
      const follow = node && depth < DEEPEST && !node.epilogue && value.type.dtype === 'f32';
      found = follow ? this.#ofNode(node, depth + 1) : constantBounds(value);
      this.#known.set(value, found);
    }
    return found;
  }

  #ofNode(node: Node, depth: number): Interval {
    const { expression, traits, between } = opDef(node.op);
    const input = (i: number) => this.of(operand(node, i), depth);
    if (expression) return exprBounds(expression(node.attrs as never, node.arity), input);
    if (!traits.movement && !between) return ANYTHING;
    const inputs = node.operands.flatMap((v) => (v?.type.dtype === 'f32' ? [this.of(v, depth)] : []));
    return union([...inputs, ...(between?.(node.attrs as never) ?? []).map(point)]);
  }
}

function constantBounds(value: Value): Interval {
  const data = tensorOf(value)?.data;
  if (!data || data.length === 0) return ANYTHING;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of data) {
    low = Math.min(low, Number(x));
    high = Math.max(high, Number(x));
  }
  return interval(low, high);
}

const point = (x: number): Interval => ({ low: x, high: x });
const interval = (low: number, high: number): Interval =>
  Number.isNaN(low) || Number.isNaN(high) || low > high ? ANYTHING : { low, high };
const union = (list: readonly Interval[]): Interval =>
  list.length === 0
    ? ANYTHING
    : interval(Math.min(...list.map((i) => i.low)), Math.max(...list.map((i) => i.high)));

/** Bounds of an expression from those of its arguments; not always the tightest. */
export function exprBounds(e: Expr, arg: (index: number) => Interval): Interval {
  if (e.kind === 'arg') return arg(e.index);
  if (e.kind === 'const') return interval(e.value, e.value);
  const [x = ANYTHING, y = ANYTHING, z = ANYTHING] = children(e).map((child) => exprBounds(child, arg));
  if (e.kind === 'select') return union([y, z]);
  switch (e.fn) {
    case 'neg':
      return interval(-x.high, -x.low);
    case 'abs':
      return x.low >= 0 ? x : interval(0, Math.max(-x.low, x.high));
    case 'exp':
      return interval(Math.exp(x.low), Math.exp(x.high));
    case 'sqrt':
      return interval(0, Number.POSITIVE_INFINITY);
    case 'tanh':
    case 'erf':
    case 'sin':
    case 'cos':
      return interval(e.fn === 'tanh' && x.low >= 0 ? 0 : -1, 1);
    case 'add':
      return interval(x.low + y.low, x.high + y.high);
    case 'sub':
      return interval(x.low - y.high, x.high - y.low);
    case 'min':
      return interval(Math.min(x.low, y.low), Math.min(x.high, y.high));
    case 'max':
      return interval(Math.max(x.low, y.low), Math.max(x.high, y.high));
    case 'mul':
      return corners(x, y, (p, q) => p * q);
    case 'div':
      return y.low > 0 || y.high < 0 ? corners(x, y, (p, q) => p / q) : ANYTHING;
    default:
      return ANYTHING;
  }
}

function corners(x: Interval, y: Interval, f: (p: number, q: number) => number): Interval {
  const ends = [f(x.low, y.low), f(x.low, y.high), f(x.high, y.low), f(x.high, y.high)];
  // 0·∞: the factor that is 0 is so exactly, so the product of finite numbers is 0
  const known = ends.map((end) => (Number.isNaN(end) ? 0 : end));
  return interval(Math.min(...known), Math.max(...known));
}
