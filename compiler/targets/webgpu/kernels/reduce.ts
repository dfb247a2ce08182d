/** Reductions, softmax, and sums along an axis: an invocation, or a workgroup, for each result or row. */
import type { Loop } from '#compiler/schedule/loops.ts';
import type { Combine } from '#compiler/schedule/reductions.ts';
import type { Word } from '../words.ts';
import {
  countsOf,
  INFINITY,
  type KernelFamily,
  Memory,
  MINUS_INFINITY,
  offsetOf,
  positions,
  rendered,
  splitIndex,
  stepsOf,
  totalOf,
  WORKGROUP,
} from './family.ts';

export interface ReduceParams {
  readonly combine: Combine;
  readonly word: Word;
  /** Over x0, before the combination and after it. */
  readonly before: string;
  readonly after: string;
  /** Steps of [input, output]. */
  readonly kept: readonly Loop[];
  /** Steps of [input]. */
  readonly reduced: readonly Loop[];
  /** A workgroup for each result, whose invocations divide what it is reduced from. */
  readonly together: boolean;
}

const combined = (combine: Combine, x: string, y: string): string =>
  combine === 'add' ? `${x} + ${y}` : combine === 'mul' ? `${x} * ${y}` : `${combine}(${x}, ${y})`;

const NEUTRAL: Readonly<Record<Combine, Readonly<Record<Word, string>>>> = {
  add: { f32: '0.0', i32: '0', u32: '0u' },
  mul: { f32: '1.0', i32: '1', u32: '1u' },
  max: { f32: MINUS_INFINITY, i32: '(-2147483647 - 1)', u32: '0u' },
  min: { f32: INFINITY, i32: '2147483647', u32: '4294967295u' },
};

/** Statements that combine `value` of the invocations of a workgroup; all of them have the result. */
export const acrossLanes = (scratch: string, value: string, combine: Combine): string[] => [
  `${scratch}[lane] = ${value};`,
  'workgroupBarrier();',
  `for (var half = ${WORKGROUP / 2}; half > 0; half >>= 1u) {`,
  `if (lane < half) { ${scratch}[lane] = ${combined(combine, `${scratch}[lane]`, `${scratch}[lane + half]`)}; }`,
  'workgroupBarrier();',
  '}',
  `${value} = ${scratch}[0];`,
  'workgroupBarrier();',
];

export const scratchOf = (word: Word) => (name: string) => [
  `var<workgroup> scratch_${name}: array<${word}, ${WORKGROUP}>;`,
];

export const reduce: KernelFamily<ReduceParams> = {
  arguments: () => ['x', 'y'],
  label: ({ combine, kept, reduced, together }) =>
    `reduce_${combine}_${countsOf(reduced).join('x') || '1'}_of_${countsOf(kept).join('x') || '1'}${together ? '_wg' : ''}`,
  emit({ combine, word, before, after, kept, reduced, together }, regions) {
    const access = word === 'f32' ? 'f32' : 'u32';
    const memory = new Memory(access, regions);
    const lines = kept.length === 0 ? [] : splitIndex(countsOf(kept), 'l');
    const names = positions('l', kept.length);
    const count = totalOf(countsOf(reduced));
    lines.push(`var s = ${NEUTRAL[combine][word]};`);
    lines.push(`let xb = ${offsetOf(stepsOf(kept, 0), names)};`);
    lines.push(
      together
        ? `for (var j = lane; j < ${count}; j += ${WORKGROUP}) {`
        : `for (var j = 0; j < ${count}; j++) {`,
    );
    if (reduced.length > 0) lines.push(...splitIndex(countsOf(reduced), 'r', 'j'));
    const at = `xb + ${offsetOf(stepsOf(reduced, 0), positions('r', reduced.length))}`;
    const first = rendered(before, word, [memory.load(0, at, word)], 'b');
    lines.push(...first.lines, `s = ${combined(combine, 's', first.value)};`, '}');
    if (together) lines.push(...acrossLanes('SCRATCH', 's', combine));
    const last = rendered(after, word, ['s'], 'a');
    lines.push(...last.lines);
    const store = memory.store(1, offsetOf(stepsOf(kept, 1), names), last.value, word);
    lines.push(together ? `if (lane == 0) { ${store} }` : store);
    return {
      access,
      lines,
      invocations: totalOf(countsOf(kept)),
      helpers: [...first.helpers, ...last.helpers],
      ...(together ? { lanes: WORKGROUP, shared: scratchOf(word) } : {}),
    };
  },
};

export interface SoftmaxParams {
  /** Steps of [input, output]. */
  readonly rows: readonly Loop[];
  readonly length: number;
  readonly inputStep: number;
  readonly outputStep: number;
  readonly together: boolean;
}

export const softmax: KernelFamily<SoftmaxParams> = {
  arguments: () => ['x', 'y'],
  label: ({ rows, length, together }) =>
    `softmax_${length}_of_${countsOf(rows).join('x') || '1'}${together ? '_wg' : ''}`,
  emit({ rows, length, inputStep, outputStep, together }, regions) {
    const memory = new Memory('f32', regions);
    const lines = rows.length === 0 ? [] : splitIndex(countsOf(rows), 'l');
    const names = positions('l', rows.length);
    const loop = together
      ? `for (var j = lane; j < ${length}; j += ${WORKGROUP}) {`
      : `for (var j = 0; j < ${length}; j++) {`;
    lines.push(
      `let xb = ${offsetOf(stepsOf(rows, 0), names)};`,
      `let yb = ${offsetOf(stepsOf(rows, 1), names)};`,
    );
    const x = memory.load(0, `xb + j * ${inputStep}`);
    lines.push(`var m = ${MINUS_INFINITY};`, loop, `m = max(m, ${x});`, '}');
    if (together) lines.push(...acrossLanes('SCRATCH', 'm', 'max'));
    lines.push('var s = 0.0;', loop, `s += exp(${x} - m);`, '}');
    if (together) lines.push(...acrossLanes('SCRATCH', 's', 'add'));
    lines.push(loop, memory.store(1, `yb + j * ${outputStep}`, `exp(${x} - m) / s`), '}');
    return {
      access: 'f32',
      lines,
      invocations: totalOf(countsOf(rows)),
      ...(together ? { lanes: WORKGROUP, shared: scratchOf('f32') } : {}),
    };
  },
};

export interface ScanParams {
  /** Steps of [input, output]. */
  readonly rows: readonly Loop[];
  readonly length: number;
  readonly inputStep: number;
  readonly outputStep: number;
  readonly word: Word;
  readonly combine: 'add' | 'mul';
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

/** CumSum and CumProd. */
export const scan: KernelFamily<ScanParams> = {
  arguments: () => ['x', 'y'],
  label: ({ combine, length, rows }) => `scan_${combine}_${length}_of_${countsOf(rows).join('x') || '1'}`,
  emit({ rows, length, inputStep, outputStep, word, combine, exclusive, reverse }, regions) {
    const access = word === 'f32' ? 'f32' : 'u32';
    const memory = new Memory(access, regions);
    const lines = rows.length === 0 ? [] : splitIndex(countsOf(rows), 'l');
    const names = positions('l', rows.length);
    lines.push(`var s = ${NEUTRAL[combine][word]};`, `for (var k = 0; k < ${length}; k++) {`);
    lines.push(reverse ? `let j = ${length - 1} - k;` : 'let j = k;');
    const at = (pointer: number, step: number) => `${offsetOf(stepsOf(rows, pointer), names)} + j * ${step}`;
    const next = `s = ${combined(combine, 's', memory.load(0, at(0, inputStep), word))};`;
    const store = memory.store(1, at(1, outputStep), 's', word);
    lines.push(...(exclusive ? [store, next] : [next, store]), '}');
    return { access, lines, invocations: totalOf(countsOf(rows)) };
  },
};
