/**
 * Rewriting by rules: a pattern finds a place, a check says whether the rule holds there (or refuses, with a reason),
 * and a rewrite edits the graph. `applyRules` drives rules to a fixpoint.
 */
import { InternalError } from '#ir/diagnostics.ts';
import { constantOf, type Graph, type Node, type OpName, opDef, producer, type Value } from '#ir/graph.ts';
import { isLive } from './edit.ts';
import type { Application, PassContext, PassResult, Refusal } from './pass.ts';

/** Matches a value by what it is; the same pattern object matches the same value wherever it occurs. */
export interface ValuePattern {
  readonly kind: 'value';
  readonly test: (value: Value) => boolean;
}

/** Matches the first output of a node, by op and operands; operands without a pattern may be anything. */
export interface NodePattern<K extends OpName = OpName> {
  readonly kind: 'node';
  readonly test: (node: Node) => boolean;
  readonly operands: readonly Pattern[];
  /** Only for the type. */
  readonly ops?: readonly K[];
}

export type Pattern = ValuePattern | NodePattern;

export const any = (): ValuePattern => ({ kind: 'value', test: () => true });
/** A constant, whether or not its data is present. */
export const constant = (): ValuePattern => ({ kind: 'value', test: (v) => constantOf(v) !== undefined });

/** A node of one of these ops. The first two operands of a commutative op match in either order. */
export function op<const K extends OpName>(ops: K | readonly K[], ...operands: Pattern[]): NodePattern<K> {
  const names: readonly K[] = typeof ops === 'string' ? [ops] : ops;
  return {
    kind: 'node',
    test: (node) => (names as readonly OpName[]).includes(node.op),
    operands,
    ops: names,
  };
}

/** A node by what it declares. */
export const nodeThat = (test: (node: Node) => boolean, ...operands: Pattern[]): NodePattern => ({
  kind: 'node',
  test,
  operands,
});

/** The orders in which the first two operands of a node may match. */
const AS_WRITTEN = [[0, 1]] as const;
const EITHER_WAY = [...AS_WRITTEN, [1, 0]] as const;

/** What a pattern has found. */
export class Match {
  /** Most nodes match nothing, and are many. */
  #bound: Map<Pattern, Value | Node> | undefined;

  /** @throws InternalError for a pattern that is no part of the rule. */
  value(pattern: ValuePattern): Value {
    return this.#get(pattern) as Value;
  }

  node<K extends OpName>(pattern: NodePattern<K>): Node<K> {
    return this.#get(pattern as Pattern) as Node<K>;
  }

  #get(pattern: Pattern): Value | Node {
    const found = this.#bound?.get(pattern);
    if (!found) throw new InternalError('a rule asks for a pattern that it did not match');
    return found;
  }

  /** Tries to match `node`, leaving no trace where it does not. */
  tryNode(pattern: NodePattern, node: Node): boolean {
    const { operands } = pattern;
    if (!pattern.test(node) || node.operands.length < operands.length) return false;
    if (operands.length === 0) return this.#bind(pattern, node);
    const twoWays = opDef(node.op).traits.commutative && operands.length === 2;
    const before = this.#bound;
    for (const order of twoWays ? EITHER_WAY : AS_WRITTEN) {
      this.#bound = new Map(before);
      const fits = operands.every((p, i) => this.#tryValue(p, node.operands[order[i] ?? i]));
      if (fits && this.#bind(pattern, node)) return true;
    }
    this.#bound = before;
    return false;
  }

  #tryValue(pattern: Pattern, value: Value | undefined): boolean {
    if (!value) return false;
    if (pattern.kind === 'value') return pattern.test(value) && this.#bind(pattern, value);
    const node = producer(value);
    return node !== undefined && node.outputs[0] === value && this.tryNode(pattern, node);
  }

  #bind(pattern: Pattern, found: Value | Node): boolean {
    const bound = this.#bound?.get(pattern);
    if (bound) return bound === found;
    this.#bound ??= new Map();
    this.#bound.set(pattern, found);
    return true;
  }
}

/** A reason not to rewrite: `no("weights are not constant")`. */
export class No {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}
export const no = (reason: string): No => new No(reason);

export interface RuleSpec<Plan> {
  readonly name: string;
  readonly pattern: NodePattern;
  /** The plan of the rewrite, a refusal, or undefined where the place is of no interest at all. */
  check(match: Match, graph: Graph): Plan | No | undefined;
  rewrite(plan: Plan, graph: Graph): void;
}

export interface Rule {
  readonly name: string;
  /** Edits the graph at `root` and returns true, or refuses, or does nothing. */
  tryAt(root: Node, graph: Graph): boolean | No;
}

export const defineRule = <Plan extends object>(spec: RuleSpec<Plan>): Rule => ({
  name: spec.name,
  tryAt(root, graph) {
    const match = new Match();
    if (!match.tryNode(spec.pattern, root)) return false;
    const plan = spec.check(match, graph);
    if (plan === undefined) return false;
    if (plan instanceof No) return plan;
    spec.rewrite(plan, graph);
    return true;
  },
});

/** Applies rules in sweeps over the nodes, producers first, until none applies. */
export function applyRules(graph: Graph, rules: readonly Rule[], context: PassContext): PassResult {
  let budget = 1000 + 50 * graph.nodes.length;
  const applications: Application[] = [];
  for (;;) {
    const before = applications.length;
    const refusals: Refusal[] = [];
    for (const node of graph.nodes) {
      context.signal?.throwIfAborted();
      for (const rule of rules) {
        if (!isLive(node)) break;
        const outcome = rule.tryAt(node, graph);
        if (outcome === true) applications.push({ rule: rule.name, node: node.name });
        else if (outcome) refusals.push({ rule: rule.name, node: node.name, reason: outcome.reason });
      }
    }
    const changes = applications.length;
    if (changes === before) return { changes, applications, refusals };
    budget -= changes - before;
    if (budget < 0)
      throw new InternalError(`rules ${rules.map((r) => r.name).join(', ')} do not come to an end`);
  }
}
