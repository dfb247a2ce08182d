/** What another tool would count for a node. Each tool has its own rules; what it does not know it counts as 0. */
import { type Node, type OpName, opDef, operand, ownInput } from '#ir/graph.ts';
import { elementCount } from '#ir/types.ts';

export interface Preset<Name extends string = string> {
  readonly name: Name;
  readonly unit: 'MAC' | 'FLOP' | 'multiplication';
  /** For people: what is counted, in one line. */
  readonly says: string;
  /** Where the rules are from. */
  readonly source: string;
  /** Units per MAC, where nothing but MACs counts: then such a total changes only if the MACs do. */
  readonly perMac?: number;
  /** @param macs those of the node by our own cost model */
  count: CountRule;
}

export type CountRule = (node: Node, macs: number) => number;

export const definePreset = <const Name extends string>(preset: Preset<Name>): Preset<Name> => preset;

/** Rules of a tool that counts by op; an op without one counts 0. */
export type OpRules = { readonly [Op in OpName]?: CountRule };

export const countByOp =
  (rules: OpRules): CountRule =>
  (node, macs) =>
    rules[node.op]?.(node, macs) ?? 0;

/** The same rule for several ops. */
export const forOps = (ops: readonly OpName[], rule: CountRule): OpRules =>
  Object.fromEntries(ops.map((op) => [op, rule]));

export const byMacs: CountRule = (_, macs) => macs;

/** Elements of the first input. */
export const inputElements = (node: Node): number => elementCount(operand(node, 0).type.shape);

/** Elements of the first output. */
export const outputElements = (node: Node): number => elementCount(node.outputs[0]?.type.shape ?? []);

/** 1 per output element of a layer with a bias: the third input of convolutions and of Gemm. */
export const biasAdds = (node: Node): number => (ownInput(node, 2) ? outputElements(node) : 0);

/** Has a normalisation a scale or a shift? */
export const hasAffine = (node: Node): boolean =>
  opDef(node.op).inputs.some(
    ({ role }, i) => (role === 'weight' || role === 'affine') && node.operands[i] !== undefined,
  );

/**
 * Does a pool stand for an adaptive average pool? Exporters write one whose output has the size of its input with a
 * window of 1, which no other average pool has.
 */
export const isAdaptive = (node: Node): boolean =>
  node.op === 'GlobalAveragePool' || (node.op === 'AveragePool' && windowOf(node) === 1);

/** Positions under the window of a pool. */
export function windowOf(node: Node): number {
  const { kernel } = node.attrs as { readonly kernel?: readonly number[] };
  return elementCount(kernel ?? []);
}
