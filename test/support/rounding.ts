/**
 * How far rounding may move the results of a stack of convolutions, worked out beforehand: a running error analysis
 * (Higham, Accuracy and Stability of Numerical Algorithms, §3.1 and §3.3) by the ops of the network themselves.
 *
 * A sum of n products in f32, in any order, fused or not, is off by at most about n·u times the sum of the magnitudes of
 * its terms, u = 2⁻²⁴, and carries on the errors of its operands times the magnitudes of its weights. So the error of a
 * linear layer is that layer on the errors of its input with weights |w|, plus (n + 8)·u times that layer on magnitudes;
 * 8 leaves room for the few roundings of a scale that was multiplied into the weights beforehand. Magnitudes and numbers
 * of terms run through neighbouring linear layers without cancellation, since passes may merge them. A function with
 * Lipschitz constant L passes L times the error of its argument, and adds 16·u times the size of what it computes from.
 *
 * Winograd's algorithm, for which a layer of 3×3 taps and stride 1 is fit, rounds sums over a tile: there every element
 * may be off by 10⁻⁵ of the largest magnitude in the layer.
 */
import { constantTensor, evaluateGraph, evaluateNode } from '#ir/evaluate.ts';
import { type Graph, isOp, type Node, operand, type Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import type { StackActivation } from './conv-stacks.ts';

const UNIT = 2 ** -24;
const PREPARATION = 8;
const FUNCTION = 16;
const WINOGRAD = 1e-5;

export interface Bounded {
  readonly value: Tensor;
  /** For each element, how far one computation in f32 may be from the exact result. */
  readonly error: Tensor;
}

interface Known extends Bounded {
  /** For each element, the sum of the magnitudes that it is a sum of. */
  readonly terms: Tensor;
  /** How many those are at most. */
  readonly count: number;
}

type Bounds = Omit<Known, 'value'>;

/** The reference's outputs, by name, and their bounds. */
export function boundedOutputs(graph: Graph, inputs: ReadonlyMap<string, Tensor>): Map<string, Bounded> {
  const keep = new Set(graph.nodes.flatMap((node) => node.outputs));
  const values = evaluateGraph(graph, inputs, { keep });
  const known = new Map<Value, Known>();
  for (const input of graph.inputs) {
    const value = inputs.get(input.name);
    if (value) known.set(input, { value, terms: map(value, Math.abs), error: map(value, () => 0), count: 0 });
  }
  for (const node of graph.nodes) {
    const [output] = node.outputs;
    const value = output && values.get(output);
    if (!value) throw new Error(`${node.op} was not evaluated`);
    known.set(output, { value, ...boundsOf(node, value, known) });
  }
  return new Map(
    graph.outputs.map(({ name, value }) => {
      const found = known.get(value);
      if (!found) throw new Error(`output ${name} was not computed`);
      return [name, found];
    }),
  );
}

function boundsOf(node: Node, y: Tensor, known: ReadonlyMap<Value, Known>): Bounds {
  /** The node on the terms or the errors of its data, and on what `parameter` makes of its weights, by position. */
  const on = (data: 'terms' | 'error', parameter: Parameters): Tensor => {
    const [tensor] = evaluateNode(node, (value) => {
      const found = known.get(value);
      const index = node.operands.indexOf(value);
      if (found && (index === 0 || node.op === 'Add')) return found[data];
      return map(found?.value ?? constantTensor(value), parameter(index));
    });
    if (!tensor) throw new Error(`${node.op} has no result`);
    return tensor;
  };
  const before = Math.max(...node.operands.map((v) => (v && known.get(v)?.count) ?? 0));
  const summed = (further: number, magnitudes = everything, carriers = weightOnly): Bounds => {
    const terms = on('terms', magnitudes);
    const count = before + further;
    const rounding = (count + PREPARATION) * UNIT;
    return { terms, count, error: map(on('error', carriers), (e, i) => e + rounding * at(terms, i)) };
  };
  const rule = activationRule(node);
  if (rule) {
    const x = known.get(operand(node, 0));
    if (!x) throw new Error(`${node.op} has no operand`);
    const rounding = (i: number) => FUNCTION * UNIT * rule.scale(Math.abs(at(x.value, i)));
    return {
      terms: map(y, Math.abs),
      count: 0,
      error: map(x.error, (e, i) => rule.lipschitz * e + rounding(i)),
    };
  }
  if (isOp(node, 'Conv') || isOp(node, 'ConvTranspose')) {
    const [first = 1, second = 1, ...kernel] = operand(node as Node, 1).type.shape;
    const perGroup = node.op === 'Conv' ? second : first / node.attrs.group;
    const sums = summed(perGroup * product(kernel) + 1);
    return isWinograd(node as Node, kernel) ? winogradBounds(sums) : sums;
  }
  switch (node.op) {
    case 'BatchNormalization':
      // its mean is subtracted; neither mean nor bias carries an error
      return summed(
        3,
        (i) => (i === 3 ? (x) => -Math.abs(x) : Math.abs),
        (i) => (i === 1 || i === 4 ? Math.abs : nothing),
      );
    case 'AveragePool':
      return summed(isOp(node, 'AveragePool') ? product(node.attrs.kernel) : 1);
    case 'GlobalAveragePool':
      return summed(product(operand(node, 0).type.shape.slice(2)));
    case 'Add':
      return summed(1);
    case 'MaxPool':
    case 'Reshape':
    case 'Transpose':
      return { terms: on('terms', everything), error: on('error', everything), count: before };
    default:
      throw new Error(`there is no error analysis of ${node.op}`);
  }
}

function isWinograd(node: Node, kernel: readonly number[]): boolean {
  if (!isOp(node, 'Conv') || kernel.length !== 2 || kernel.some((k) => k !== 3)) return false;
  return [...node.attrs.strides, ...node.attrs.dilations].every((step) => step === 1);
}

function winogradBounds(sums: Bounds): Bounds {
  const largest = Array.from(sums.terms.data, Number).reduce((a, b) => Math.max(a, b), 0);
  return { ...sums, error: map(sums.error, (e) => e + WINOGRAD * largest) };
}

const nothing = (): number => 0;
/** What stands for a parameter, by its position among the operands. */
type Parameters = (index: number) => (x: number) => number;
const everything: Parameters = () => Math.abs;
const weightOnly: Parameters = (index) => (index === 1 ? Math.abs : nothing);

interface ActivationRule {
  readonly lipschitz: number;
  /** Of what its result is computed from, given |x|. */
  readonly scale: (x: number) => number;
}

const own = (x: number): number => x;
const one = (): number => 1;

/** A bounded function rounds within its bounds; x·f(x) with a bounded f rounds like x. */
const ACTIVATION_RULES: Readonly<Record<StackActivation, ActivationRule>> = {
  Relu: { lipschitz: 1, scale: () => 0 },
  Clip: { lipschitz: 1, scale: () => 0 },
  LeakyRelu: { lipschitz: 1, scale: own },
  // slopes are below 1
  PRelu: { lipschitz: 1, scale: own },
  // steepest at ±3: (2x + 3) / 6
  HardSwish: { lipschitz: 1.5, scale: own },
  HardSigmoid: { lipschitz: 0.3, scale: one },
  Sigmoid: { lipschitz: 0.25, scale: one },
  Tanh: { lipschitz: 1, scale: one },
  Elu: { lipschitz: 1, scale: one },
  // steepest near x = 2.4
  Swish: { lipschitz: 1.1, scale: own },
  Softplus: { lipschitz: 1, scale: (x) => x + 1 },
  // steepest near x = 1.5
  Mish: { lipschitz: 1.1, scale: own },
  // steepest at √2
  Gelu: { lipschitz: 1.13, scale: own },
};

const activationRule = (node: Node): ActivationRule | undefined =>
  (ACTIVATION_RULES as Readonly<Record<string, ActivationRule | undefined>>)[node.op];

const at = (tensor: Tensor, index: number): number => Number(tensor.data[index]);

const map = ({ type, data }: Tensor, of: (x: number, index: number) => number): Tensor => ({
  type,
  data: Float32Array.from(data as ArrayLike<number>, of),
});
