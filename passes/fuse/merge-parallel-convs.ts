/**
 * Before      y = Conv(x, W₁, b₁) + Conv(x, W₂, b₂) + x·s + t + z, in any order; the product may be x itself
 * After       y = Conv(x, W, b) + z
 * Conditions  weights, s and t constant, s and t one number or one per channel; nobody but the sum reads a Conv; the Conv of
 *             the largest kernel is there already, the others have its stride, every tap of theirs is one of its taps (so a
 *             1×1 beside a padded 3×3 is centred, and x·s asks for stride 1), and each of their groups lies in one of its
 *             groups; what does not fit stays a term of the sum
 * Formula     W[o, i, tap] = Σ W_k[o, i, tap − (pad − pad_k)/dilation], x·s being a 1×1 kernel of as many groups as channels;
 *             b = Σ b_k + t; in double, rounded once (Ding et al., RepVGG, 2021)
 */
import { constantOf, type Graph, isOp, type Node, operand, producer, result, type Value } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import type { Constant, TensorData } from '#ir/tensor.ts';
import { product, type Shape, sameShape, sameType } from '#ir/types.ts';
import { type WindowAxis, windowAxes } from '#ir/window.ts';
import { derive, reweigh, supersede } from '../edit.ts';
import { groupBy } from '../group-by.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, type No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { type PerChannel, perChannel } from './linear.ts';

/** A term of a sum as a convolution of `x`. */
interface Branch {
  readonly term: Value;
  readonly x: Value;
  /** Undefined for x·s. */
  readonly conv: Node<'Conv'> | undefined;
  readonly axes: readonly WindowAxis[];
  readonly group: number;
  /** By position in [outputs, inputs / group, taps]. */
  readonly weight: PerChannel;
  readonly bias: PerChannel | undefined;
  /** Why it cannot be merged, whatever is beside it. */
  readonly blocked?: string;
}

/** Branches that become one convolution, which `base` has room for. */
interface Merge {
  readonly base: Branch & { readonly conv: Node<'Conv'> };
  readonly others: readonly Branch[];
}

interface Sum {
  readonly adds: ReadonlySet<Node>;
  readonly terms: readonly Value[];
}

interface Plan {
  readonly root: Node;
  readonly merges: readonly Merge[];
  readonly shifts: readonly PerChannel[];
  /** The terms that stay. */
  readonly rest: readonly Value[];
}

const add = op('Add');

const rule = defineRule<Plan>({
  name: 'mergeParallelConvs',
  pattern: add,
  check(match, graph) {
    const root: Node = match.node(add);
    const sum = sumAt(root, graph);
    if (!sum) return undefined;
    const { shape } = result(root).type;
    const branches = sum.terms.flatMap((term) => branchOf(term, shape) ?? []);
    const { merges, refusal } = mergesOf(branches, sum, graph);
    if (merges.length === 0) return refusal;
    const merged = new Set(merges.flatMap(({ base, others }) => [base, ...others]).map((b) => b.term));
    const shifts = new Map(
      sum.terms.flatMap((term) => {
        const shift = perChannel(term, shape, 1);
        return shift ? [[term, shift] as const] : [];
      }),
    );
    const rest = sum.terms.filter((term) => !merged.has(term) && !shifts.has(term));
    return { root, merges, shifts: [...shifts.values()], rest };
  },
  rewrite({ root, merges, shifts, rest }, graph) {
    const convs = merges.map((merge, i) => mergedConv(merge, i === 0 ? shifts : [], graph));
    const [first, ...terms] = [...convs, ...rest];
    if (!first) return;
    const total = terms.reduce(
      (sum, term) => result(graph.addNode('Add', [sum, term], {}, { name: root.name }) as Node),
      first,
    );
    supersede(graph, result(root), total);
  },
});

/** The terms of the sum that ends in `root`; undefined where the sum goes on after it. */
function sumAt(root: Node, graph: Graph): Sum | undefined {
  const { type } = result(root);
  const goesOn = (node: Node): boolean => {
    const y = result(node);
    const reader = y.uses[0]?.node;
    return y.uses.length === 1 && isOp(reader, 'Add') && !graph.isOutput(y);
  };
  const continued = result(root).uses[0]?.node;
  if (type.dtype !== 'f32' || type.shape.length < 3) return undefined;
  if (goesOn(root) && continued && sameType(result(continued).type, type)) return undefined;
  const adds = new Set([root]);
  const terms: Value[] = [];
  const pending = [operand(root, 1), operand(root, 0)];
  for (let value = pending.pop(); value; value = pending.pop()) {
    const node = producer(value);
    if (isOp(node, 'Add') && goesOn(node as Node) && sameType(value.type, type)) {
      adds.add(node as Node);
      pending.push(operand(node as Node, 1), operand(node as Node, 0));
    } else terms.push(value);
  }
  return { adds, terms };
}

const one: PerChannel = { from: [], at: () => () => 1 };
const elements = (constant: Constant): PerChannel => ({
  from: [constant],
  at:
    ([data]) =>
    (i) =>
      Number(data?.[i]),
});

function branchOf(term: Value, shape: Shape): Branch | undefined {
  if (constantOf(term) || !sameShape(term.type.shape, shape)) return undefined;
  const node = producer(term);
  if (isOp(node, 'Conv')) return convBranch(term, node);
  const scaled = isOp(node, 'Mul') ? scaledBranch(term, node as Node, shape) : undefined;
  return scaled ?? identityBranch(term, term, one, shape);
}

function convBranch(term: Value, conv: Node<'Conv'>): Branch {
  const [weight, bias] = [1, 2].map((slot) => constantOf(conv.operands[slot]));
  const known = weight !== undefined && (bias !== undefined || !conv.operands[2]);
  return {
    term,
    x: operand(conv as Node, 0),
    conv,
    axes: windowAxes(convWindow(conv.attrs, operand(conv as Node, 1).type.shape)),
    group: conv.attrs.group,
    weight: weight ? elements(weight) : one,
    bias: bias && elements(bias),
    ...(known ? {} : { blocked: `the weights of "${conv.name}" are not constant` }),
  };
}

function scaledBranch(term: Value, mul: Node, shape: Shape): Branch | undefined {
  for (const [x, s] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const scale = perChannel(mul.operands[s], shape, 1);
    const value = operand(mul, x);
    if (scale && sameShape(value.type.shape, shape)) return identityBranch(term, value, scale, shape);
  }
  return undefined;
}

function identityBranch(term: Value, x: Value, weight: PerChannel, shape: Shape): Branch {
  const axis = { kernel: 1, stride: 1, dilation: 1, padBegin: 0, padEnd: 0 };
  const [, channels = 1] = shape;
  return {
    term,
    x,
    conv: undefined,
    axes: shape.slice(2).map(() => axis),
    group: channels,
    weight,
    bias: undefined,
  };
}

/** What can be merged among branches of one value, the largest kernels of the fewest groups taking in the others. */
function mergesOf(branches: readonly Branch[], sum: Sum, graph: Graph): { merges: Merge[]; refusal?: No } {
  const size = (b: Branch) => product(b.axes.map((axis) => axis.kernel));
  const order = [...branches].sort((a, b) => size(b) - size(a) || a.group - b.group);
  const ofValue = groupBy(order, (b) => b.x);
  const taken = new Set<Branch>();
  const merges: Merge[] = [];
  let refusal: No | undefined;
  for (const base of order) {
    const { conv } = base;
    if (!conv || taken.has(base)) continue;
    const beside = (ofValue.get(base.x) ?? []).filter((b) => b !== base && !taken.has(b));
    if (beside.length === 0) continue;
    const alone = (b: Branch) => b.blocked ?? otherReader(b, sum, graph);
    const own = alone(base);
    const reasons = beside.map((b) => own ?? alone(b) ?? misfit(b, { ...base, conv }));
    const others = beside.filter((_, i) => reasons[i] === undefined);
    refusal ??= reasons.flatMap((reason) => (reason === undefined ? [] : [no(reason)]))[0];
    if (others.length === 0) continue;
    merges.push({ base: { ...base, conv }, others });
    for (const branch of [base, ...others]) taken.add(branch);
  }
  return refusal ? { merges, refusal } : { merges };
}

/** Who reads a convolution besides the sum, which would have to stay then. */
function otherReader({ conv, term }: Branch, { adds }: Sum, graph: Graph): string | undefined {
  if (!conv) return undefined;
  if (graph.isOutput(term)) return `"${term.name}" is also an output of the graph`;
  const other = term.uses.find(({ node }) => !adds.has(node));
  return other && `"${term.name}" is also read by "${other.node.name}"`;
}

/** Why the taps of a branch are none of the base's; undefined where they are. */
function misfit(branch: Branch, base: Merge['base']): string | undefined {
  const [name, other] = [branch.term.name, base.conv.name];
  for (const [i, axis] of branch.axes.entries()) {
    const into = base.axes[i];
    const offset = into ? offsetIn(axis, into) : undefined;
    if (!into || axis.stride !== into.stride) return `"${name}" has another stride than "${other}"`;
    if (axis.kernel > 1 && axis.dilation !== into.dilation)
      return `"${name}" has another dilation than "${other}"`;
    if (offset === undefined) return `the taps of "${name}" are not all taps of "${other}"`;
  }
  return branch.group % base.group === 0
    ? undefined
    : `"${name}" mixes what the groups of "${other}" keep apart`;
}

/** The tap of `into` that is the first of `axis`; undefined where the others do not follow it inside. */
function offsetIn(axis: WindowAxis, into: WindowAxis): number | undefined {
  const offset = (into.padBegin - axis.padBegin) / into.dilation;
  const inside = Number.isInteger(offset) && offset >= 0 && offset + axis.kernel <= into.kernel;
  return inside ? offset : undefined;
}

function mergedConv({ base, others }: Merge, shifts: readonly PerChannel[], graph: Graph): Value {
  const { conv } = base;
  const { shape } = operand(conv as Node, 1).type;
  const [outputs = 1] = shape;
  const branches = [base, ...others];
  const weight = combine(
    shape,
    branches.map((b) => b.weight),
    (data, sums) => {
      branches.forEach((branch, k) => {
        const at = branch.weight.at(data[k] ?? []);
        const place = placeIn(base, branch, shape, operand(conv as Node, 0).type.shape[1] ?? 1);
        for (let i = 0; i < place.count; i++) {
          const to = place.of(i);
          sums[to] = (sums[to] ?? 0) + at(i);
        }
      });
    },
  );
  const biases = [...branches.flatMap((b) => b.bias ?? []), ...shifts];
  const bias = combine([outputs], biases, (data, sums) => {
    biases.forEach((bias, k) => {
      const at = bias.at(data[k] ?? []);
      for (let o = 0; o < outputs; o++) sums[o] = (sums[o] ?? 0) + at(o);
    });
  });
  const x = operand(conv as Node, 0);
  const merged = reweigh(graph, conv, { x, weight, bias: biases.length > 0 ? bias : undefined });
  return result(merged as Node);
}

/** A constant of sums over the numbers of several. */
function combine(
  shape: Shape,
  parts: readonly PerChannel[],
  fill: (data: readonly (readonly TensorData[])[], sums: Float64Array) => void,
): Constant {
  const from = parts.map((p) => p.from);
  return derive(shape, from.flat(), (...data) => {
    const sums = new Float64Array(product(shape));
    const starts = from.map((_, k) => from.slice(0, k).flat().length);
    fill(
      from.map((list, k) => data.slice(starts[k] ?? 0, (starts[k] ?? 0) + list.length)),
      sums,
    );
    return (i) => sums[i] ?? 0;
  });
}

/** Where each element of a branch's weight stands in a weight of `shape`. */
function placeIn(base: Branch, branch: Branch, shape: Shape, inputs: number) {
  const [outputs = 1, perGroup = 1] = shape;
  const kernel = branch.axes.map((axis) => axis.kernel);
  const taps = product(kernel);
  const own = inputs / branch.group;
  const strides = base.axes.map((_, i) => product(base.axes.slice(i + 1).map((axis) => axis.kernel)));
  const offsets = base.axes.map((into, i) => {
    const axis = branch.axes[i];
    return axis ? (offsetIn(axis, into) ?? 0) : 0;
  });
  const tapIn = Array.from({ length: taps }, (_, tap) => {
    let rest = tap;
    let at = 0;
    for (let i = kernel.length - 1; i >= 0; i--) {
      const k = kernel[i] ?? 1;
      at += ((rest % k) + (offsets[i] ?? 0)) * (strides[i] ?? 1);
      rest = Math.floor(rest / k);
    }
    return at;
  });
  const all = product(base.axes.map((axis) => axis.kernel));
  return {
    count: outputs * own * taps,
    of(index: number): number {
      const filter = Math.floor(index / taps);
      const o = Math.floor(filter / own);
      const input = Math.floor((o * branch.group) / outputs) * own + (filter % own);
      const local = input - Math.floor((o * base.group) / outputs) * perGroup;
      return (o * perGroup + local) * all + (tapIn[index % taps] ?? 0);
    },
  };
}

export const mergeParallelConvs = definePass({
  name: 'mergeParallelConvs',
  summary: 'Merges convolutions of one value that are summed, and the value itself, into one convolution',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
