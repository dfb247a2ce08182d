/**
 * Before      y = Conv₂(Conv₁(x, W₁, b₁), W₂, b₂)
 * After       y = Conv(x, W, b)
 * Conditions  weights constant; nobody else reads the value between; where Conv₂ is padded along an axis, Conv₁ has one tap
 *             and no padding there and no bias, so that its result is 0 outside as x is; no more MACs and no more parameters
 *             than both had
 * Formula     W[o, i, t] = Σ W₂[o, m, j]·W₁[m, i, k] over t·d = j·d₂·s₁ + k·d₁, b[o] = b₂[o] + Σ W₂[o, m, j]·b₁[m]; strides
 *             multiply, pads are p₁ + p₂·s₁; as many groups as divide those of both; in double, rounded once
 */
import { constantOf, type Graph, type Node, operand, result } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import type { Constant } from '#ir/tensor.ts';
import { elementCount, product, type Shape } from '#ir/types.ts';
import { type WindowAxis, windowAxes } from '#ir/window.ts';
import { nodeCost } from '../analysis/cost.ts';
import { derive, otherReader, reweigh } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, No, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';
import { isZero } from './linear.ts';

/** A convolution with constant weights, [outputs, inputs / group, taps]. */
interface Layer {
  readonly node: Node<'Conv'>;
  readonly weight: Constant;
  readonly bias: Constant | undefined;
  readonly axes: readonly WindowAxis[];
  readonly group: number;
  readonly outputs: number;
  readonly perGroup: number;
  readonly taps: number;
}

/** The window of both layers along one axis, with the tap of it that tap `j` of the second and `k` of the first make. */
interface JoinedAxis extends WindowAxis {
  readonly tap: (j: number, k: number) => number;
}

interface Plan {
  readonly first: Layer;
  readonly second: Layer;
  readonly axes: readonly JoinedAxis[];
  readonly group: number;
  readonly shape: Shape;
}

/** Products that are worth computing when a model is rewritten. */
const MOST_OPERATIONS = 2 ** 30;

const inner = op('Conv');
const outer = op('Conv', inner);

const rule = defineRule<Plan>({
  name: 'mergeConvPairs',
  pattern: outer,
  check(match, graph) {
    const [a, b] = [match.node(inner), match.node(outer)];
    const other = otherReader(graph, result(a as Node), b as Node);
    if (other) return no(other);
    const [first, second] = [layerOf(a), layerOf(b)];
    if (first instanceof No) return first;
    if (second instanceof No) return second;
    return borderProblem(first, second) ?? planOf(first, second);
  },
  rewrite: (plan, graph) => join(plan, graph),
});

function layerOf(node: Node<'Conv'>): Layer | No {
  const [weight, bias] = [1, 2].map((slot) => constantOf(node.operands[slot]));
  if (!weight || (node.operands[2] && !bias)) return no(`the weights of "${node.name}" are not constant`);
  const [outputs = 1, perGroup = 1, ...kernel] = weight.type.shape;
  const axes = windowAxes(convWindow(node.attrs, weight.type.shape));
  return { node, weight, bias, axes, group: node.attrs.group, outputs, perGroup, taps: product(kernel) };
}

/** Outside of its result the first layer would not be 0, as the padding of the second is. */
function borderProblem(first: Layer, second: Layer): No | undefined {
  const [name, other] = [first.node.name, second.node.name];
  const padded = second.axes.map((axis) => axis.padBegin !== 0 || axis.padEnd !== 0);
  if (!padded.includes(true)) return undefined;
  const wide = first.axes.some(
    ({ kernel, padBegin, padEnd }, i) => padded[i] && (kernel > 1 || padBegin !== 0 || padEnd !== 0),
  );
  if (wide) return no(`"${other}" pads with zeros what "${name}" would see of its input there`);
  return hasBias(first)
    ? no(`"${other}" pads with zeros, which the bias of "${name}" would not be`)
    : undefined;
}

const hasBias = ({ bias, outputs }: Layer): boolean =>
  bias !== undefined &&
  !isZero(
    {
      from: [bias],
      at:
        ([data]) =>
        (channel) =>
          Number(data?.[channel]),
    },
    outputs,
  );

function planOf(first: Layer, second: Layer): Plan | No {
  const axes = first.axes.map((axis, i) => joinedAxis(axis, second.axes[i] ?? axis));
  const group = greatestCommonDivisor(first.group, second.group);
  const inputs = first.perGroup * first.group;
  const shape = [second.outputs, inputs / group, ...axes.map((axis) => axis.kernel)];
  const size = elementCount(result(second.node as Node).type.shape);
  const [macs, before] = [size * product(shape.slice(1)), macsOf(first) + macsOf(second)];
  if (macs > before) return no(`one convolution takes ${macs} MACs, the two take ${before}`);
  const parameters = product(shape) + (first.bias || second.bias ? second.outputs : 0);
  const owned = ownParameters(first) + ownParameters(second);
  if (parameters > owned) return no(`one convolution has ${parameters} parameters, the two have ${owned}`);
  const operations = product(second.weight.type.shape) * first.perGroup * first.taps;
  if (operations > MOST_OPERATIONS) return no(`it takes ${operations} operations`);
  return { first, second, axes, group, shape };
}

function joinedAxis(a: WindowAxis, b: WindowAxis): JoinedAxis {
  const [near, far] = [a.dilation, b.dilation * a.stride];
  const steps = [...(a.kernel > 1 ? [near] : []), ...(b.kernel > 1 ? [far] : [])];
  const dilation = steps.reduce(greatestCommonDivisor, 0) || 1;
  return {
    kernel: ((a.kernel - 1) * near + (b.kernel - 1) * far) / dilation + 1,
    stride: a.stride * b.stride,
    dilation,
    padBegin: a.padBegin + b.padBegin * a.stride,
    padEnd: a.padEnd + b.padEnd * a.stride,
    tap: (j, k) => (j * far + k * near) / dilation,
  };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

const macsOf = ({ node }: Layer): number => nodeCost(node as Node).macs;

/** Of constants that nobody else reads, and which go with the layer. */
const ownParameters = ({ node }: Layer): number =>
  node.operands
    .slice(1)
    .reduce(
      (sum, v) => sum + (v?.uses.every((use) => use.node === node) ? elementCount(v.type.shape) : 0),
      0,
    );

function join(plan: Plan, graph: Graph): void {
  const { first, second, axes, group } = plan;
  reweigh(graph, second.node, {
    x: operand(first.node as Node, 0),
    weight: joinedWeight(plan),
    bias: first.bias || second.bias ? joinedBias(first, second) : undefined,
    attrs: {
      strides: axes.map((a) => a.stride),
      dilations: axes.map((a) => a.dilation),
      pads: [...axes.map((a) => a.padBegin), ...axes.map((a) => a.padEnd)],
      group,
    },
  });
}

/** The channel between that input `local` of output `o` of a layer is. */
const inputOf = (
  { outputs, group, perGroup }: Pick<Layer, 'outputs' | 'group' | 'perGroup'>,
  o: number,
): number => Math.floor((o * group) / outputs) * perGroup;

function joinedWeight({ first, second, axes, group, shape }: Plan): Constant {
  const all = product(axes.map((axis) => axis.kernel));
  const [outputs = 1, perGroup = 1] = shape;
  const taps = tapTable(first, second, axes);
  return derive(shape, [first.weight, second.weight], (w1, w2) => {
    const sums = new Float64Array(product(shape));
    for (let o = 0; o < outputs; o++) {
      const inputs = inputOf({ outputs, group, perGroup }, o);
      for (let local = 0; local < second.perGroup; local++) {
        const m = inputOf(second, o) + local;
        const start = inputOf(first, m) - inputs;
        for (let j = 0; j < second.taps; j++) {
          const factor = Number(w2?.[(o * second.perGroup + local) * second.taps + j]);
          for (let i = 0; i < first.perGroup; i++) {
            const to = (o * perGroup + start + i) * all;
            const from = (m * first.perGroup + i) * first.taps;
            for (let k = 0; k < first.taps; k++) {
              const at = to + (taps[j * first.taps + k] ?? 0);
              sums[at] = (sums[at] ?? 0) + factor * Number(w1?.[from + k]);
            }
          }
        }
      }
    }
    return (i) => sums[i] ?? 0;
  });
}

/** The tap of both layers that tap j of the second and k of the first make, by j·(taps of the first) + k. */
function tapTable(first: Layer, second: Layer, axes: readonly JoinedAxis[]): Int32Array {
  return Int32Array.from({ length: first.taps * second.taps }, (_, at) => {
    let [j, k] = [Math.floor(at / first.taps), at % first.taps];
    let [tap, step] = [0, 1];
    for (let i = axes.length - 1; i >= 0; i--) {
      const [n1, n2] = [first.axes[i]?.kernel ?? 1, second.axes[i]?.kernel ?? 1];
      tap += (axes[i]?.tap(j % n2, k % n1) ?? 0) * step;
      step *= axes[i]?.kernel ?? 1;
      [j, k] = [Math.floor(j / n2), Math.floor(k / n1)];
    }
    return tap;
  });
}

function joinedBias(first: Layer, second: Layer): Constant {
  const { outputs, perGroup, taps } = second;
  const own = second.bias ? [second.bias] : [];
  const through = first.bias ? [second.weight, first.bias] : [];
  return derive([outputs], [...own, ...through], (...data) => {
    const b2 = second.bias ? data[0] : undefined;
    const [w2, b1] = data.slice(own.length);
    const passed = (o: number) => {
      let sum = 0;
      for (let at = 0; at < perGroup * taps; at++) {
        const m = inputOf(second, o) + Math.floor(at / taps);
        sum += Number(w2?.[o * perGroup * taps + at]) * Number(b1?.[m]);
      }
      return sum;
    };
    return (o) => (b2 ? Number(b2[o]) : 0) + (b1 ? passed(o) : 0);
  });
}

export const mergeConvPairs = definePass({
  name: 'mergeConvPairs',
  summary: 'Merges two convolutions with nothing between them into one where that is cheaper',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
