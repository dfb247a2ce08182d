import { ByteWriter, unsignedLeb } from './bytes.ts';
import { EncoderError } from './error.ts';
import type { Ex, Func, Global, Local, Params, Results } from './expression.ts';
import { type InstructionName, instruction, type ValueType } from './instructions.ts';

export const VALUE_TYPE_CODE = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
} as const satisfies Record<ValueType, number>;

/** Opcodes whose operands depend on the function or on the block structure; every other one is in `instructions.ts`. */
const CONTROL = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  drop: 0x1a,
  select: 0x1b,
  'local.get': 0x20,
  'local.set': 0x21,
  'local.tee': 0x22,
  'global.get': 0x23,
  'global.set': 0x24,
} as const;

const EMPTY_BLOCK_TYPE = 0x40;

/** The target of a branch: the end of a block or `if`, or the beginning of a loop. */
export interface Label {
  readonly kind: 'label';
  readonly construct: 'block' | 'loop' | 'if';
}

interface Frame {
  readonly label: Label | 'function';
  /** Types pushed inside this block; a block cannot see the operands of the block around it. */
  readonly stack: ValueType[];
  /** Control cannot reach the next instruction of this block. */
  unreachable: boolean;
}

/**
 * Writes the instructions of one function, with an abstract operand stack per block that rejects what the engine would
 * reject. Local indices are known only at the end (locals are grouped by type), so the code keeps a list of holes.
 */
export class FunctionEmitter {
  readonly #params: readonly ValueType[];
  readonly #results: Results;
  readonly #module: object;
  readonly #code: number[] = [];
  readonly #holes: { readonly at: number; readonly slot: number }[] = [];
  readonly #locals: ValueType[] = [];
  readonly #frames: Frame[] = [{ label: 'function', stack: [], unreachable: false }];
  #usesMemory = false;

  constructor(params: Params, results: Results, module: object) {
    this.#params = Object.values(params);
    this.#results = results;
    this.#module = module;
  }

  get usesMemory(): boolean {
    return this.#usesMemory;
  }

  get reachable(): boolean {
    return !this.#frame.unreachable;
  }

  local<T extends ValueType>(type: T): Local<T> {
    const slot = this.#params.length + this.#locals.length;
    this.#locals.push(type);
    return { kind: 'local', type, slot, owner: this };
  }

  /** Emits a whole tree, operands before operators. Iterative: fused expressions can be deep. */
  value(tree: Ex): void {
    const pending: { readonly node: Ex; readonly ready: boolean }[] = [{ node: tree, ready: false }];
    for (let item = pending.pop(); item !== undefined; item = pending.pop()) {
      const { node, ready } = item;
      if (!ready && 'operands' in node) {
        pending.push({ node, ready: true });
        for (const operand of node.operands.toReversed()) pending.push({ node: operand, ready: false });
      } else {
        this.#node(node);
      }
    }
  }

  instruction(name: InstructionName, immediates: readonly number[]): void {
    const spec = instruction(name);
    for (const type of spec.takes.toReversed()) this.#pop(type, name);
    const [prefixOrCode, code] = spec.code;
    this.#code.push(prefixOrCode, ...(code === undefined ? [] : unsignedLeb(code)), ...immediates);
    if (spec.gives[0] !== undefined) this.#push(spec.gives[0]);
    if ('align' in spec || spec.immediate?.startsWith('memory')) this.#usesMemory = true;
  }

  set(target: Local | Global): void {
    if (target.kind === 'local') {
      this.#pop(target.type, 'local.set');
      this.#code.push(CONTROL['local.set']);
      this.#localIndex(target);
    } else {
      if (!target.mutable) throw new EncoderError(`global ${target.index} is not mutable`);
      this.#own(target, `global ${target.index}`);
      this.#pop(target.type, 'global.set');
      this.#code.push(CONTROL['global.set'], ...unsignedLeb(target.index));
    }
  }

  drop(type: ValueType): void {
    this.#pop(type, 'drop');
    this.#code.push(CONTROL.drop);
  }

  call(func: Func): void {
    this.#own(func, `function ${func.name}`);
    for (const type of Object.values(func.params).toReversed()) this.#pop(type, `call ${func.name}`);
    this.#code.push(CONTROL.call, ...unsignedLeb(func.index));
    if (func.results[0] !== undefined) this.#push(func.results[0]);
  }

  /** Opens a block; an `if` takes its condition from the stack. */
  open(construct: Label['construct']): Label {
    if (construct === 'if') this.#pop('i32', 'if');
    this.statement(construct);
    this.#code.push(CONTROL[construct], EMPTY_BLOCK_TYPE);
    const label: Label = { kind: 'label', construct };
    this.#frames.push({ label, stack: [], unreachable: false });
    return label;
  }

  else(label: Label): void {
    if (label.construct !== 'if') throw new EncoderError(`else inside a ${label.construct}`);
    this.#leave(label);
    this.#code.push(CONTROL.else);
    this.#frames.push({ label, stack: [], unreachable: false });
  }

  close(label: Label): void {
    this.#leave(label);
    this.#code.push(CONTROL.end);
  }

  branch(label: Label): void {
    this.#code.push(CONTROL.br, ...unsignedLeb(this.#depth(label)));
    this.#frame.unreachable = true;
  }

  branchIf(label: Label): void {
    this.#pop('i32', 'br_if');
    this.#code.push(CONTROL.br_if, ...unsignedLeb(this.#depth(label)));
  }

  branchTable(labels: readonly Label[], otherwise: Label): void {
    this.#pop('i32', 'br_table');
    this.#code.push(CONTROL.br_table, ...unsignedLeb(labels.length));
    for (const label of [...labels, otherwise]) this.#code.push(...unsignedLeb(this.#depth(label)));
    this.#frame.unreachable = true;
  }

  return(): void {
    if (this.#results[0] !== undefined) this.#pop(this.#results[0], 'return');
    this.#code.push(CONTROL.return);
    this.#frame.unreachable = true;
  }

  unreachable(): void {
    this.#code.push(CONTROL.unreachable);
    this.#frame.unreachable = true;
  }

  /** Checks that nothing is left on the stack after a statement. */
  statement(what: string): void {
    const { stack } = this.#frame;
    if (stack.length > 0) throw new EncoderError(`${what} leaves ${stack.join(', ')} on the stack`);
  }

  /** The function's entry in the code section, without its size. */
  finish(): Uint8Array {
    if (this.#frames.length !== 1) throw new EncoderError(`${this.#frames.length - 1} blocks are still open`);
    if (this.#results[0] !== undefined && this.reachable) this.#pop(this.#results[0], 'end of function');
    this.statement('end of function');
    const groups = [...new Set(this.#locals)];
    const grouped = groups.map((type) => this.#locals.flatMap((own, slot) => (own === type ? [slot] : [])));
    const indexOf = new Map(
      grouped.flat().map((slot, index) => [slot + this.#params.length, index + this.#params.length]),
    );
    const writer = new ByteWriter().u32(groups.length);
    groups.forEach((type, group) => {
      writer.u32(grouped[group]?.length ?? 0).byte(VALUE_TYPE_CODE[type]);
    });
    let from = 0;
    for (const { at, slot } of this.#holes) {
      writer.raw(this.#code.slice(from, at)).u32(indexOf.get(slot) ?? slot);
      from = at;
    }
    return writer.raw(this.#code.slice(from)).byte(CONTROL.end).finish();
  }

  get #frame(): Frame {
    const frame = this.#frames.at(-1);
    if (frame === undefined) throw new EncoderError('no open block');
    return frame;
  }

  #node(node: Ex): void {
    switch (node.kind) {
      case 'operation':
        this.instruction(node.name, node.immediates);
        break;
      case 'local':
        this.#code.push(CONTROL['local.get']);
        this.#localIndex(node);
        this.#push(node.type);
        break;
      case 'global':
        this.#own(node, `global ${node.index}`);
        this.#code.push(CONTROL['global.get'], ...unsignedLeb(node.index));
        this.#push(node.type);
        break;
      case 'tee':
        this.#pop(node.type, 'local.tee');
        this.#code.push(CONTROL['local.tee']);
        this.#localIndex(node.local);
        this.#push(node.local.type);
        break;
      case 'call':
        this.call(node.func);
        break;
      case 'select':
        this.#pop('i32', 'select');
        this.#pop(node.type, 'select');
        this.#pop(node.type, 'select');
        this.#code.push(CONTROL.select);
        this.#push(node.type);
        break;
    }
  }

  #push(type: ValueType): void {
    this.#frame.stack.push(type);
  }

  #pop(expected: ValueType, where: string): void {
    const found = this.#frame.stack.pop();
    if (found !== expected)
      throw new EncoderError(`${where}: expected ${expected}, got ${found ?? 'an empty stack'}`);
  }

  #leave(label: Label): void {
    if (this.#frame.label !== label)
      throw new EncoderError(`${label.construct} is not the innermost open block`);
    this.statement(`end of ${label.construct}`);
    this.#frames.pop();
  }

  #depth(label: Label): number {
    const position = this.#frames.findLastIndex((frame) => frame.label === label);
    if (position < 0) throw new EncoderError(`branch to a ${label.construct} that is not open here`);
    return this.#frames.length - 1 - position;
  }

  #localIndex(local: Local): void {
    if (local.owner !== this) throw new EncoderError(`local ${local.slot} belongs to another function`);
    this.#holes.push({ at: this.#code.length, slot: local.slot });
  }

  #own(thing: Global | Func, what: string): void {
    if (thing.owner !== this.#module) throw new EncoderError(`${what} belongs to another module`);
  }
}
