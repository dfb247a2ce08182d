import type { FunctionEmitter, Label } from './emitter.ts';
import { EncoderError } from './error.ts';
import {
  type Arguments,
  type CallArguments,
  callOperands,
  type Ex,
  type Func,
  type Global,
  i32,
  type Local,
  type Operand,
  op,
  type Params,
  type Results,
  split,
  tee,
  toEx,
} from './expression.ts';
import type { InstructionGiving, InstructionTable, ValueType } from './instructions.ts';

export type EffectInstruction = InstructionGiving<readonly []>;
export type StoreInstruction = {
  [N in EffectInstruction]: InstructionTable[N] extends {
    takes: readonly ['i32', ValueType];
    immediate: string;
  }
    ? N
    : never;
}[EffectInstruction];

type ReturnArguments<R extends Results> = R extends readonly [infer T extends ValueType]
  ? [value: Operand<T>]
  : [];

/** Locals of one type; `at` throws outside the range, so that a wrong tile index is not a wrong kernel. */
export interface Locals<T extends ValueType> extends ReadonlyArray<Local<T>> {
  at(index: number): Local<T>;
}

export interface CountOptions {
  /** Compare the counter as unsigned: for addresses above 2 GiB. Default false. */
  readonly unsigned?: boolean;
}

/** The statements of one function, emitted in the order in which the methods are called. */
export class FunctionBody<R extends Results = Results> {
  readonly #emitter: FunctionEmitter;
  readonly #results: R;

  constructor(emitter: FunctionEmitter, results: R) {
    this.#emitter = emitter;
    this.#results = results;
  }

  /** A new local, 0 at the start of the function. */
  local<T extends ValueType>(type: T): Local<T> {
    return this.#emitter.local(type);
  }

  /** `count` new locals. */
  locals<T extends ValueType>(type: T, count: number): Locals<T> {
    const locals = Array.from({ length: count }, () => this.local(type));
    const at = (index: number): Local<T> => {
      const local = locals[index];
      if (local === undefined) throw new EncoderError(`local ${index} of ${count} ${type} locals`);
      return local;
    };
    return Object.defineProperty(locals, 'at', { value: at }) as Locals<T>;
  }

  set<T extends ValueType>(target: Local<T> | Global<T>, value: Operand<NoInfer<T>>): void {
    this.#statement('set', [toEx(target.type, value, `${target.kind}.set`)], () => this.#emitter.set(target));
  }

  /** Any instruction that gives no value: `body.op('memory.fill', to, 0, bytes)`. */
  op<N extends EffectInstruction>(name: N, ...args: Arguments<N>): void {
    const { operands, immediates } = split(name, args);
    this.#statement(name, operands, () => this.#emitter.instruction(name, immediates));
  }

  /** `op` for the stores: `body.store('v128.store', address, value, { offset: 16 })`. */
  store<N extends StoreInstruction>(name: N, ...args: Arguments<N>): void {
    this.op(name, ...args);
  }

  /** Calls a function without a result; `drop(call(f, …))` ignores a result. */
  call<P extends Params>(func: Func<P, readonly []>, args: CallArguments<P>): void {
    this.#statement(`call ${func.name}`, callOperands(func, args), () => this.#emitter.call(func));
  }

  /** Evaluates `value` for its effect. */
  drop(value: Ex): void {
    this.#statement('drop', [value], () => this.#emitter.drop(value.type));
  }

  /** Statements with a label at their end: `br` leaves. */
  block(statements: (label: Label) => void): void {
    this.#construct('block', statements);
  }

  /** Statements with a label at their beginning: `br` repeats, falling off the end leaves. */
  loop(statements: (label: Label) => void): void {
    this.#construct('loop', statements);
  }

  /** The label of both branches is the end of the whole `if`. */
  if(condition: Operand<'i32'>, then: (label: Label) => void, otherwise?: (label: Label) => void): void {
    this.#emitter.value(toEx('i32', condition, 'if'));
    this.#construct('if', then, otherwise);
  }

  br(label: Label): void {
    this.#emitter.branch(label);
  }

  brIf(label: Label, condition: Operand<'i32'>): void {
    this.#statement('br_if', [toEx('i32', condition, 'br_if')], () => this.#emitter.branchIf(label));
  }

  /** Branches to `labels[index]`, or to `otherwise` when there is none. `index` is unsigned. */
  brTable(index: Operand<'i32'>, labels: readonly Label[], otherwise: Label): void {
    this.#statement('br_table', [toEx('i32', index, 'br_table')], () =>
      this.#emitter.branchTable(labels, otherwise),
    );
  }

  return(...value: ReturnArguments<R>): void {
    const types: readonly ValueType[] = this.#results;
    if (value.length !== types.length) throw new EncoderError(`return: expected ${types.length} values`);
    const operands = types.map((type, index) => toEx(type, value[index], 'return'));
    this.#statement('return', operands, () => this.#emitter.return());
  }

  unreachable(): void {
    this.#emitter.unreachable();
  }

  /**
   * A rolled loop: `for (i = start; i < end; i += step)`, or `i > end` when `step` is negative, with the test at the
   * bottom. Number bounds that admit no iteration emit nothing; other bounds are guarded once, at the top. `end` is
   * evaluated before the loop and after each iteration, so keep anything costly in a local. After the loop the counter
   * holds the first value that failed the test; a statement that writes the counter changes the iteration.
   */
  count(
    start: Operand<'i32'>,
    end: Operand<'i32'>,
    step: number,
    statements: (counter: Local<'i32'>, leave: Label) => void,
    { unsigned = false }: CountOptions = {},
  ): void {
    if (step === 0 || !Number.isInteger(step)) throw new EncoderError(`count: step ${step}`);
    const constant = typeof start === 'number' && typeof end === 'number';
    if (constant) {
      if (step > 0 ? start >= end : start <= end) return;
      checkRange(start, end, step, unsigned);
    }
    const counter = this.local('i32');
    const more = (value: Ex<'i32'>): Ex<'i32'> =>
      op(`i32.${step > 0 ? 'lt' : 'gt'}_${unsigned ? 'u' : 's'}`, value, end);
    const next = op('i32.add', counter, i32(step));
    const repeat = (leave: Label): void => {
      this.loop((again) => {
        statements(counter, leave);
        this.brIf(again, more(tee(counter, next)));
      });
    };
    this.set(counter, start);
    if (constant) this.block(repeat);
    else this.if(more(counter), repeat);
  }

  #statement(what: string, operands: readonly Ex[], emit: () => void): void {
    for (const operand of operands) this.#emitter.value(operand);
    emit();
    this.#emitter.statement(what);
  }

  #construct(
    construct: Label['construct'],
    statements: (label: Label) => void,
    otherwise?: (label: Label) => void,
  ): void {
    const label = this.#emitter.open(construct);
    statements(label);
    if (otherwise !== undefined) {
      this.#emitter.else(label);
      otherwise(label);
    }
    this.#emitter.close(label);
  }
}

/** The counter's last value must not wrap round, or the loop would not end. */
function checkRange(start: number, end: number, step: number, unsigned: boolean): void {
  const [least, most] = unsigned ? [0, 0xffff_ffff] : [-0x8000_0000, 0x7fff_ffff];
  const last = start + Math.ceil((end - start) / step) * step;
  if (Math.min(start, end, last) < least || Math.max(start, end, last) > most) {
    throw new EncoderError(`count: ${start} to ${end} by ${step} leaves the 32-bit range`);
  }
}
