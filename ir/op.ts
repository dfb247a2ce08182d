import type { AttrSchema, AttrsOf } from './attrs.ts';
import type { Builder } from './builder.ts';
import type { Expr } from './expr.ts';
import type { Value } from './graph.ts';
import type { Tensor, TensorData } from './tensor.ts';
import type { Shape, TensorType } from './types.ts';
import type { PositionMap } from './window.ts';

/**
 * What an input is for. `weight` and `affine` constants are parameters (an `affine` one only if it has more than one
 * element), `buffer` constants are running statistics, the rest is data.
 */
export type InputRole = 'data' | 'weight' | 'affine' | 'buffer';

export interface InputSpec {
  readonly name: string;
  readonly role: InputRole;
  readonly optional?: true;
  /** The last input may repeat. */
  readonly variadic?: true;
}

/**
 * How an op sees memory: `spatial` ops want channels last on data; `pointwise` ops want all operands alike;
 * `strided` ops take any order on either side; `rowMajor` ops need the order that their shape says.
 */
export type LayoutNeed = 'spatial' | 'pointwise' | 'strided' | 'rowMajor';

export interface OpTraits {
  readonly layout: LayoutNeed;
  /** Does its result depend on element positions only through copying? Then any dtype will do. */
  readonly movement?: true;
  /** Is its result its first input under another shape? Then row-major order is unchanged and no byte moves. */
  readonly view?: true;
  /** Is its result its operands side by side, so that they can be written there in the first place? */
  readonly joins?: true;
  /** Does it change which axis is which, so that its input's memory order says nothing about its output's? */
  readonly reorders?: true;
  /** May an epilogue follow its first output? */
  readonly epilogue?: true;
  /** Does the order of its first two operands not matter? */
  readonly commutative?: true;
  /** Do its values follow from the types of its operands, whatever their values are? */
  readonly ofTypes?: true;
  /**
   * The axis of its first output whose size depends on data: the output has room for all that there can be, and the
   * second output, an i64 scalar, says how many positions count. The rest is 0.
   */
  readonly bounded?: number;
}

/** Arithmetic of one node. A MAC is one multiply-accumulate; everything else counts in `otherOps`. */
export interface Cost {
  readonly macs: number;
  readonly otherOps: number;
}

/** What a position outside an input stands for: its border, its mirror image in that, or a position beyond the other end. */
export type Border = 'edge' | 'reflect' | 'wrap';

/** What one output axis sees of an input: nothing, positions of one of its axes, or all of it. */
export type AxisField =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'axis';
      readonly axis: number;
      readonly map: PositionMap;
      /** What positions outside the input stand for; for nothing unless said. */
      readonly border?: Border;
    }
  | { readonly kind: 'whole' };

export interface InferContext<A> {
  readonly attrs: A;
  readonly inputs: readonly (TensorType | undefined)[];
  /** Values of inputs that are constants, where they are known. */
  readonly constants: readonly (Tensor | undefined)[];
}

export interface OpContext<A> {
  readonly attrs: A;
  readonly inputs: readonly (TensorType | undefined)[];
  readonly outputs: readonly TensorType[];
}

export interface EvalContext<A> extends OpContext<A> {
  readonly data: readonly (TensorData | undefined)[];
}

/**
 * The specification of an op's values, in double arithmetic over row-major arrays. `element` ops compute any one
 * element of their single output on its own, so that large results can be checked by samples.
 */
export type Reference<A> =
  | { readonly kind: 'element'; element(context: EvalContext<A>): (index: number) => number }
  | { readonly kind: 'whole'; evaluate(context: EvalContext<A>): TensorData[] };

/** What a decomposition is made of and from. */
export interface DecomposeContext<A> {
  readonly b: Builder;
  readonly attrs: A;
  readonly inputs: readonly (Value | undefined)[];
  /** The values of input `i`, where they are known. */
  constant(i: number): Tensor | undefined;
  /** The types that the results must have. */
  readonly outputs: readonly TensorType[];
}

/** Every target-independent fact about an op. */
export interface OpDef<S extends AttrSchema = AttrSchema> {
  readonly name: string;
  readonly attrs: S;
  readonly inputs: readonly InputSpec[];
  readonly traits: OpTraits;
  /** Types of the outputs. @throws OpError where inputs and attributes do not fit. */
  infer(context: InferContext<AttrsOf<S>>): TensorType[];
  cost(context: OpContext<AttrsOf<S>>): Cost;
  /** For each input, what each axis of output `output` sees of it. Only data inputs are asked. */
  field(context: OpContext<AttrsOf<S>>, output: number, input: number): AxisField[];
  readonly reference: Reference<AttrsOf<S>>;
  /**
   * Do the values of the inputs fit, where types cannot tell: indices their axis? The reference has a result for any
   * values, that of the kernels. @throws OpError where they do not
   */
  checkData?(context: EvalContext<AttrsOf<S>>): void;
  /**
   * Where no element of its result is outside the least and the greatest of its f32 inputs and of some further values:
   * these values. An op that only moves elements has none.
   */
  between?(attrs: AttrsOf<S>): readonly number[];
  /**
   * Ops that multiply their first input with a filter bank or a matrix in their second: the axis of that which output
   * channels lie along, or null where it is no single one.
   */
  channelAxis?(attrs: AttrsOf<S>, weight: Shape): number | null;
  /** Elementwise ops: the result of one element from one element of each (broadcast) input. */
  expression?(attrs: AttrsOf<S>, inputs: number): Expr;
  /**
   * The op written in others: adds them and returns its results. It means the same for all values; what is rounded to
   * f32 in between is said where it is not obvious. Undefined, before anything is added, where this form has none.
   * Its return type is declared, as the ops that it names are inferred from the list that it is in.
   */
  decompose?(context: DecomposeContext<AttrsOf<S>>): Value[] | undefined;
}

/** An op whose inputs or attributes do not fit it; the caller adds where. */
export class OpError extends Error {
  override readonly name = 'OpError';
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

export const defineOp = <const N extends string, const S extends AttrSchema>(
  def: OpDef<S> & { readonly name: N },
): OpDef<S> & { readonly name: N } => def;

/** The type of input `i`. @throws OpError if it is absent. */
export function inputType(
  context: { readonly inputs: readonly (TensorType | undefined)[] },
  i: number,
): TensorType {
  const type = context.inputs[i];
  if (!type) throw new OpError(`input ${i} is missing`);
  return type;
}

/** Input `i` of a decomposition. @throws OpError if it is absent. */
export function inputValue(context: { readonly inputs: readonly (Value | undefined)[] }, i: number): Value {
  const value = context.inputs[i];
  if (!value) throw new OpError(`input ${i} is missing`);
  return value;
}

/** The type of output `i`, which inference has put there. */
export function outputType(context: { readonly outputs: readonly TensorType[] }, i = 0): TensorType {
  const type = context.outputs[i];
  if (!type) throw new OpError(`output ${i} is missing`);
  return type;
}

/** The values of input `i`. @throws OpError if it is absent. */
export function inputData(context: EvalContext<never> | EvalContext<unknown>, i: number): TensorData {
  const data = context.data[i];
  if (!data) throw new OpError(`input ${i} is missing`);
  return data;
}

export const NO_COST: Cost = { macs: 0, otherOps: 0 };
