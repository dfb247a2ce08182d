import { f32Bytes, f64Bytes } from './bytes.ts';
import { EncoderError } from './error.ts';
import { encodeImmediates, type Immediates } from './immediates.ts';
import {
  type InstructionGiving,
  type InstructionName,
  type InstructionTable,
  instruction,
  type ValueType,
} from './instructions.ts';

/**
 * A value of type `T`: a tree whose instructions are emitted operands first, left to right, exactly as written.
 * A tree used twice is emitted twice; keep a value in a local to compute it once.
 */
export type Ex<T extends ValueType = ValueType> =
  | Operation<T>
  | Local<T>
  | Global<T>
  | Tee<T>
  | Call<T>
  | Select<T>;

/** An expression, or a JavaScript number (bigint for i64) standing for the constant. */
export type Operand<T extends ValueType = ValueType> =
  | Ex<T>
  | (T extends 'v128' ? never : T extends 'i64' ? bigint : number);

/** Parameter names and types, in order. */
export type Params = Readonly<Record<string, ValueType>>;
export type Results = readonly [] | readonly [ValueType];

/** A parameter or a local variable; as an expression, its value when the expression is evaluated. */
export interface Local<T extends ValueType = ValueType> {
  readonly kind: 'local';
  readonly type: T;
  /** Position in order of declaration, parameters first; the index in the binary groups locals by type. */
  readonly slot: number;
  /** The function it belongs to. */
  readonly owner: object;
}

/** A module variable; as an expression, its value when the expression is evaluated. */
export interface Global<T extends ValueType = ValueType> {
  readonly kind: 'global';
  readonly type: T;
  readonly mutable: boolean;
  readonly index: number;
  /** The module it belongs to. */
  readonly owner: object;
}

/** A function of a module, callable before it is defined. */
export interface Func<P extends Params = Params, R extends Results = Results> {
  readonly kind: 'func';
  readonly name: string;
  readonly params: P;
  readonly results: R;
  readonly index: number;
  /** The module it belongs to. */
  readonly owner: object;
}

export interface Operation<T extends ValueType = ValueType> {
  readonly kind: 'operation';
  readonly type: T;
  readonly name: InstructionName;
  readonly operands: readonly Ex[];
  readonly immediates: readonly number[];
}

export interface Tee<T extends ValueType = ValueType> {
  readonly kind: 'tee';
  readonly type: T;
  readonly local: Local;
  readonly operands: readonly Ex[];
}

export interface Call<T extends ValueType = ValueType> {
  readonly kind: 'call';
  readonly type: T;
  readonly func: Func;
  readonly operands: readonly Ex[];
}

export interface Select<T extends ValueType = ValueType> {
  readonly kind: 'select';
  readonly type: T;
  readonly operands: readonly Ex[];
}

type Operands<Types extends readonly ValueType[]> = { readonly [K in keyof Types]: Operand<Types[K]> };

/** Operands of `N` in order, then its immediates. */
export type Arguments<N extends InstructionName> = [
  ...Operands<InstructionTable[N]['takes']>,
  ...Immediates<N>,
];

/** Operands of a call by parameter name. */
export type CallArguments<P extends Params> = { readonly [K in keyof P]: Operand<P[K]> };

export type ValueInstruction = InstructionGiving<readonly [ValueType]>;
export type LoadInstruction = {
  [N in ValueInstruction]: InstructionTable[N] extends { takes: readonly ['i32']; immediate: 'memarg' }
    ? N
    : never;
}[ValueInstruction];

type ResultOf<N extends ValueInstruction> = InstructionTable[N]['gives'][0];

/** Any instruction that gives a value: `op('f32x4.add', a, b)`, `op('i32x4.extract_lane', v, 2)`. */
export function op<N extends ValueInstruction>(name: N, ...args: Arguments<N>): Ex<ResultOf<N>> {
  return operation(name, args) as Ex<ResultOf<N>>;
}

/** `op` for the loads: `load('v128.load', address, { offset: 16 })`. */
export const load: <N extends LoadInstruction>(name: N, ...args: Arguments<N>) => Ex<ResultOf<N>> = op;

export const i32 = (value: number): Ex<'i32'> => op('i32.const', value);
export const i64 = (value: bigint): Ex<'i64'> => op('i64.const', value);
export const f32 = (value: number): Ex<'f32'> => op('f32.const', value);
export const f64 = (value: number): Ex<'f64'> => op('f64.const', value);

/** A vector constant from its lanes: `v128('f32x4', 1, 2, 3, 4)`; integer lanes may be signed or unsigned. */
export function v128<S extends keyof Lanes>(shape: S, ...lanes: Lanes[S]): Ex<'v128'> {
  const { count, bytes } = LANES[shape];
  if (lanes.length !== count) throw new EncoderError(`${shape} has ${count} lanes, got ${lanes.length}`);
  return op('v128.const', lanes.flatMap(bytes));
}

/** `whenTrue` if `condition` is not 0, else `whenFalse`. Both are evaluated, in the order written, before the condition. */
export function select<T extends ValueType>(
  whenTrue: Ex<T>,
  whenFalse: Operand<NoInfer<T>>,
  condition: Operand<'i32'>,
): Ex<T> {
  const { type } = whenTrue;
  const operands = [whenTrue, toEx(type, whenFalse, 'select'), toEx('i32', condition, 'select')];
  return { kind: 'select', type, operands };
}

/** Writes `value` to `local`, and is that value. */
export function tee<T extends ValueType>(local: Local<T>, value: Operand<NoInfer<T>>): Ex<T> {
  return { kind: 'tee', type: local.type, local, operands: [toEx(local.type, value, 'local.tee')] };
}

/** The result of a function that has one. */
export function call<P extends Params, T extends ValueType>(
  func: Func<P, readonly [T]>,
  args: CallArguments<P>,
): Ex<T> {
  const [type] = func.results;
  return { kind: 'call', type, func, operands: callOperands(func, args) };
}

/** Checks and completes the arguments of a call. */
export function callOperands(func: Func, args: Readonly<Record<string, unknown>>): readonly Ex[] {
  for (const key of Object.keys(args)) {
    if (!Object.hasOwn(func.params, key)) throw new EncoderError(`${func.name} has no parameter ${key}`);
  }
  return Object.entries(func.params).map(([key, type]) => toEx(type, args[key], `${func.name}(${key})`));
}

/** Divides the arguments of `name` into operands and encoded immediates. */
export function split(
  name: InstructionName,
  args: readonly unknown[],
): { readonly operands: readonly Ex[]; readonly immediates: readonly number[] } {
  const spec = instruction(name);
  const operands = spec.takes.map((type, index) => toEx(type, args[index], name));
  try {
    return { operands, immediates: encodeImmediates(spec, args.slice(spec.takes.length)) };
  } catch (error) {
    throw error instanceof EncoderError ? new EncoderError(`${name}: ${error.message}`) : error;
  }
}

/** `value` as an expression of type `type`; `where` names the place in the error. */
export function toEx<T extends ValueType>(type: T, value: unknown, where: string): Ex<T> {
  if (typeof value === 'number' && type !== 'i64' && type !== 'v128') {
    return operation(`${type}.const`, [value]) as Ex<T>;
  }
  if (typeof value === 'bigint' && type === 'i64') return op('i64.const', value) as Ex<T>;
  if (typeof value === 'object' && value !== null && 'kind' in value && 'type' in value) {
    if (value.type === type) return value as Ex<T>;
    throw new EncoderError(`${where}: expected ${type}, got ${String(value.type)}`);
  }
  throw new EncoderError(`${where}: expected ${type}, got ${value === null ? 'null' : typeof value}`);
}

function operation(name: InstructionName, args: readonly unknown[]): Operation {
  const [type] = instruction(name).gives;
  if (type === undefined) throw new EncoderError(`${name} gives no value`);
  return { kind: 'operation', type, name, ...split(name, args) };
}

type Repeat<T, N extends number, Found extends T[] = []> = Found['length'] extends N
  ? Found
  : Repeat<T, N, [...Found, T]>;

interface Lanes {
  i8x16: Repeat<number, 16>;
  i16x8: Repeat<number, 8>;
  i32x4: Repeat<number, 4>;
  i64x2: Repeat<bigint, 2>;
  f32x4: Repeat<number, 4>;
  f64x2: Repeat<number, 2>;
}

const LANES: { readonly [S in keyof Lanes]: { count: number; bytes: (lane: number | bigint) => number[] } } =
  {
    i8x16: { count: 16, bytes: (lane) => integerBytes(lane, 1) },
    i16x8: { count: 8, bytes: (lane) => integerBytes(lane, 2) },
    i32x4: { count: 4, bytes: (lane) => integerBytes(lane, 4) },
    i64x2: { count: 2, bytes: (lane) => integerBytes(lane, 8) },
    f32x4: { count: 4, bytes: (lane) => f32Bytes(Number(lane)) },
    f64x2: { count: 2, bytes: (lane) => f64Bytes(Number(lane)) },
  };

function integerBytes(lane: number | bigint, size: number): number[] {
  if (typeof lane === 'number' && !Number.isInteger(lane))
    throw new EncoderError(`${lane} is not an integer`);
  const value = BigInt(lane);
  const bits = BigInt(size * 8);
  if (value < -(1n << (bits - 1n)) || value >= 1n << bits) {
    throw new EncoderError(`${lane} does not fit a lane of ${bits} bits`);
  }
  return Array.from({ length: size }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}
