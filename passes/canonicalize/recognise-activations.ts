/**
 * Before      x·Clip(x + 3, 0, 6)/6, Clip(x + 3, 0, 6)/6, x·HardSigmoid(x); x·(1 + Erf(x/√2))/2;
 *             x·(1 + Tanh(√(2/π)·(x + 0.044715·x³)))/2: with their factors in any order, as products or divisions
 * After       HardSwish(x), HardSigmoid(x); Gelu(x); Gelu(x) by tanh
 * Conditions  the numbers are constants, to the precision of an f32; nobody else reads a step on the way
 */
import { type Graph, isOp, type Node, operand, producer, result, tensorOf, type Value } from '#ir/graph.ts';
import { supersede } from '../edit.ts';
import { definePass } from '../pass.ts';
import { applyRules, defineRule, no, op } from '../pattern.ts';
import { noEpilogues } from '../properties.ts';

interface Plan {
  readonly y: Value;
  readonly name: string;
  readonly activation: Activation;
}

type Activation = { readonly x: Value } & (
  | { readonly op: 'HardSwish' | 'HardSigmoid' }
  | { readonly op: 'Gelu'; readonly approximate: 'none' | 'tanh' }
);

const last = op(['Mul', 'Div']);

const rule = defineRule<Plan>({
  name: 'recogniseActivations',
  pattern: last,
  check(match, graph) {
    const node: Node = match.node(last);
    const y = result(node);
    const steps = new Set([node]);
    const activation = activationOf(y, steps);
    if (!activation) return undefined;
    const seen = [...steps].find((step) => step !== node && readOutside(result(step), steps, graph));
    return seen
      ? no(`"${result(seen).name}" is a step of it that others read`)
      : { y, name: node.name, activation };
  },
  rewrite({ y, name, activation }, graph) {
    const { op: kind, x } = activation;
    const node =
      kind === 'Gelu'
        ? graph.addNode('Gelu', [x], { approximate: activation.approximate }, { name })
        : kind === 'HardSigmoid'
          ? graph.addNode('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.5 }, { name })
          : graph.addNode('HardSwish', [x], {}, { name });
    supersede(graph, y, result(node as Node));
  },
});

const readOutside = (value: Value, steps: ReadonlySet<Node>, graph: Graph): boolean =>
  graph.isOutput(value) || value.uses.some((use) => !steps.has(use.node));

/** What a product is; the nodes on the way to it are added to `steps`. */
function activationOf(y: Value, steps: Set<Node>): Activation | undefined {
  const { scale, factors } = productOf(y, steps);
  const [a, b, more] = factors;
  if (!a || more) return undefined;
  if (!b) {
    const x = clippedAt3(a, steps);
    return x && near(scale, 1 / 6) ? { op: 'HardSigmoid', x } : undefined;
  }
  for (const [x, gate] of [
    [a, b],
    [b, a],
  ] as const) {
    if (near(scale, 1 / 6) && clippedAt3(gate, steps) === x) return { op: 'HardSwish', x };
    if (near(scale, 1) && hardSigmoidOf(gate, steps) === x) return { op: 'HardSwish', x };
    const approximate = near(scale, 0.5) ? gateOf(gate, x, steps) : undefined;
    if (approximate) return { op: 'Gelu', x, approximate };
  }
  return undefined;
}

/** Of numbers that were stored as f32. */
const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.abs(b);

/** A value as a number times others. */
interface Product {
  readonly scale: number;
  readonly factors: readonly Value[];
}

function productOf(value: Value, steps: Set<Node>): Product {
  let scale = 1;
  const factors: Value[] = [];
  const pending = [value];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const node = producer(next);
    const power = isOp(node, 'Pow') ? numberOf(operand(node as Node, 1)) : undefined;
    if (node && power !== undefined && [2, 3].includes(power)) {
      steps.add(node);
      pending.push(...new Array<Value>(power).fill(operand(node, 0)));
      continue;
    }
    const [a, b] = node && ['Mul', 'Div'].includes(node.op) ? [operand(node, 0), operand(node, 1)] : [];
    const [left, right] = [a && numberOf(a), b && numberOf(b)];
    // what several read is the argument, and no step
    const argument = next !== value && next.uses.length > 1;
    if (!node || !a || !b || argument || (isOp(node, 'Div') && right === undefined)) {
      factors.push(next);
      continue;
    }
    steps.add(node);
    if (right !== undefined) scale *= isOp(node, 'Div') ? 1 / right : right;
    else pending.push(b);
    if (left !== undefined) scale *= left;
    else pending.push(a);
  }
  return { scale, factors };
}

/** The number that a constant of one element is. */
function numberOf(value: Value): number | undefined {
  const data = tensorOf(value)?.data;
  return data?.length === 1 && value.type.dtype === 'f32' ? Number(data[0]) : undefined;
}

/** `other` of number + other. */
function besides(value: Value, number: number, steps: Set<Node>): Value | undefined {
  const node = producer(value);
  if (!isOp(node, 'Add')) return undefined;
  const [a, b] = [operand(node as Node, 0), operand(node as Node, 1)];
  const isNumber = (v: Value) => near(numberOf(v) ?? Number.NaN, number);
  const other = isNumber(a) ? b : isNumber(b) ? a : undefined;
  if (other) steps.add(node as Node);
  return other;
}

/** x of Clip(x + 3, 0, 6). */
function clippedAt3(value: Value, steps: Set<Node>): Value | undefined {
  const node = producer(value);
  if (!isOp(node, 'Clip') || node.attrs.min !== 0 || node.attrs.max !== 6) return undefined;
  const x = besides(operand(node as Node, 0), 3, steps);
  if (x) steps.add(node as Node);
  return x;
}

function hardSigmoidOf(value: Value, steps: Set<Node>): Value | undefined {
  const node = producer(value);
  if (!isOp(node, 'HardSigmoid') || !near(node.attrs.alpha, 1 / 6) || node.attrs.beta !== 0.5)
    return undefined;
  steps.add(node as Node);
  return operand(node as Node, 0);
}

/** Which form of GELU the gate 1 + f(x) is of. */
function gateOf(gate: Value, x: Value, steps: Set<Node>): 'none' | 'tanh' | undefined {
  const f = besides(gate, 1, steps);
  const node = f && producer(f);
  if (!node || !['Erf', 'Tanh'].includes(node.op)) return undefined;
  steps.add(node);
  const { scale, factors } = productOf(operand(node, 0), steps);
  const [a, b, more] = factors;
  if (isOp(node, 'Erf')) return a === x && !b && near(scale, Math.SQRT1_2) ? 'none' : undefined;
  if (!a || more || !near(scale, Math.sqrt(2 / Math.PI))) return undefined;
  // x + 0.044715·x³, or x·(1 + 0.044715·x²)
  const cubic = b
    ? a === x
      ? besides(b, 1, steps)
      : b === x
        ? besides(a, 1, steps)
        : undefined
    : plus(a, x, steps);
  const inner = cubic && productOf(cubic, steps);
  const powers = inner?.factors.length === (b ? 2 : 3) && inner.factors.every((v) => v === x);
  return inner && powers && near(inner.scale, 0.044715) ? 'tanh' : undefined;
}

/** `other` of x + other. */
function plus(value: Value, x: Value, steps: Set<Node>): Value | undefined {
  const node = producer(value);
  if (!isOp(node, 'Add') || !node.operands.includes(x)) return undefined;
  steps.add(node as Node);
  const [a, b] = [operand(node as Node, 0), operand(node as Node, 1)];
  return a === x ? b : a;
}

export const recogniseActivations = definePass({
  name: 'recogniseActivations',
  summary: 'Recognises hard sigmoid, hard swish and GELU spelled as arithmetic',
  requires: [noEpilogues],
  ensures: [noEpilogues],
  run: (graph, context) => applyRules(graph, [rule], context),
});
