/** Elementwise expressions over tensors of any layout, with broadcasting; copies and fills are the simplest of them. */
import type { Loop } from '#compiler/schedule/loops.ts';
import type { DType } from '#ir/types.ts';
import type { Domain } from '../wgsl-expr.ts';
import { type Word, wordOf } from '../words.ts';
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

export interface MapParams {
  /** Steps in words of [output, …inputs]. */
  readonly loops: readonly Loop[];
  readonly inputs: readonly Word[];
  /** What the result is stored as; narrow integers are cut to their width. */
  readonly output: DType;
  /** `vec4f`: four elements of the innermost loop at once, which lie side by side in the output. */
  readonly domain: Domain;
  readonly expr: string;
}

const shapeLabel = (params: MapParams): string => {
  const plain = params.expr === 'x0' ? 'copy' : /^[\d.-]+$/.test(params.expr) ? 'fill' : 'map';
  return `${plain}_${countsOf(params.loops).join('x') || '1'}`;
};

export const map: KernelFamily<MapParams> = {
  arguments: ({ inputs }) => ['out', ...inputs.map((_, k) => `in${k}`)],
  label: (params) => `${shapeLabel(params)}${params.domain === 'vec4f' ? '_v4' : ''}`,
  emit(params, regions) {
    const { loops, inputs, output, domain, expr } = params;
    const floats = output === 'f32' && inputs.every((word) => word === 'f32');
    const access = domain === 'vec4f' ? 'vec4f' : floats ? 'f32' : 'u32';
    const memory = new Memory(access, regions);
    const counts = countsOf(loops);
    const inner = counts.length - 1;
    if (domain === 'vec4f') counts[inner] = (counts[inner] ?? 4) / 4;
    const names = positions('l', counts.length);
    if (domain === 'vec4f') names[inner] = `(l${inner} * 4)`;
    const at = (pointer: number) => offsetOf(stepsOf(loops, pointer), names);
    const lines = counts.length === 0 ? [] : splitIndex(counts, 'l');
    const terms = inputs.map((word, k) => {
      if (domain === 'vec4f') {
        const along = (loops[inner]?.steps[k + 1] ?? 0) === 1;
        return along ? memory.load4(k + 1, at(k + 1)) : `vec4f(${memory.load(k + 1, at(k + 1))})`;
      }
      const value = memory.load(k + 1, at(k + 1), word);
      return word === domain ? value : `${domain}(${value})`;
    });
    terms.forEach((term, k) => {
      lines.push(`let x${k} = ${term};`);
    });
    const code = rendered(expr, domain, positions('x', inputs.length), 't');
    lines.push(...code.lines);
    lines.push(
      domain === 'vec4f'
        ? memory.store4(0, at(0), code.value)
        : memory.store(0, at(0), stored(code.value, domain, output), wordOf(output)),
    );
    return { access, lines, invocations: totalOf(counts), helpers: code.helpers };
  },
};

/** A value of a domain as it is kept for an element type. */
export function stored(value: string, domain: Domain, output: DType): string {
  if (output === 'f32') return domain === 'f32' ? value : `f32(${value})`;
  if (output === 'bool')
    return `select(0, 1, ${value} != ${domain === 'f32' ? '0.0' : domain === 'u32' ? '0u' : '0'})`;
  const word = wordOf(output);
  const whole = domain === word ? value : domain === 'f32' ? `${word}(trunc(${value}))` : `${word}(${value})`;
  const bits = NARROW[output];
  if (bits === undefined) return whole;
  if (bits > 0) return `(${whole} & ${2 ** bits - 1})`;
  return `((${whole} << ${32 + bits}u) >> ${32 + bits}u)`;
}

/** Bits of integers that are narrower than a word; negative where they have a sign. */
const NARROW: Readonly<Partial<Record<DType, number>>> = { u8: 8, i8: -8, u16: 16, i16: -16 };
