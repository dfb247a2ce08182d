/** Recurrent layers: a workgroup for each batch element runs all its steps, with the state in its own memory. */
import type { HelperName } from '../wgsl-expr.ts';
import { type KernelFamily, Memory, rendered, WORKGROUP } from './family.ts';

/** Expressions of the gates' sums and the states before, as ir/ops/recurrent.ts gives them. */
export type RecurrentCell =
  | {
      readonly kind: 'lstm';
      readonly cell: string;
      readonly output: string;
      readonly peepholes: boolean;
      readonly initialC: boolean;
    }
  | { readonly kind: 'gru'; readonly reset: string; readonly state: string }
  | { readonly kind: 'linearGru'; readonly linear: string }
  | { readonly kind: 'rnn'; readonly next: string };

export interface RecurrentParams {
  readonly cell: RecurrentCell;
  readonly hidden: number;
  /** Steps of each batch element. */
  readonly lengths: readonly number[];
  readonly reversed: boolean;
  /** Words of the output between steps. */
  readonly outputStep: number;
  readonly initialH: boolean;
}

export const GATES = { lstm: 4, gru: 3, linearGru: 3, rnn: 1 } as const satisfies Record<
  RecurrentCell['kind'],
  number
>;

/** What every device lets the invocations of a workgroup share. */
const WORKGROUP_FLOATS = 16384 / 4;
/** The state before and after a step, and the cell state or the one that a gate has reset. */
const STATES = 3;
/** The most units whose states a workgroup holds, in arrays that begin at multiples of four. */
export const MOST_UNITS = 4 * Math.floor(WORKGROUP_FLOATS / STATES / 4);

/** The most invocations of a workgroup that every device has. */
const MOST_LANES = 256;

const lanesOf = (hidden: number): number => Math.min(MOST_LANES, Math.ceil(hidden / WORKGROUP) * WORKGROUP);

const BEFORE = (k: string) => `SCRATCH_h[before + ${k}]`;
const AFTER = (k: string) => `SCRATCH_h[after + ${k}]`;
/** The cell state, or the state that a gate has reset. */
const OTHER = (k: string) => `SCRATCH_c[${k}]`;

const argumentsOf = ({ cell, initialH }: RecurrentParams): string[] => [
  'sums',
  'r',
  ...(cell.kind === 'linearGru' ? ['bias'] : []),
  ...(initialH ? ['h0'] : []),
  ...(cell.kind === 'lstm' && cell.initialC ? ['c0'] : []),
  ...(cell.kind === 'lstm' && cell.peepholes ? ['p'] : []),
  'y',
  'lastH',
  ...(cell.kind === 'lstm' ? ['lastC'] : []),
];

/** Of one direction. Sums of the input's part of each gate, and weights of the state: rows of all units of each gate in turn. */
export const recurrent: KernelFamily<RecurrentParams> = {
  arguments: argumentsOf,
  label: ({ cell, hidden, lengths, reversed }) =>
    `${cell.kind}_${hidden}_t${Math.max(0, ...lengths)}x${lengths.length}${reversed ? '_reversed' : ''}`,
  emit(params, regions) {
    const { cell, hidden, lengths, reversed, initialH } = params;
    const memory = new Memory('f32', regions);
    const names = argumentsOf(params);
    const at = (name: string) => names.indexOf(name);
    const load = (name: string, offset: string) => memory.load(at(name), offset);
    const code = new StepCode(params, load);
    const lanes = lanesOf(hidden);
    const units = `for (var j = lane; j < ${hidden}; j += ${lanes}) {`;
    const own = `i * ${hidden} + j`;
    const lstm = cell.kind === 'lstm';
    const [length] = lengths;
    const together = lengths.every((other) => other === length);
    const lines = [
      units,
      `SCRATCH_h[j] = ${initialH ? load('h0', own) : '0.0'};`,
      ...(lstm ? [`${OTHER('j')} = ${cell.initialC ? load('c0', own) : '0.0'};`] : []),
      '}',
      `let length = ${together ? length : 'SCRATCH_lengths[i]'};`,
      'for (var s = 0; s < length; s++) {',
      // the states before and after change places
      `let before = (s & 1) * ${hidden};`,
      `let after = ${hidden} - before;`,
      `let t = ${reversed ? 'length - 1 - s' : 's'};`,
      `let row = (t * ${lengths.length} + i) * ${GATES[cell.kind] * hidden};`,
      'workgroupBarrier();',
      ...code
        .phases()
        .flatMap((phase, k) => [...(k > 0 ? ['workgroupBarrier();'] : []), units, ...phase, '}']),
      units,
      memory.store(at('y'), `t * ${params.outputStep} + ${own}`, AFTER('j')),
      '}}',
      units,
      memory.store(at('lastH'), own, `SCRATCH_h[(length & 1) * ${hidden} + j]`),
      ...(lstm ? [memory.store(at('lastC'), own, OTHER('j'))] : []),
      '}',
    ];
    const other = lstm || cell.kind === 'gru';
    return {
      access: 'f32',
      lines,
      invocations: lengths.length,
      lanes,
      helpers: code.helpers,
      shared: (name) => [
        `var<workgroup> scratch_${name}_h: array<f32, ${2 * hidden}>;`,
        ...(other ? [`var<workgroup> scratch_${name}_c: array<f32, ${hidden}>;`] : []),
        ...(together
          ? []
          : [`const scratch_${name}_lengths = array<i32, ${lengths.length}>(${lengths.join(', ')});`]),
      ],
    };
  },
};

/** One step of unit `j`, in phases between which all units wait for each other. */
class StepCode {
  readonly #params: RecurrentParams;
  readonly #load: (name: string, offset: string) => string;
  readonly helpers = new Set<HelperName>();

  constructor(params: RecurrentParams, load: (name: string, offset: string) => string) {
    this.#params = params;
    this.#load = load;
  }

  phases(): string[][] {
    const { cell } = this.#params;
    switch (cell.kind) {
      case 'rnn':
        return [[...this.#sums([0], BEFORE), ...this.#expression(cell.next, ['g0'], AFTER('j'), 'n')]];
      case 'lstm': {
        const p = cell.peepholes ? [0, 1, 2].map((k) => this.#of('p', k)) : [];
        const state = ['g0', 'g2', 'g3', OTHER('j'), p[0] ?? '', p[2] ?? ''];
        const output = ['g1', OTHER('j'), p[1] ?? ''];
        return [
          [
            ...this.#sums([0, 1, 2, 3], BEFORE),
            ...this.#expression(cell.cell, state, OTHER('j'), 'c'),
            ...this.#expression(cell.output, output, AFTER('j'), 'o'),
          ],
        ];
      }
      case 'gru':
        return [
          [
            ...this.#sums([0, 1], BEFORE),
            ...this.#expression(cell.reset, ['g1', BEFORE('j')], OTHER('j'), 'r'),
            // until the next phase
            `${AFTER('j')} = g0;`,
          ],
          [
            ...this.#sums([2], OTHER),
            ...this.#expression(cell.state, [AFTER('j'), 'g2', BEFORE('j')], AFTER('j'), 'n'),
          ],
        ];
      case 'linearGru':
        return [
          [
            ...this.#sums([0, 1], BEFORE, [this.#of('bias', 2)]),
            `let own = ${this.#of('sums', 2, 'row + ')};`,
            ...this.#expression(cell.linear, ['g0', 'g1', 'own', 'g2', BEFORE('j')], AFTER('j'), 'n'),
          ],
        ];
    }
  }

  /** What stands for unit j in row `k` of those of all units. */
  #of(name: string, k: number, before = ''): string {
    return this.#load(name, `${before}${k * this.#params.hidden} + j`);
  }

  /** g⟨k⟩ of each gate: the input's part plus the product with a state. Those after the last begin with other terms. */
  #sums(gates: readonly number[], state: (k: string) => string, others: readonly string[] = []): string[] {
    const { hidden, cell } = this.#params;
    const begin = [...gates.map((g) => this.#of('sums', g, 'row + ')), ...others];
    const first = gates[0] ?? 0;
    const width = GATES[cell.kind] * hidden;
    return [
      ...begin.map((value, k) => `var g${first + k} = ${value};`),
      `for (var k = 0; k < ${hidden}; k++) {`,
      `let x = ${state('k')};`,
      ...begin.map((_, k) => {
        const weight = this.#load('r', `k * ${width} + ${(first + k) * hidden} + j`);
        return `g${first + k} = fma(x, ${weight}, g${first + k});`;
      }),
      '}',
    ];
  }

  #expression(expr: string, args: readonly string[], target: string, prefix: string): string[] {
    const { lines, value, helpers } = rendered(expr, 'f32', args, prefix);
    for (const helper of helpers) this.helpers.add(helper);
    return [...lines, `${target} = ${value};`];
  }
}
