/** Kernels that choose elements by comparing them: the largest of a window and where it was, the first k of a row. */
import type { Loop } from '#compiler/schedule/loops.ts';
import type { DType } from '#ir/types.ts';
import { type Word, wordOf } from '../words.ts';
import type { ConvAxis } from './conv.ts';
import {
  countsOf,
  type KernelFamily,
  Memory,
  offsetOf,
  positions,
  splitIndex,
  stepsOf,
  totalOf,
} from './family.ts';

export interface LargestParams {
  readonly word: Word;
  /** Over batch and channels; steps of [input, output, indices]. */
  readonly planes: readonly Loop[];
  readonly axes: readonly (ConvAxis & {
    /** Words between the indices of two outputs, and what one input position adds to an index. */
    readonly indexStep: number;
    readonly index: number;
  })[];
  readonly indices: boolean;
}

/** The largest element of each window, of equal ones the first, and its flat index in the whole input. */
export const largest: KernelFamily<LargestParams> = {
  arguments: ({ indices }) => ['x', 'y', ...(indices ? ['indices'] : [])],
  label: ({ axes, planes }) =>
    `largest_${axes.map((a) => a.kernel).join('x')}s${axes.map((a) => a.stride).join('x')}_${axes.map((a) => a.output).join('x')}_of_${countsOf(planes).join('x') || '1'}`,
  emit({ word, planes, axes, indices }, regions) {
    const memory = new Memory('u32', regions);
    const counts = [...countsOf(planes), ...axes.map((a) => a.output)];
    const rank = planes.length;
    const names = positions('l', counts.length);
    const at = (pointer: number, steps: readonly number[]) =>
      offsetOf([...stepsOf(planes, pointer), ...steps], names);
    const plane = totalOf(axes.map((a) => a.input));
    const lines = [
      ...splitIndex(counts, 'l'),
      `let plane = (${offsetOf(
        planes.map((_, k) => totalOf(countsOf(planes.slice(k + 1)))),
        names,
      )}) * ${plane};`,
      `let xb = ${at(0, [])};`,
      `var best = ${word === 'f32' ? '0.0' : `${word}(0)`};`,
      'var index = -1;',
    ];
    axes.forEach((a, k) => {
      lines.push(
        `for (var k${k} = 0; k${k} < ${a.kernel}; k${k}++) {`,
        `let i${k} = l${rank + k} * ${a.stride} - ${a.pad} + k${k} * ${a.dilation};`,
        `if (i${k} >= 0 && i${k} < ${a.input}) {`,
      );
    });
    const inside = positions('i', axes.length);
    const step = (of: readonly number[]) => offsetOf(of, inside);
    lines.push(
      `let v = ${memory.load(0, `xb + ${step(axes.map((a) => a.inputStep))}`, word)};`,
      `if (index < 0 || v > best) { best = v; index = ${step(axes.map((a) => a.index))}; }`,
      ...axes.map(() => '}}'),
      memory.store(
        1,
        at(
          1,
          axes.map((a) => a.outputStep),
        ),
        'best',
        word,
      ),
    );
    if (indices)
      lines.push(
        memory.store(
          2,
          at(
            2,
            axes.map((a) => a.indexStep),
          ),
          'plane + max(0, index)',
          'i32',
        ),
      );
    return { access: 'u32', lines, invocations: totalOf(counts) };
  },
};

export interface TopKParams {
  /** Steps of [input, values, indices]. */
  readonly rows: readonly Loop[];
  readonly length: number;
  readonly steps: readonly [input: number, values: number, indices: number];
  readonly dtype: DType;
  readonly k: number;
  readonly largest: boolean;
}

/** An invocation for each element, which stands where as many are before it; of equal ones the first is. */
export const topK: KernelFamily<TopKParams> = {
  arguments: () => ['x', 'values', 'indices'],
  label: ({ k, length, rows }) => `top${k}_of_${length}_in_${countsOf(rows).join('x') || '1'}`,
  emit({ rows, length, steps, dtype, k, largest: descending }, regions) {
    const memory = new Memory('u32', regions);
    const names = positions('l', rows.length + 1);
    const row = (pointer: number) => offsetOf(stepsOf(rows, pointer), names);
    const word = wordOf(dtype);
    const element = (position: string) => `xb + ${position} * ${steps[0]}`;
    /** What is compared; of floats integers in the same order, so that no numbers have a place too. */
    const key = (name: string, position: string) =>
      word === 'f32'
        ? [
            `let ${name}b = ${memory.load(0, element(position), 'i32')};`,
            `let ${name} = select(${name}b ^ ((${name}b >> 31u) & 0x7fffffff), 0, (${name}b & 0x7fffffff) == 0);`,
          ]
        : [`let ${name} = ${memory.load(0, element(position), word)};`];
    const own = `l${rows.length}`;
    const lines = [
      ...splitIndex([...countsOf(rows), length], 'l'),
      `let xb = ${row(0)};`,
      ...key('own', own),
      'var place = 0;',
      `for (var j = 0; j < ${length}; j++) {`,
      ...key('other', 'j'),
      `place += select(0, 1, other ${descending ? '>' : '<'} own || (other == own && j < ${own}));`,
      '}',
      `if (place < ${k}) {`,
      memory.store(1, `${row(1)} + place * ${steps[1]}`, memory.load(0, element(own), 'u32'), 'u32'),
      memory.store(2, `${row(2)} + place * ${steps[2]}`, own, 'i32'),
      '}',
    ];
    return { access: 'u32', lines, invocations: totalOf(countsOf(rows)) * length };
  },
};

export interface UnpoolParams {
  readonly count: number;
  readonly size: number;
}

/** Elements at the flat positions that indices name, those outside lost; everything row-major. */
export const unpool: KernelFamily<UnpoolParams> = {
  arguments: () => ['x', 'indices', 'y'],
  label: ({ count, size }) => `unpool_${count}_in_${size}`,
  emit({ count, size }, regions) {
    const memory = new Memory('u32', regions);
    const lines = [
      `let to = ${memory.load(1, 'i', 'i32')};`,
      `if (to >= 0 && to < ${size}) {`,
      memory.store(2, 'to', memory.load(0, 'i', 'u32'), 'u32'),
      '}',
    ];
    return { access: 'u32', lines, invocations: count };
  },
};
