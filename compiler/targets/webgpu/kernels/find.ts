/** Kernels whose result has as many rows as there is to find: they fill the rest with zeros and write the count. */
import type { SuppressParams } from '#compiler/schedule/operands.ts';
import { product } from '#ir/types.ts';
import type { Word } from '../words.ts';
import { type KernelFamily, Memory, MINUS_INFINITY, positions, splitIndex, WORKGROUP } from './family.ts';

export interface NonZeroParams {
  readonly word: Word;
  readonly shape: readonly number[];
}

/** The most invocations of a workgroup that every device has. */
const LANES = 256;

/** Positions of elements that are not 0, by one workgroup: each invocation counts its part, then knows where it begins. */
export const nonZero: KernelFamily<NonZeroParams> = {
  arguments: () => ['x', 'y', 'count'],
  label: ({ shape }) => `nonzero_${shape.join('x') || '1'}`,
  emit({ word, shape }, regions) {
    const memory = new Memory('u32', regions);
    const room = product(shape);
    const bits = memory.load(0, 'e', 'u32');
    const found = `${word === 'f32' ? `(${bits} & 0x7fffffffu)` : bits} != 0u`;
    const names = positions('l', shape.length);
    const part = Math.ceil(room / LANES);
    const own = [
      `for (var e = lane * ${part}; e < min(${room}, (lane + 1) * ${part}); e++) {`,
      `if (${found}) {`,
    ];
    const write = (values: readonly string[]) =>
      values.map((value, axis) => memory.store(1, `${axis * room} + at`, value, 'i32'));
    const lines = [
      'var own = 0;',
      ...own,
      'own++;',
      '}}',
      'SCRATCH[lane] = own;',
      'workgroupBarrier();',
      'var all = 0;',
      'var next = 0;',
      `for (var k = 0; k < ${LANES}; k++) {`,
      'next += select(0, SCRATCH[k], k < lane);',
      'all += SCRATCH[k];',
      '}',
      ...own,
      'let at = next;',
      ...(shape.length > 0 ? splitIndex(shape, 'l', 'e') : []),
      ...write(names),
      'next++;',
      '}}',
      `for (var at = all + lane; at < ${room}; at += ${LANES}) {`,
      ...write(shape.map(() => '0')),
      '}',
      `if (lane == 0) { ${memory.store(2, '0', 'all', 'i32')} }`,
    ];
    return {
      access: 'u32',
      lines,
      invocations: 1,
      lanes: LANES,
      shared: (name) => [`var<workgroup> scratch_${name}: array<i32, ${LANES}>;`],
    };
  },
};

/** Greedy non-maximum suppression, a workgroup for each class: takes the best box that is left, and drops what overlaps it. */
export const suppress: KernelFamily<SuppressParams> = {
  arguments: ({ given }) => ['boxes', 'scores', ...given, 'left', 'kept', 'counts'],
  label: ({ batches, classes, boxes, most }) => `suppress_${batches}x${classes}_${most}_of_${boxes}`,
  emit({ batches, classes, boxes, most, center, given }, regions) {
    const memory = new Memory('u32', regions);
    const limit = (name: 'most' | 'iou' | 'score', absent: string) => {
      const k = given.indexOf(name);
      return k < 0 ? absent : memory.load(2 + k, '0', name === 'most' ? 'i32' : 'f32');
    };
    const [left, kept, counts] = [0, 1, 2].map((k) => 2 + given.length + k) as [number, number, number];
    const own = `for (var j = lane; j < ${boxes}; j += ${WORKGROUP}) {`;
    const isLeft = memory.load(left, `sb + j`, 'i32');
    const score = memory.load(1, 'sb + j');
    const lines = [
      `let bb = i / ${classes} * ${boxes * 4};`,
      `let sb = i * ${boxes};`,
      `if (lane == 0) { SCRATCH_most = clamp(${limit('most', '0')}, 0, ${most}); }`,
      'let most = workgroupUniformLoad(&SCRATCH_most);',
      `let limit = ${limit('iou', '0.0')};`,
      `let least = ${limit('score', MINUS_INFINITY)};`,
      own,
      memory.store(left, 'sb + j', `select(0, 1, ${score} > least)`, 'i32'),
      '}',
      'var taken = 0;',
      'for (var p = 0; p < most; p++) {',
      'var best = -1;',
      'var top = 0.0;',
      own,
      `if (${isLeft} != 0) {`,
      `let s = ${score};`,
      'if (best < 0 || s > top) { best = j; top = s; }',
      '}}',
      ...bestOfLanes(),
      'let chosen = workgroupUniformLoad(&SCRATCH_chosen);',
      'if (chosen < 0) { break; }',
      `if (lane == 0) { ${memory.store(kept, `i * ${most} + p`, 'chosen', 'i32')} }`,
      'taken = p + 1;',
      ...box(memory, 'chosen', 'a', center),
      own,
      `if (${isLeft} != 0) {`,
      ...box(memory, 'j', 'b', center),
      'let side = max(vec2f(), min(ah, bh) - max(al, bl));',
      'let both = side.x * side.y;',
      'let joint = aa + ba - both;',
      'let over = both > 0.0 && joint > 0.0 && both / joint > limit;',
      `if (over || j == chosen) { ${memory.store(left, 'sb + j', '0', 'i32')} }`,
      '}}}',
      `if (lane == 0) { ${memory.store(counts, 'i', 'taken', 'i32')} }`,
    ];
    return {
      access: 'u32',
      lines,
      invocations: batches * classes,
      lanes: WORKGROUP,
      shared: (name) => [
        `var<workgroup> scratch_${name}_most: i32;`,
        `var<workgroup> scratch_${name}_chosen: i32;`,
        `var<workgroup> scratch_${name}_score: array<f32, ${WORKGROUP}>;`,
        `var<workgroup> scratch_${name}_index: array<i32, ${WORKGROUP}>;`,
      ],
    };
  },
};

/** The best box of all invocations, of equal ones the first; −1 where there is none. */
const bestOfLanes = (): string[] => [
  'SCRATCH_score[lane] = top;',
  'SCRATCH_index[lane] = best;',
  'workgroupBarrier();',
  `for (var half = ${WORKGROUP / 2}; half > 0; half >>= 1u) {`,
  'if (lane < half) {',
  'let s = SCRATCH_score[lane + half];',
  'let k = SCRATCH_index[lane + half];',
  'let t = SCRATCH_score[lane];',
  'let n = SCRATCH_index[lane];',
  'if (k >= 0 && (n < 0 || s > t || (s == t && k < n))) { SCRATCH_score[lane] = s; SCRATCH_index[lane] = k; }',
  '}',
  'workgroupBarrier();',
  '}',
  'if (lane == 0) { SCRATCH_chosen = SCRATCH_index[0]; }',
];

/** The corners ⟨name⟩l and ⟨name⟩h of a box, rows before columns, and its area ⟨name⟩a. */
function box(memory: Memory, index: string, name: string, center: boolean): string[] {
  const [a, b, c, d] = [0, 1, 2, 3].map((k) => memory.load(0, `bb + ${index} * 4 + ${k}`));
  const ends = center
    ? [
        `let ${name}m = vec2f(${b}, ${a});`,
        `let ${name}e = vec2f(${d}, ${c}) / 2.0;`,
        `let ${name}l = ${name}m - ${name}e;`,
        `let ${name}h = ${name}m + ${name}e;`,
      ]
    : [
        `let ${name}m = vec2f(${a}, ${b});`,
        `let ${name}e = vec2f(${c}, ${d});`,
        `let ${name}l = min(${name}m, ${name}e);`,
        `let ${name}h = max(${name}m, ${name}e);`,
      ];
  return [...ends, `let ${name}a = (${name}h.x - ${name}l.x) * (${name}h.y - ${name}l.y);`];
}

export interface SuppressedParams {
  readonly batches: number;
  readonly classes: number;
  readonly most: number;
}

/** The boxes of all classes one after the other, as rows of batch, class and box: an invocation for each row. */
export const suppressed: KernelFamily<SuppressedParams> = {
  arguments: () => ['kept', 'counts', 'y', 'count'],
  label: ({ batches, classes, most }) => `suppressed_${batches}x${classes}x${most}`,
  emit({ batches, classes, most }, regions) {
    const memory = new Memory('u32', regions);
    const groups = batches * classes;
    const row = [`g / ${classes}`, `g % ${classes}`, 'box'];
    const lines = [
      'var g = 0;',
      'var rest = i;',
      `for (; g < ${groups}; g++) {`,
      `let own = ${memory.load(1, 'g', 'i32')};`,
      'if (rest < own) { break; }',
      'rest -= own;',
      '}',
      `let found = g < ${groups};`,
      `let box = ${memory.load(0, `min(g, ${groups - 1}) * ${most} + min(rest, ${most - 1})`, 'i32')};`,
      ...row.map((text, k) =>
        memory.store(2, `i * ${row.length} + ${k}`, `select(0, ${text}, found)`, 'i32'),
      ),
      'if (i == 0) {',
      'var all = 0;',
      `for (var k = 0; k < ${groups}; k++) { all += ${memory.load(1, 'k', 'i32')}; }`,
      memory.store(3, '0', 'all', 'i32'),
      '}',
    ];
    return { access: 'u32', lines, invocations: groups * most };
  },
};
