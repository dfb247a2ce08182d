/** Products of matrices that are both computed, of few rows with weights, and of integers. */
import type { Loop } from '#compiler/schedule/loops.ts';
import {
  countsOf,
  type KernelEpilogue,
  type KernelFamily,
  Memory,
  offsetOf,
  positions,
  rendered,
  splitIndex,
  stepsOf,
  totalOf,
  WORKGROUP,
  weightedArguments,
} from './family.ts';

export interface MatMulParams {
  /** Over all but the columns; steps of [A, B, output, …operands]. */
  readonly rows: readonly Loop[];
  /** Steps of [B, output, …operands]. */
  readonly columns: Loop;
  readonly depth: number;
  /** Words per step along the depth. */
  readonly aStep: number;
  readonly bStep: number;
  readonly expr: string;
  readonly operands: number;
}

/** Every element by itself. */
export const matmul: KernelFamily<MatMulParams> = {
  arguments: ({ operands }) => ['a', 'b', 'y', ...Array.from({ length: operands }, (_, k) => `e${k}`)],
  label: ({ rows, columns, depth }) => `matmul_${countsOf(rows).join('x') || '1'}x${columns.count}_k${depth}`,
  emit({ rows, columns, depth, aStep, bStep, expr, operands }, regions) {
    const memory = new Memory('f32', regions);
    const counts = [...countsOf(rows), columns.count];
    const lines = splitIndex(counts, 'l');
    const names = positions('l', counts.length);
    const at = (pointer: number, column: number) => offsetOf([...stepsOf(rows, pointer), column], names);
    lines.push(`let ab = ${at(0, 0)};`, `let bb = ${at(1, columns.steps[0] ?? 0)};`, 'var s = 0.0;');
    lines.push(`for (var k = 0; k < ${depth}; k++) {`);
    lines.push(
      `s = fma(${memory.load(0, `ab + k * ${aStep}`)}, ${memory.load(1, `bb + k * ${bStep}`)}, s);`,
      '}',
    );
    const terms = Array.from({ length: operands }, (_, k) =>
      memory.load(3 + k, at(3 + k, columns.steps[2 + k] ?? 0)),
    );
    const code = rendered(expr, 'f32', ['s', ...terms], 't');
    lines.push(...code.lines, memory.store(2, at(2, columns.steps[1] ?? 0), code.value));
    return { access: 'f32', lines, invocations: totalOf(counts), helpers: code.helpers };
  },
};

export interface DenseParams {
  readonly rows: number;
  readonly rowSteps: readonly [input: number, output: number];
  readonly depth: number;
  readonly inputStep: number;
  readonly columns: number;
  readonly outputStep: number;
  readonly bias: boolean;
  readonly epilogue: KernelEpilogue | null;
}

/** Few rows: a workgroup for four columns of one, whose invocations divide the depth. */
export const dense: KernelFamily<DenseParams> = {
  arguments: weightedArguments,
  label: ({ rows, depth, columns }) => `dense_${rows}x${columns}_k${depth}_wg`,
  emit({ rows, rowSteps, depth, inputStep, columns, outputStep, bias, epilogue }, regions) {
    const memory = new Memory('f32', regions);
    const quads = Math.ceil(columns / 4);
    const y = bias ? 3 : 2;
    const lines = splitIndex([rows, quads], 'l');
    lines.push('var s = vec4f();', `for (var k = lane; k < ${depth}; k += ${WORKGROUP}) {`);
    const x = memory.load(0, `l0 * ${rowSteps[0]} + k * ${inputStep}`);
    lines.push(`s = fma(vec4f(${x}), ${memory.load4(1, `(k * ${quads} + l1) * 4`)}, s);`, '}');
    lines.push(
      'SCRATCH[lane] = s;',
      'workgroupBarrier();',
      `for (var half = ${WORKGROUP / 2}; half > 0; half >>= 1u) {`,
      'if (lane < half) { SCRATCH[lane] += SCRATCH[lane + half]; }',
      'workgroupBarrier();',
      '}',
      `if (lane < 4 && l1 * 4 + lane < ${columns}) {`,
      'let o = l1 * 4 + lane;',
      `let v = SCRATCH[0][lane]${bias ? ` + ${memory.load(2, 'o')}` : ''};`,
    );
    const terms = (epilogue?.strides ?? []).map((strides, k) =>
      memory.load(y + 1 + k, offsetOf([strides[0] ?? 0, strides[1] ?? 0], ['l0', 'o'])),
    );
    const code = rendered(epilogue?.expr ?? 'x0', 'f32', ['v', ...terms], 't');
    lines.push(...code.lines, memory.store(y, `l0 * ${rowSteps[1]} + o * ${outputStep}`, code.value), '}');
    return {
      access: 'f32',
      lines,
      invocations: rows * quads,
      helpers: code.helpers,
      lanes: WORKGROUP,
      shared: (name) => [`var<workgroup> scratch_${name}: array<vec4f, ${WORKGROUP}>;`],
    };
  },
};

export interface ContractParams {
  /** Over the result; steps of [a, b, output]. */
  readonly kept: readonly Loop[];
  /** Steps of [a, b]. */
  readonly reduced: readonly Loop[];
}

/** Sums of products of integers, every element by itself; they wrap around. */
export const contract: KernelFamily<ContractParams> = {
  arguments: () => ['a', 'b', 'y'],
  label: ({ kept, reduced }) =>
    `contract_${countsOf(reduced).join('x') || '1'}_of_${countsOf(kept).join('x') || '1'}`,
  emit({ kept, reduced }, regions) {
    const memory = new Memory('u32', regions);
    const names = positions('l', kept.length);
    const taps = positions('r', reduced.length);
    const at = (pointer: number) => offsetOf(stepsOf(kept, pointer), names);
    const term = (pointer: number, base: string) =>
      memory.load(pointer, `${base} + ${offsetOf(stepsOf(reduced, pointer), taps)}`, 'i32');
    const lines = [
      ...(kept.length > 0 ? splitIndex(countsOf(kept), 'l') : []),
      `let ab = ${at(0)};`,
      `let bb = ${at(1)};`,
      'var s = 0;',
      `for (var j = 0; j < ${totalOf(countsOf(reduced))}; j++) {`,
      ...(reduced.length > 0 ? splitIndex(countsOf(reduced), 'r', 'j') : []),
      `s += ${term(0, 'ab')} * ${term(1, 'bb')};`,
      '}',
      memory.store(2, at(2), 's', 'i32'),
    ];
    return { access: 'u32', lines, invocations: totalOf(countsOf(kept)) };
  },
};
