import { evaluateOp, trim } from '#ir/evaluate.ts';
import { Graph, type OpAttrsInput, type OpName, opDef, tensorOf, type Value } from '#ir/graph.ts';
import { allocate, type Tensor, type TensorData, toBigInt } from '#ir/tensor.ts';
import { type DType, elementCount, isWide, type Shape, type TensorType } from '#ir/types.ts';
import { shapeProblem } from './element-types.ts';

/** The largest result, in elements, that import computes; larger ones are left to constant folding. */
const MAX_RESULT = 1_000_000;
/** The same for constants of one value, such as weights that a model makes by ConstantOfShape. */
const MAX_FILLED = 2 ** 28;
/** Larger ones are made when they are first read. */
const SMALL = 4096;
/** Scalar operations for one op. */
const MAX_WORK = 2 ** 26;
/** Elements and operations for a whole model: a small file must not keep us busy for long. */
const BUDGET = { work: 2 ** 28, filled: 2 ** 29 };

/** Computes ops whose inputs are constants, within a budget. */
export class Folder {
  #work = 0;
  #filled = 0;

  /** The results, or undefined where an input is not known or the work is too much. @throws OpError | RangeError */
  fold<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
  ): Tensor[] | undefined {
    if (!inputs.some((v) => v) || !inputs.every((v) => !v || tensorOf(v))) return undefined;
    const scratch = new Graph('fold');
    const operands = inputs.map((v) => {
      const tensor = tensorOf(v);
      return v && tensor ? scratch.addConstant(v.name, tensor) : undefined;
    });
    const node = scratch.addNode(op, operands, attrs);
    const types = node.outputs.map((v) => v.type);
    if (types.some((t) => shapeProblem(t.shape) !== undefined)) return undefined;
    const [first] = node.operands;
    const source = opDef(op).traits.view ? tensorOf(first) : undefined;
    // another shape of the same values costs nothing, however many they are
    if (source) return types.map((type) => retyped(type, source));
    const elements = types.reduce((sum, t) => sum + elementCount(t.shape), 0);
    const given = node.operands.map((v) => v?.type);
    const cost = opDef(op).cost({ attrs: node.attrs as never, inputs: given, outputs: types });
    const work = elements + cost.macs + cost.otherOps;
    if (elements > MAX_RESULT || !(work <= MAX_WORK) || this.#work + work > BUDGET.work) return undefined;
    this.#work += work;
    const results = evaluateOp(node);
    const [values, count] = results;
    const { bounded } = opDef(op).traits;
    // what is known needs no room for more
    return bounded !== undefined && values && count
      ? [trim(values, bounded, Number(count.data[0])), count]
      : results;
  }

  filled(dtype: DType, shape: Shape, value: number | bigint): Tensor | undefined {
    if (shapeProblem(shape) !== undefined) return undefined;
    const count = elementCount(shape);
    if (count > MAX_FILLED || this.#filled + count > BUDGET.filled) return undefined;
    this.#filled += count;
    const type = { dtype, shape };
    if (count <= SMALL) return { type, data: filledArray(dtype, count, value) };
    let data: TensorData | undefined;
    return {
      type,
      get data() {
        data ??= filledArray(dtype, count, value);
        return data;
      },
    };
  }
}

/** The values of a tensor under another type of the same size; lazy data stays lazy. */
const retyped = (type: TensorType, source: Tensor): Tensor => ({
  type,
  get data() {
    return source.data;
  },
});

function filledArray(dtype: DType, count: number, value: number | bigint): TensorData {
  const data = allocate(dtype, count);
  if (Number(value) === 0) return data;
  if (isWide(dtype)) (data as BigInt64Array).fill(toBigInt(value));
  else (data as Float32Array).fill(Number(value));
  return data;
}
