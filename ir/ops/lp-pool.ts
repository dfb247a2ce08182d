import { attr } from '../attrs.ts';
import type { Value } from '../graph.ts';
import { type DecomposeContext, defineOp, inputType, inputValue, OpError, outputType } from '../op.ts';
import { formatType, product } from '../types.ts';
import { extent, windowAxes } from '../window.ts';
import { inferPool, POOL_ATTRS, type PoolAttrs, poolElement, poolField, windowCost } from './pool.ts';

interface LpPoolAttrs extends PoolAttrs {
  readonly p: number;
}

/** The p-norm of the elements under the window, (Σ |x|^p)^(1/p); padding counts as 0. x [N, C, …] → [N, C, …]. */
export const LpPool = defineOp({
  name: 'LpPool',
  attrs: { ...POOL_ATTRS, p: attr.int(2) },
  inputs: [{ name: 'x', role: 'data' }],
  traits: { layout: 'spatial' },
  infer({ attrs, inputs }) {
    const x = inputType({ inputs }, 0);
    if (x.dtype !== 'f32') throw new OpError(`input is ${formatType(x)}, not f32`);
    if (attrs.p < 1) throw new OpError(`p is ${attrs.p}`);
    return inferPool(attrs, x);
  },
  cost: windowCost,
  field: ({ attrs }) => poolField(attrs),
  reference: {
    kind: 'element',
    element(context) {
      const { p } = context.attrs;
      return poolElement(
        context,
        0,
        (sum, value) => sum + Math.abs(value) ** p,
        (sum) => sum ** (1 / p),
      );
    },
  },
  decompose,
});

/** The mean of powers over full windows, zeros among them, times their size is the sum. */
function decompose(context: DecomposeContext<LpPoolAttrs>): Value[] {
  const { b, attrs } = context;
  const x = inputValue(context, 0);
  const { kernel, strides, dilations, pads, p } = attrs;
  const rank = kernel.length;
  const out = outputType(context).shape;
  // as much padding at the end as the last window needs, which is what ceil mode comes to
  const ends = windowAxes(attrs).map((axis, i) => {
    const needed = ((out[i + 2] ?? 1) - 1) * axis.stride + extent(axis);
    return Math.max(0, needed - (x.type.shape[i + 2] ?? 0) - axis.padBegin);
  });
  const window = { kernel, strides, dilations, pads: [...pads.slice(0, rank), ...ends] };
  const magnitude = p === 2 ? x : b.op('Abs', [x], {});
  const power = p === 1 ? magnitude : b.op('Pow', [magnitude, b.scalar(p)], {});
  const mean = b.op('AveragePool', [power], { ...window, countIncludePad: true });
  const sum = b.op('Mul', [mean, b.scalar(product(kernel))], {});
  if (p === 1) return [sum];
  return [b.op('Pow', [sum, b.scalar(1 / p)], {})];
}
