/** What joins several values, once they are known. */
import type { Value } from '#ir/graph.ts';
import { formatShape } from '#ir/types.ts';
import type { Flow, Layer } from './layer.ts';
import type { JoinName } from './schema.ts';

/** Adds, multiplies or concatenates values; shapes that do not fit are told by branch. */
export function joined(layer: Layer, kind: JoinName, values: readonly Value[]): Flow {
  const [first] = values;
  if (!first) return undefined;
  if (kind === 'concat') {
    const differing = values.findIndex(
      ({ type: { shape } }) =>
        shape.length !== first.type.shape.length ||
        shape.some((s, i) => i !== 1 && s !== first.type.shape[i]),
    );
    if (differing > 0) return mismatch(layer, values, differing, 'may differ in channels only');
    return values.length === 1 ? first : layer.op('Concat', values, { axis: 1 });
  }
  const op = kind === 'add' ? 'Add' : 'Mul';
  let sum: Flow = first;
  values.slice(1).forEach((value, i) => {
    if (!sum) return;
    const broadcast =
      sum.type.shape.length === value.type.shape.length &&
      sum.type.shape.every((s, k) => s === value.type.shape[k] || s === 1 || value.type.shape[k] === 1);
    if (!broadcast) sum = mismatch(layer, values, i + 1, 'must be alike');
    else
      sum = layer.op(op, [sum, value], {}, values.length > 2 && i + 2 < values.length ? String(i + 1) : '');
  });
  return sum;
}

function mismatch(layer: Layer, values: readonly Value[], differing: number, rule: string): undefined {
  const shapes = values.map((v) => formatShape(v.type.shape));
  return layer.wrong(
    '',
    `branch ${differing} is ${shapes[differing]}, branch 0 is ${shapes[0]}; they ${rule}`,
    'adapt one of them, for example with a pointwise layer or a stride',
  );
}
