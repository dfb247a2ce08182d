/** Which input positions an op's outputs depend on, by disturbing its reference, and what its field says of them. */
import type { OpName } from '#ir/graph.ts';
import type { AxisField } from '#ir/op.ts';
import { allocate, type Tensor } from '#ir/tensor.ts';
import { mapAt } from '#ir/window.ts';
import { evalOpAll, fieldOf, positions } from './op.ts';

export interface FieldCase {
  readonly attrs?: Readonly<Record<string, unknown>>;
  /** Operands; of some ops results jump, so several sets of them are disturbed. */
  readonly operands: readonly (readonly (Tensor | undefined)[])[];
  /** The operands that are disturbed; the first unless said. */
  readonly inputs?: readonly number[];
  /** The outputs that are looked at; all unless said. */
  readonly outputs?: readonly number[];
  /** What elements are set to. */
  readonly set?: readonly number[];
  /** Does the field have holes (dilation), so that its end may be one where the border cuts it? */
  readonly holes?: true;
  /** Why the field may be larger than what is seen. */
  readonly bound?: string;
  /** Does an output see some channels of what counts as seen whole (groups)? */
  readonly groups?: true;
  /** Does what is outside the input stand for its border? */
  readonly clamps?: true;
}

const SET = [1000, -1000, 0, 0.37, 1];

/** A hull of positions per input axis, `undefined` where nothing is seen. */
type Hull = readonly (readonly [number, number])[] | undefined;

/** For each element of an output, the hull of the elements of an input that change it. */
function hulls(op: OpName, c: FieldCase, input: number, output: number): readonly Hull[] {
  const attrs = c.attrs ?? {};
  const result: [number, number][][] = [];
  for (const operands of c.operands) {
    const given = operands[input];
    if (!given) throw new Error(`${op} has no operand ${input}`);
    const run = (x: Tensor) => evalOpAll(op, attrs, operands.with(input, x))[output]?.data ?? [];
    const base = run(given);
    positions(given.type.shape).forEach((position, i) => {
      for (const value of c.set ?? SET) {
        const data = allocate(given.type.dtype, given.data.length);
        for (let k = 0; k < data.length; k++) data[k] = given.data[k] ?? 0;
        data[i] = typeof data[i] === 'bigint' ? BigInt(Math.trunc(value)) : value;
        const changed = run({ type: given.type, data });
        for (let o = 0; o < base.length; o++) {
          if (Object.is(changed[o], base[o])) continue;
          const before = result[o];
          result[o] = position.map((p, axis): [number, number] => {
            const [low, high] = before?.[axis] ?? [p, p];
            return [Math.min(low, p), Math.max(high, p)];
          });
        }
      }
    });
  }
  return result;
}

/** What one output element sees along one input axis, by the fields of an op: [first, last] before any clipping. */
function stated(
  fields: readonly AxisField[],
  at: readonly number[],
  axis: number,
): readonly [number, number] | 'whole' {
  const along = fields.findIndex((f) => f.kind === 'axis' && f.axis === axis);
  const field = fields[along];
  if (field?.kind !== 'axis') return 'whole';
  const [start, size] = mapAt(field.map, at[along] ?? 0);
  return [start, start + size - 1];
}

/** What is wrong with the field of an op, one line each. */
export function fieldErrors(op: OpName, c: FieldCase): string[] {
  const errors: string[] = [];
  const first = c.operands[0] ?? [];
  const results = evalOpAll(op, c.attrs ?? {}, first);
  for (const input of c.inputs ?? [0]) {
    const shape = first[input]?.type.shape ?? [];
    results.forEach((result, output) => {
      if (c.outputs?.includes(output) === false) return;
      const seen = hulls(op, c, input, output);
      const fields = fieldOf(op, c.attrs ?? {}, first, output, input);
      if (fields.length !== result.type.shape.length) errors.push(`${fields.length} axes in the field`);
      const attained = shape.map(() => false);
      positions(result.type.shape).forEach((at, index) => {
        const hull = seen[index];
        shape.forEach((size, axis) => {
          const says = stated(fields, at, axis);
          const [low, high] = says === 'whole' ? [0, size - 1] : says;
          const clip = (p: number) => Math.max(0, Math.min(size - 1, p));
          const interval: readonly [number, number] = c.clamps
            ? [clip(low), clip(high)]
            : [Math.max(0, low), Math.min(size - 1, high)];
          const found = hull?.[axis];
          const where = `output ${output} at ${at.join(',')}, input ${input} axis ${axis}`;
          const claim = `the field is ${interval.join('…')}`;
          if (found && (found[0] < interval[0] || found[1] > interval[1])) {
            errors.push(`${where}: ${claim}, but it sees ${found.join('…')}`);
          }
          if (found && found[0] === interval[0] && found[1] === interval[1]) attained[axis] = true;
          if (c.bound !== undefined || says === 'whole') return;
          const cut = interval[0] !== low || interval[1] !== high;
          const other = shape.some((n, a) => {
            const s = stated(fields, at, a);
            return s !== 'whole' && (s[0] < 0 || s[1] >= n || s[1] < s[0]);
          });
          if (c.holes && (cut || other)) return;
          const empty = shape.some((n, a) => {
            const s = stated(fields, at, a);
            return s !== 'whole' && Math.max(0, s[0]) > Math.min(n - 1, s[1]) && !c.clamps;
          });
          if (empty ? found : !found || found[0] !== interval[0] || found[1] !== interval[1]) {
            errors.push(
              `${where}: ${empty ? 'the field is empty' : claim}, but it sees ${found?.join('…') ?? 'nothing'}`,
            );
          }
        });
      });
      if (c.bound !== undefined || c.groups) return;
      attained.forEach((yes, axis) => {
        if (!yes && seen.length > 0)
          errors.push(`output ${output}: no element sees axis ${axis} of input ${input} as stated`);
      });
    });
  }
  return [...new Set(errors)];
}
