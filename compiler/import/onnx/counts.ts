/**
 * Values whose size depends on data: they have room for all that there can be, and a scalar says how many positions of
 * one axis count. What is computed from them keeps the count where positions stay apart; anything else is refused, as it
 * would take the room for the size.
 */
import { fail } from '#ir/diagnostics.ts';
import { type Node, type OutputCount, opContext, opDef, ownInputs, type Value } from '#ir/graph.ts';
import type { AxisField } from '#ir/op.ts';
import { IDENTITY_MAP, type PositionMap } from '#ir/window.ts';
import { printable } from './text.ts';

export const COUNT_HINT = 'end the model at the value whose size depends on data, and do the rest outside';

export class Counts {
  readonly #of = new Map<Value, OutputCount>();

  of(value: Value): OutputCount | undefined {
    return this.#of.get(value);
  }

  has(value: Value | undefined): boolean {
    return value !== undefined && this.#of.has(value);
  }

  /** Notes what a new node's results inherit from its operands. @throws CompileError `shape-data-dependent` where a count cannot be kept */
  add(node: Node): void {
    const { bounded } = opDef(node.op).traits;
    const [first, second] = node.outputs;
    if (bounded !== undefined && first && second) this.#of.set(first, { axis: bounded, value: second });
    ownInputs(node).forEach((value, slot) => {
      const count = value && this.#of.get(value);
      if (!count) return;
      node.outputs.forEach((output, i) => {
        const axis = axisOf(node, i, slot, count.axis);
        const other = this.#of.get(output);
        if (axis === undefined || (other && (other.axis !== axis || other.value !== count.value))) {
          const message = `the size of "${printable(value.name)}" depends on data, which ${node.op} does not carry on`;
          fail('shape-data-dependent', printable(node.name), message, COUNT_HINT);
        }
        this.#of.set(output, { axis, value: count.value });
      });
    });
  }
}

/** The one axis of output `output` whose positions are those of `axis` of operand `slot`. */
function axisOf(node: Node, output: number, slot: number, axis: number): number | undefined {
  const def = opDef(node.op);
  // parameters are not asked what of them is seen; operands of elementwise ops are all alike
  const role = def.inputs[Math.min(slot, def.inputs.length - 1)]?.role;
  if (role !== 'data' && !def.expression) return undefined;
  const context = opContext(node);
  const size = context.inputs[slot]?.shape[axis];
  const keeps = (field: AxisField, o: number): boolean =>
    field.kind === 'axis' &&
    field.axis === axis &&
    isIdentity(field.map) &&
    context.outputs[output]?.shape[o] === size;
  const found = def.field(context, output, slot).flatMap((field, o) => (keeps(field, o) ? [o] : []));
  return found.length === 1 ? found[0] : undefined;
}

function isIdentity({ advance, phases }: PositionMap): boolean {
  const [only] = IDENTITY_MAP.phases;
  const [first] = phases;
  return advance === 1 && phases.length === 1 && first?.start === only?.start && first?.size === only?.size;
}
