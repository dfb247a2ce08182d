/** What every kernel family has in common: how a kernel reaches memory, and what it is made of. */
import type { Loop } from '#compiler/schedule/loops.ts';
import type { Storage } from '#compiler/schedule/view.ts';
import { type Expr, parseExpr } from '#ir/expr.ts';
import { USUAL_WORKGROUP } from '../tiles.ts';
import { type Domain, type HelperName, WgslExpr } from '../wgsl-expr.ts';
import type { Word } from '../words.ts';

/**
 * Where each argument of a call lies. A kernel reaches one memory for all that is computed, and one for constants; in a program
 * in half precision there is one more for halves, and constants are halves or words.
 */
export type Region = Storage['kind'] | 'constantHalves' | 'constantWords';

/** How a kernel sees memory: as floats, as vectors of four, or as words of any type. */
export type Access = 'f32' | 'vec4f' | 'u32';

/** The code of a kernel without its frame. */
export interface KernelCode {
  readonly access: Access;
  /** Statements of the function; `i` is the index of the invocation, an i32 below `invocations`. */
  readonly lines: readonly string[];
  readonly invocations: number;
  /**
   * Invocations of a workgroup that work together on one `i`, with `lane` their index in it; 1 where each works alone.
   * A kernel of several must not return early.
   */
  readonly lanes?: number;
  /** Invocations of a workgroup that work alone, where they are not as many as usual. */
  readonly workgroup?: number;
  /** Declarations beside the function, with names that end in the kernel's. */
  readonly shared?: (name: string) => readonly string[];
  readonly helpers?: Iterable<HelperName>;
}

export interface KernelFamily<P extends object> {
  /** Names of the address arguments, in call order. */
  arguments(params: P): readonly string[];
  /** A short name derived from the parameters. */
  label(params: P): string;
  emit(params: P, memory: readonly Region[]): KernelCode;
}

/** The most arguments of a call: their offsets, and a zero, stand in 64 words. */
export const MOST_ARGUMENTS = 60;

/** Invocations of a workgroup, unless a kernel says otherwise. */
export const WORKGROUP = USUAL_WORKGROUP;

/** Loads and stores of a kernel's arguments, at offsets in elements. Whatever floats are kept as, a kernel computes in f32. */
export class Memory {
  readonly #access: Access;
  readonly #regions: readonly Region[];

  constructor(access: Access, regions: readonly Region[]) {
    this.#access = access;
    this.#regions = regions;
  }

  /** One element of argument `k` as a value of type `word`. */
  load(k: number, offset: string, word: Word = 'f32'): string {
    const at = this.#at(k, offset);
    switch (this.#regions[k]) {
      case 'halves':
        return fromFloat(this.#wide ? `f32(hv[(${at}) >> 2u][(${at}) & 3])` : `f32(hf[${at}])`, word);
      case 'constantHalves':
        return fromFloat(`constant(${at})`, word);
      case 'constantWords':
        return fromBits(`constant_word(${at})`, word);
      default: {
        const name = this.#name(k);
        if (this.#wide) return `${name}v[(${at}) >> 2u][(${at}) & 3]`;
        return this.#access === 'f32' ? `${name}f[${at}]` : fromBits(`${name}u[${at}]`, word);
      }
    }
  }

  /** Four elements side by side, from a multiple of four. */
  load4(k: number, offset: string): string {
    const at = this.#at(k, offset);
    const region = this.#regions[k];
    if (region === 'constantHalves') return `constant4(${at})`;
    if (!this.#wide || region === 'constantWords') return this.#four(k, offset, 1);
    return region === 'halves' ? `vec4f(hv[(${at}) >> 2u])` : `${this.#name(k)}v[(${at}) >> 2u]`;
  }

  /** Four elements that lie `step` apart; those side by side from a multiple of four where the access is by vectors. */
  loadQuad(k: number, offset: string, step: number): string {
    if (step === 0) return `vec4f(${this.load(k, offset)})`;
    return step === 1 && this.#wide ? this.load4(k, offset) : this.#four(k, offset, step);
  }

  store(k: number, offset: string, value: string, word: Word = 'f32'): string {
    const at = this.#at(k, offset);
    if (this.#regions[k] === 'halves')
      return `hf[${at}] = elem(${word === 'f32' ? value : `bitcast<f32>(${value})`});`;
    if (this.#access === 'f32') return `af[${at}] = ${value};`;
    return `au[${at}] = ${word === 'u32' ? value : `bitcast<u32>(${value})`};`;
  }

  store4(k: number, offset: string, value: string): string {
    const at = `(${this.#at(k, offset)}) >> 2u`;
    return this.#regions[k] === 'halves' ? `hv[${at}] = elem4(${value});` : `av[${at}] = ${value};`;
  }

  get #wide(): boolean {
    return this.#access === 'vec4f';
  }

  #four(k: number, offset: string, step: number): string {
    const lanes = [0, 1, 2, 3].map((lane) => this.load(k, `${offset} + ${lane * step}`));
    return `vec4f(${lanes.join(', ')})`;
  }

  #name(k: number): string {
    return this.#regions[k] === 'constant' ? 'c' : 'a';
  }

  #at(k: number, offset: string): string {
    return offset === '0' ? `p${k}` : `p${k} + ${offset}`;
  }
}

const fromFloat = (value: string, word: Word): string =>
  word === 'f32' ? value : `bitcast<${word}>(${value})`;
const fromBits = (bits: string, word: Word): string => (word === 'u32' ? bits : `bitcast<${word}>(${bits})`);

/** Splits `i` into the positions of loops, outermost first; names `prefix0` …; what is left of `i` becomes `rest`. */
export function splitIndex(counts: readonly number[], prefix: string, index = 'i'): string[] {
  const lines: string[] = [];
  let rest = index;
  for (let k = counts.length - 1; k >= 0; k--) {
    if (k === 0) {
      lines.push(`let ${prefix}0 = ${rest};`);
      break;
    }
    lines.push(`let ${prefix}${k} = ${rest} % ${counts[k]};`);
    lines.push(`let ${prefix}_${k} = ${rest} / ${counts[k]};`);
    rest = `${prefix}_${k}`;
  }
  return lines;
}

/** Σ position·step, as text. */
export function offsetOf(steps: readonly number[], names: readonly string[]): string {
  const terms = steps.flatMap((step, k) => {
    if (step === 0) return [];
    const name = names[k] ?? '0';
    return [step === 1 ? name : `${name} * ${step < 0 ? `(${step})` : step}`];
  });
  return terms.length === 0 ? '0' : terms.join(' + ');
}

export const positions = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, k) => `${prefix}${k}`);

/** The steps of one pointer over loops. */
export const stepsOf = (loops: readonly Loop[], pointer: number): number[] =>
  loops.map((loop) => loop.steps[pointer] ?? 0);

export const countsOf = (loops: readonly Loop[]): number[] => loops.map((loop) => loop.count);
export const totalOf = (counts: readonly number[]): number => counts.reduce((a, b) => a * b, 1);

/** An epilogue in kernel parameters: the expression as text, and the steps of its operands. */
export interface KernelEpilogue {
  readonly expr: string;
  /** Per operand, words per position of [N, C, spatial…] of the result. */
  readonly strides: readonly (readonly number[])[];
}

/** The statements of an expression over terms, and the term of its value. */
export function rendered(
  expr: string | Expr,
  domain: Domain,
  args: readonly string[],
  prefix: string,
): { readonly lines: readonly string[]; readonly value: string; readonly helpers: Iterable<HelperName> } {
  const code = new WgslExpr(domain, prefix);
  const value = code.render(typeof expr === 'string' ? parseExpr(expr) : expr, args);
  return { lines: code.lines, value, helpers: code.helpers };
}

/** Infinities, which WGSL has no literal for: a word of the call, which is 0, hides the bits from constant folding. */
export const INFINITY = 'bitcast<f32>(at[15].w | 0x7f800000u)';
export const MINUS_INFINITY = 'bitcast<f32>(at[15].w | 0xff800000u)';

/** Arguments of a kernel with weights. */
export const weightedArguments = ({
  bias,
  epilogue,
}: {
  readonly bias: boolean;
  readonly epilogue: KernelEpilogue | null;
}): string[] => ['x', 'w', ...(bias ? ['b'] : []), 'y', ...(epilogue?.strides ?? []).map((_, k) => `e${k}`)];
