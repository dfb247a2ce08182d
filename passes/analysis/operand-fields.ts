/** What an output of a node sees of the node's operands, whether the op or the epilogue reads them. */
import { type Node, opContext, opDef, type Value } from '#ir/graph.ts';
import type { AxisField } from '#ir/op.ts';
import { broadcastField } from '#ir/ops/common.ts';

export interface OperandField {
  readonly operand: Value;
  /** For each axis of the output. */
  readonly fields: readonly AxisField[];
}

/** One for each operand slot whose value `counts`. */
export function operandFields(
  node: Node,
  output: number,
  counts: (operand: Value) => boolean,
): readonly OperandField[] {
  const def = opDef(node.op);
  const context = opContext(node);
  const shape = node.outputs[output]?.type.shape ?? [];
  const found: OperandField[] = [];
  node.operands.forEach((operand, slot) => {
    const own = slot < node.arity;
    if (!operand || !counts(operand) || (!own && output > 0)) return;
    const fields = own ? def.field(context, output, slot) : broadcastField(operand.type.shape, shape);
    found.push({ operand, fields });
  });
  return found;
}
