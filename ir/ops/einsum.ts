/** Sums of products over named axes, as NumPy's einsum. */
import { attr } from '../attrs.ts';
import type { Builder } from '../builder.ts';
import type { Value } from '../graph.ts';
import {
  type AxisField,
  type Cost,
  type DecomposeContext,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  inputValue,
  OpError,
  outputType,
} from '../op.ts';
import { allocate, read, type TensorData, write } from '../tensor.ts';
import { formatShape, isInteger, product, rowMajorStrides, type Shape, type TensorType } from '../types.ts';
import { axisField } from './common.ts';
import { checkedShape, flattenOffsets, stridedOffsets } from './offsets.ts';

/** Names of axes: letters of the equation, and `.0`, `.1`, … for those under an ellipsis, counted from the last. */
type Labels = readonly string[];

interface Equation {
  readonly terms: readonly Labels[];
  readonly output: Labels;
  /** Positions along each label; an operand may have 1 where another has more. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** Letters and an ellipsis, which stands for `hidden` axes. @throws OpError */
function labelsOf(term: string, hidden: number): string[] {
  const [before = '', after = ''] = term.split('...');
  const letters = before + after;
  const odd = [...letters].find((c) => !/[A-Za-z]/.test(c));
  if (odd) throw new OpError(`"${odd}" is not a label`);
  const ellipsis = term.includes('...') ? Array.from({ length: hidden }, (_, i) => `.${hidden - 1 - i}`) : [];
  return [...before, ...ellipsis, ...after];
}

/** @throws OpError where the equation does not fit the shapes */
function parse(equation: string, shapes: readonly Shape[]): Equation {
  const [left = '', right, ...more] = equation.replace(/\s/g, '').split('->');
  if (more.length > 0) throw new OpError(`"${equation}" has more than one arrow`);
  const written = left.split(',');
  if (written.length !== shapes.length)
    throw new OpError(`"${equation}" has ${written.length} terms for ${shapes.length} operands`);
  const sizes = new Map<string, number>();
  let hidden = 0;
  const terms = written.map((term, i) => {
    const shape = shapes[i] ?? [];
    if (term.split('...').length > 2) throw new OpError(`"${term}" has more than one ellipsis`);
    const letters = term.replace('...', '').length;
    const own = term.includes('...') ? shape.length - letters : 0;
    hidden = Math.max(hidden, own);
    if (own < 0 || letters + own !== shape.length)
      throw new OpError(`"${term}" does not name the axes of ${formatShape(shape)}`);
    const labels = labelsOf(term, own);
    labels.forEach((label, axis) => {
      const size = shape[axis] ?? 1;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && size !== 1 && known !== size)
        throw new OpError(`axes "${label}" have ${known} and ${size} positions`);
      // an axis of no positions stays one
      sizes.set(label, size === 1 ? known : size);
    });
    return labels;
  });
  const output = right === undefined ? implicit(terms, hidden) : labelsOf(right, hidden);
  for (const label of output) {
    if (!sizes.has(label)) throw new OpError(`no operand has the axis "${label}" of the result`);
    if (output.indexOf(label) !== output.lastIndexOf(label))
      throw new OpError(`the result has the axis "${label}" twice`);
  }
  return { terms, output, sizes };
}

/** Without an arrow: the axes under ellipses, then every letter that occurs once, in alphabetical order. */
function implicit(terms: readonly Labels[], hidden: number): string[] {
  const all = terms.flat().filter((label) => !label.startsWith('.'));
  const once = all.filter((label) => all.indexOf(label) === all.lastIndexOf(label));
  return [...labelsOf('...', hidden), ...once.sort()];
}

const equationOf = (equation: string, inputs: readonly (TensorType | undefined)[]): Equation =>
  parse(
    equation,
    inputs.map((_, i) => inputType({ inputs }, i).shape),
  );

const sizesOf = (labels: Labels, { sizes }: Equation): number[] =>
  labels.map((label) => sizes.get(label) ?? 1);

/** Labels of `terms` that are not needed once they are multiplied. */
const summed = (terms: readonly Labels[], keep: Labels): string[] =>
  [...new Set(terms.flat())].filter((label) => !keep.includes(label));

/**
 * Operands are multiplied one after another, each summed first over what nothing else has; each product keeps what the
 * result or a later operand has.
 */
function costOf(eq: Equation): Cost {
  let macs = 0;
  let otherOps = 0;
  let have: Labels = [];
  eq.terms.forEach((term, i) => {
    const keep = [...eq.output, ...eq.terms.slice(i + 1).flat()];
    const unique = [...new Set(term)];
    const own = unique.filter((label) => keep.includes(label) || have.includes(label));
    if (own.length < unique.length) otherOps += product(sizesOf(unique, eq));
    const all = [...new Set([...have, ...own])];
    if (i > 0) macs += product(sizesOf(all, eq));
    have = all.filter((label) => keep.includes(label));
  });
  return { macs, otherOps };
}

/**
 * Σ of the products of the operands over every label that the result lacks. `equation` is as in NumPy: "bij,bjk->bik",
 * with ellipses, repeated labels (diagonals) and, without an arrow, the implicit result.
 */
export const Einsum = defineOp({
  name: 'Einsum',
  attrs: { equation: attr.string() },
  inputs: [{ name: 'x', role: 'data', variadic: true }],
  traits: { layout: 'strided' },
  infer({ attrs, inputs }) {
    const { dtype } = inputType({ inputs }, 0);
    const other = inputs.find((t) => t && t.dtype !== dtype);
    if (other) throw new OpError(`operands are ${dtype} and ${other.dtype}`);
    if (dtype === 'bool') throw new OpError('products of bool are not supported');
    const eq = equationOf(attrs.equation, inputs);
    return [{ dtype, shape: checkedShape(sizesOf(eq.output, eq)) }];
  },
  cost: ({ attrs, inputs }) => costOf(equationOf(attrs.equation, inputs)),
  field({ attrs, inputs }, _output, input) {
    const eq = equationOf(attrs.equation, inputs);
    const term = eq.terms[input] ?? [];
    const { shape } = inputType({ inputs }, input);
    const mixes = summed([term], eq.output).length > 0;
    return eq.output.map((label): AxisField => {
      const axis = term.indexOf(label);
      if (axis < 0) return { kind: mixes ? 'whole' : 'none' };
      return shape[axis] === eq.sizes.get(label) ? axisField(axis) : { kind: 'whole' };
    });
  },
  reference: { kind: 'whole', evaluate: (context) => [evaluate(context)] },
  decompose,
});

function evaluate(context: EvalContext<{ readonly equation: string }>): TensorData {
  const eq = equationOf(context.attrs.equation, context.inputs);
  const operands = eq.terms.map((term, i) => {
    const { shape } = inputType(context, i);
    const strides = rowMajorStrides(shape);
    const step = (label: string) =>
      term.reduce(
        (sum, own, axis) => sum + (own === label && shape[axis] !== 1 ? (strides[axis] ?? 0) : 0),
        0,
      );
    const offsets = (labels: Labels) =>
      flattenOffsets(labels.map((label) => stridedOffsets(eq.sizes.get(label) ?? 1, step(label))));
    return {
      data: inputData(context, i),
      outer: offsets(eq.output),
      inner: offsets(summed(eq.terms, eq.output)),
    };
  });
  const { dtype } = outputType(context);
  const count = operands[0]?.outer.length ?? 0;
  const depth = operands[0]?.inner.length ?? 0;
  const result = allocate(dtype, count);
  for (let o = 0; o < count; o++) {
    if (isInteger(dtype)) {
      let sum = 0n;
      for (let s = 0; s < depth; s++)
        sum += operands.reduce(
          (p, { data, outer, inner }) => p * BigInt(data[(outer[o] ?? 0) + (inner[s] ?? 0)] ?? 0),
          1n,
        );
      write(result, o, BigInt.asIntN(64, sum));
      continue;
    }
    let sum = 0;
    for (let s = 0; s < depth; s++)
      sum += operands.reduce(
        (p, { data, outer, inner }) => p * read(data, (outer[o] ?? 0) + (inner[s] ?? 0)),
        1,
      );
    write(result, o, sum);
  }
  return result;
}

/** A value with a name for each axis. */
interface Term {
  readonly value: Value;
  readonly labels: Labels;
}

/** Products of floats over common sums become matrix products, all others elementwise ones and sums. */
function decompose(context: DecomposeContext<{ readonly equation: string }>): Value[] {
  const { b, attrs, inputs } = context;
  const values = inputs.map((_, i) => inputValue(context, i));
  const eq = parse(
    attrs.equation,
    values.map((v) => v.type.shape),
  );
  let sum: Term | undefined;
  eq.terms.forEach((labels, i) => {
    const value = inputValue(context, i);
    const others = [...eq.output, ...(sum?.labels ?? []), ...eq.terms.slice(i + 1).flat()];
    const keep = [...eq.output, ...eq.terms.slice(i + 1).flat()];
    const term = sumOver(b, stretchless(b, diagonals(b, { value, labels }), eq), others);
    sum = sum ? contract(b, sum, term, keep) : term;
  });
  const { value, labels } = sum ?? { value: inputValue(context, 0), labels: [] };
  const perm = eq.output.map((label) => labels.indexOf(label));
  return [
    perm.every((axis, i) => axis === i)
      ? b.op('Identity', [value], {})
      : b.op('Transpose', [value], { perm }),
  ];
}

/** Repeated labels: their axes side by side at the end, joined, every (size + 1)-th element taken. */
function diagonals(b: Builder, term: Term): Term {
  const { value, labels } = term;
  const label = labels.find((l, i) => labels.indexOf(l) !== i);
  if (label === undefined) return term;
  const pair = labels.flatMap((l, axis) => (l === label ? [axis] : [])).slice(0, 2);
  const rest = labels.flatMap((_, axis) => (pair.includes(axis) ? [] : [axis]));
  const { shape } = value.type;
  const outer = rest.map((axis) => shape[axis] ?? 1);
  const [n = 1, m = 1] = pair.map((axis) => shape[axis] ?? 1);
  const turned = b.op('Transpose', [value], { perm: [...rest, ...pair] });
  const joined = b.op('Reshape', [turned], { shape: [...outer, n * m] });
  // of sizes 1 and n, the first is stretched
  const taken =
    n === m
      ? b.op('Slice', [joined], {
          starts: [...outer.map(() => 0), 0],
          steps: [...outer.map(() => 1), n + 1],
          sizes: [...outer, n],
        })
      : joined;
  return diagonals(b, { value: taken, labels: [...rest.map((axis) => labels[axis] ?? ''), label] });
}

/** Axes of one position that others have more of are dropped: products repeat them anyway. */
function stretchless(b: Builder, { value, labels }: Term, eq: Equation): Term {
  const axes = labels.flatMap((label, axis) =>
    value.type.shape[axis] === 1 && eq.sizes.get(label) !== 1 ? [axis] : [],
  );
  if (axes.length === 0) return { value, labels };
  return {
    value: b.op('Squeeze', [value], { axes }),
    labels: labels.filter((_, axis) => !axes.includes(axis)),
  };
}

/** Without the labels that nothing else has. */
function sumOver(b: Builder, { value, labels }: Term, others: Labels): Term {
  const axes = labels.flatMap((label, axis) => (others.includes(label) ? [] : [axis]));
  if (axes.length === 0) return { value, labels };
  return {
    value: b.op('ReduceSum', [value], { axes, keepDims: false }),
    labels: labels.filter((_, axis) => !axes.includes(axis)),
  };
}

/** The product of two terms, summed over what neither the result nor a later operand has. */
function contract(b: Builder, x: Term, y: Term, keep: Labels): Term {
  const shared = x.labels.filter((label) => y.labels.includes(label));
  const batch = shared.filter((label) => keep.includes(label));
  const sums = shared.filter((label) => !keep.includes(label));
  const left = x.labels.filter((label) => !shared.includes(label));
  const right = y.labels.filter((label) => !shared.includes(label));
  const labels = [...batch, ...left, ...right];
  const size = (label: string) => {
    const own = x.labels.includes(label) ? x : y;
    return own.value.type.shape[own.labels.indexOf(label)] ?? 1;
  };
  const shapeOf = (list: Labels) => list.map(size);
  const turn = ({ value, labels: own }: Term, order: Labels, shape: readonly number[]): Value => {
    const perm = order.map((label) => own.indexOf(label));
    const turned = perm.every((axis, i) => axis === i) ? value : b.op('Transpose', [value], { perm });
    return b.op('Reshape', [turned], { shape });
  };
  const count = (list: Labels) => product(shapeOf(list));
  if (sums.length > 0 && x.value.type.dtype === 'f32') {
    const [n, rows, columns, depth] = [batch, left, right, sums].map(count) as [
      number,
      number,
      number,
      number,
    ];
    const p = turn(x, [...batch, ...left, ...sums], [n, rows, depth]);
    const q = turn(y, [...batch, ...sums, ...right], [n, depth, columns]);
    const matrices = b.op('MatMul', [p, q], {});
    return { value: b.op('Reshape', [matrices], { shape: shapeOf(labels) }), labels };
  }
  const ones = (list: Labels) => list.map(() => 1);
  const p = turn(
    x,
    [...batch, ...left, ...sums],
    [...shapeOf([...batch, ...left]), ...ones(right), ...shapeOf(sums)],
  );
  const q = turn(
    y,
    [...batch, ...right, ...sums],
    [...shapeOf(batch), ...ones(left), ...shapeOf([...right, ...sums])],
  );
  return sumOver(b, { value: b.op('Mul', [p, q], {}), labels: [...labels, ...sums] }, labels);
}
