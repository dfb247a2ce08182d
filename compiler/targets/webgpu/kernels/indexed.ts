/** Elements whose places are data: Resize by tables, Gather and its kin, scatters, the largest along an axis. */
import type { Loop } from '#compiler/schedule/loops.ts';
import type { DType } from '#ir/types.ts';
import type { Word } from '../words.ts';
import {
  countsOf,
  type KernelFamily,
  Memory,
  offsetOf,
  positions,
  rendered,
  splitIndex,
  stepsOf,
  totalOf,
} from './family.ts';
import { stored } from './map.ts';

export interface ResizeParams {
  /** Axes that keep their size; steps of [input, output, …operands]. */
  readonly kept: readonly Loop[];
  /** Axes with a table of [input offset in words, weight] for each tap of each position; steps of [output, …operands]. */
  readonly axes: readonly {
    readonly count: number;
    readonly taps: number;
    readonly steps: readonly number[];
  }[];
  readonly expr: string;
  readonly operands: number;
  /** Of integers each position reads one. */
  readonly word: Word;
}

export const resize: KernelFamily<ResizeParams> = {
  arguments: ({ axes, operands }) => [
    'x',
    ...axes.map((_, k) => `table${k}`),
    'y',
    ...Array.from({ length: operands }, (_, k) => `e${k}`),
  ],
  label: ({ axes }) => `resize_${axes.map((a) => `${a.count}t${a.taps}`).join('_') || 'none'}`,
  emit({ kept, axes, expr, operands, word }, regions) {
    const memory = new Memory('u32', regions);
    const y = 1 + axes.length;
    const counts = [...axes.map((a) => a.count), ...countsOf(kept)];
    const lines = splitIndex(counts, 'l');
    const names = positions('l', counts.length);
    const at = (pointer: number) =>
      offsetOf([...axes.map((a) => a.steps[pointer - 1] ?? 0), ...stepsOf(kept, pointer)], names);
    lines.push(
      `let xb = ${offsetOf([...axes.map(() => 0), ...stepsOf(kept, 0)], names)};`,
      `var s = ${word}();`,
    );
    axes.forEach(({ taps }, k) => {
      lines.push(`for (var k${k} = 0; k${k} < ${taps}; k${k}++) {`);
      lines.push(`let r${k} = (l${k} * ${taps} + k${k}) * 2;`);
    });
    const place = axes.map((_, k) => memory.load(1 + k, `r${k}`, 'i32'));
    const weight = axes.map((_, k) => memory.load(1 + k, `r${k} + 1`));
    const value = memory.load(0, ['xb', ...place].join(' + '), word);
    // positions of fewer taps have others of weight 0, where an infinity would become no number
    lines.push(
      `let w = ${weight.join(' * ') || '1.0'};`,
      word === 'f32' ? `s += select(0.0, ${value} * w, w != 0.0);` : `s = select(s, ${value}, w != 0.0);`,
    );
    lines.push(...axes.map(() => '}'));
    const terms = Array.from({ length: operands }, (_, k) => memory.load(y + 1 + k, at(2 + k)));
    const code = rendered(expr, word, ['s', ...terms], 't');
    lines.push(...code.lines, memory.store(y, at(1), code.value, word));
    return { access: 'u32', lines, invocations: totalOf(counts), helpers: code.helpers };
  },
};

export interface GatherParams {
  /** Over the result; steps of [data, indices, output]. */
  readonly loops: readonly Loop[];
  /** The places that an index tuple names: sizes and words per position of the data, and words between its indices. */
  readonly named: readonly { readonly size: number; readonly step: number }[];
  readonly indexStep: number;
}

/** Gather, GatherElements, GatherND: an index below 0 counts from the end, one outside reads position 0. */
export const gather: KernelFamily<GatherParams> = {
  arguments: () => ['x', 'indices', 'y'],
  label: ({ loops, named }) => `gather${named.length}_${countsOf(loops).join('x') || '1'}`,
  emit({ loops, named, indexStep }, regions) {
    const memory = new Memory('u32', regions);
    const lines = loops.length === 0 ? [] : splitIndex(countsOf(loops), 'l');
    const names = positions('l', loops.length);
    lines.push(`let q = ${offsetOf(stepsOf(loops, 1), names)};`);
    const places = named.map(({ size, step }, k) => {
      lines.push(...indexLines(`j${k}`, memory.load(1, `q + ${k * indexStep}`, 'i32'), size));
      return `j${k} * ${step}`;
    });
    const at = [offsetOf(stepsOf(loops, 0), names), ...places].join(' + ');
    lines.push(memory.store(2, offsetOf(stepsOf(loops, 2), names), memory.load(0, at, 'u32'), 'u32'));
    return { access: 'u32', lines, invocations: totalOf(countsOf(loops)) };
  },
};

const indexLines = (name: string, index: string, size: number): string[] => [
  `let ${name}_ = ${index};`,
  `let ${name}s = select(${name}_, ${name}_ + ${size}, ${name}_ < 0);`,
  `let ${name} = select(0, ${name}s, ${name}s >= 0 && ${name}s < ${size});`,
];

export interface ScatterParams {
  /** Over the updates, in order; steps of [output, indices, updates]. */
  readonly loops: readonly Loop[];
  readonly named: GatherParams['named'];
  readonly indexStep: number;
  readonly word: Word;
  /** What the result is stored as. */
  readonly output: DType;
  /** Over x0, the element that is there, and x1, the update. */
  readonly expr: string;
}

/** Writes updates one after the other, since several may name one place: by a single invocation. */
export const scatter: KernelFamily<ScatterParams> = {
  arguments: () => ['y', 'indices', 'updates'],
  label: ({ loops, named }) => `scatter${named.length}_${countsOf(loops).join('x') || '1'}`,
  emit({ loops, named, indexStep, word, output, expr }, regions) {
    const memory = new Memory('u32', regions);
    const lines = [`for (var j = 0; j < ${totalOf(countsOf(loops))}; j++) {`];
    if (loops.length > 0) lines.push(...splitIndex(countsOf(loops), 'l', 'j'));
    const names = positions('l', loops.length);
    lines.push(`let q = ${offsetOf(stepsOf(loops, 1), names)};`);
    const places = named.map(({ size, step }, k) => {
      lines.push(...indexLines(`j${k}`, memory.load(1, `q + ${k * indexStep}`, 'i32'), size));
      return `j${k} * ${step}`;
    });
    lines.push(`let o = ${[offsetOf(stepsOf(loops, 0), names), ...places].join(' + ')};`);
    const terms = [memory.load(0, 'o', word), memory.load(2, offsetOf(stepsOf(loops, 2), names), word)];
    const code = rendered(expr, word, terms, 't');
    lines.push(...code.lines, memory.store(0, 'o', stored(code.value, word, output), word), '}');
    return { access: 'u32', lines, invocations: 1, helpers: code.helpers };
  },
};

export interface ArgParams {
  /** Steps of [input, output]. */
  readonly rows: readonly Loop[];
  readonly length: number;
  readonly step: number;
  readonly word: Word;
  readonly best: 'max' | 'min';
  readonly last: boolean;
}

/** ArgMax and ArgMin. */
export const argBest: KernelFamily<ArgParams> = {
  arguments: () => ['x', 'y'],
  label: ({ rows, length, best }) => `arg${best}_${length}_of_${countsOf(rows).join('x') || '1'}`,
  emit({ rows, length, step, word, best, last }, regions) {
    const memory = new Memory('u32', regions);
    const lines = rows.length === 0 ? [] : splitIndex(countsOf(rows), 'l');
    const names = positions('l', rows.length);
    const base = offsetOf(stepsOf(rows, 0), names);
    lines.push(
      `var b = ${memory.load(0, base, word)};`,
      'var n = 0;',
      `for (var j = 1; j < ${length}; j++) {`,
    );
    lines.push(`let v = ${memory.load(0, `${base} + j * ${step}`, word)};`);
    const compare = `${best === 'max' ? '>' : '<'}${last ? '=' : ''}`;
    lines.push(`if (v ${compare} b) { b = v; n = j; }`, '}');
    lines.push(memory.store(1, offsetOf(stepsOf(rows, 1), names), 'n', 'i32'));
    return { access: 'u32', lines, invocations: totalOf(countsOf(rows)) };
  },
};
