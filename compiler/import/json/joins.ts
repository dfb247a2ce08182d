/** What joins several values, once they are known. */
import type { Value } from '#ir/graph.ts';
import { formatShape, type Shape, sameShape } from '#ir/types.ts';
import { written } from './hints.ts';
import type { Flow, Layer } from './layer.ts';
import type { JoinName } from './schema.ts';

/** What is joined: a value by its name, or the end of a branch. */
export interface Operand {
  readonly value: Value;
  readonly name: string | undefined;
}

/** Adds, multiplies or concatenates values; shapes that do not fit are told by operand. */
export function joined(layer: Layer, kind: JoinName, operands: readonly Operand[]): Flow {
  const [first] = operands;
  if (!first) return undefined;
  const differing = operands.findIndex(({ value }) => !fits(kind, first.value.type.shape, value.type.shape));
  if (differing > 0) return mismatch(layer, kind, operands, differing);
  const values = operands.map(({ value }) => value);
  if (kind === 'concat') return values.length === 1 ? first.value : layer.op('Concat', values, { axis: 1 });
  const op = kind === 'add' ? 'Add' : 'Mul';
  let result: Flow = first.value;
  values.slice(1).forEach((value, i) => {
    if (!result) return;
    // what was multiplied before may be larger than the first
    if (!fits(kind, result.type.shape, value.type.shape)) result = mismatch(layer, kind, operands, i + 1);
    else
      result = layer.op(
        op,
        [result, value],
        {},
        values.length > 2 && i + 2 < values.length ? String(i + 1) : '',
      );
  });
  return result;
}

const RULES: Readonly<Record<JoinName, string>> = {
  add: 'must be alike',
  mul: 'must be alike, or have size 1 where they differ',
  concat: 'may differ in channels only',
};

function fits(kind: JoinName, a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  return a.every((size, i) => {
    if (size === b[i]) return true;
    return kind === 'concat' ? i === 1 : kind === 'mul' && (size === 1 || b[i] === 1);
  });
}

function mismatch(layer: Layer, kind: JoinName, operands: readonly Operand[], differing: number): undefined {
  const labels = operands.map(({ name }, i) => (name === undefined ? `branch ${i}` : `"${name}"`));
  const shapes = operands.map(({ value }) => value.type.shape);
  const [wanted = [], own = []] = [shapes[0], shapes[differing]];
  const isPoint = (shape: Shape) => shape.length > 2 && shape.slice(2).every((size) => size === 1);
  const onFirst = wanted.length > own.length || (isPoint(wanted) && !isPoint(own) && own.length > 2);
  const changed = onFirst ? 0 : differing;
  const layers = onFirst ? adapting(kind, wanted, own) : adapting(kind, own, wanted);
  const hint =
    operands[changed]?.name === undefined
      ? `add ${layers.map(written).join(', ')} at the end of ${labels[changed]}`
      : `write { "${kind}": [${operands.map(({ name }, i) => entry(name, i === changed ? layers : [])).join(', ')}] }`;
  return layer.wrong(
    '',
    `${labels[differing]} is ${formatShape(own)}, ${labels[0]} is ${formatShape(wanted)}; they ${RULES[kind]}`,
    hint,
  );
}

/** What stands in a join for a named value, with layers after it, or for a branch. */
function entry(name: string | undefined, [first, ...rest]: readonly (string | object)[]): string {
  if (name === undefined) return '[ … ]';
  if (first === undefined) return written(name);
  const from = name === 'previous' ? {} : { from: name };
  return written([typeof first === 'string' ? { [first]: {}, ...from } : { ...first, ...from }, ...rest]);
}

/** Layers that make what is joined fit: of `own` shape, it becomes `wanted`, or like it but for the channels. */
function adapting(kind: JoinName, own: Shape, wanted: Shape): readonly (string | object)[] {
  const channels = wanted[1] ?? 1;
  if (wanted.length === 2) {
    const flat = own.length === 2 ? [] : ['globalPool', 'flatten'];
    return kind === 'concat' || own[1] === channels ? flat : [...flat, { dense: channels }];
  }
  const from = own.slice(2);
  const to = wanted.slice(2);
  const size = sameShape(from, to) ? [] : [resized(from, to)];
  return kind === 'concat' || own[1] === channels ? size : [...size, { pointwise: channels }];
}

function resized(from: Shape, to: Shape): object {
  const factor = Math.floor((from[0] ?? 1) / (to[0] ?? 1));
  if (factor > 1 && from.every((s, i) => Math.floor(s / factor) === to[i])) return { maxPool: factor };
  const scale = (to[0] ?? 1) / (from[0] ?? 1);
  if (Number.isInteger(scale) && from.every((s, i) => s * scale === to[i])) return { interpolate: scale };
  return { interpolate: { size: to } };
}
