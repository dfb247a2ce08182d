/** The MACs in terms of sizes that a model leaves open, as people write it: `4.09 G · N`. */
import { short } from '#passes/analysis/figures.ts';
import type { AuditReport } from '../audit/schema.ts';
import { plain } from './format.ts';

/** A letter for each open dimension that the formula or a figure depends on, and what it stands for. */
export interface OpenSize {
  readonly letter: string;
  readonly symbol: string;
  readonly size: number;
  readonly example: boolean;
}

/** By the number of spatial axes. */
const SPATIAL: Readonly<Record<number, readonly string[]>> = { 1: ['L'], 2: ['H', 'W'], 3: ['D', 'H', 'W'] };

/** Those that nobody gave: N for a batch, H and W along the axes of an image. */
export function openSizes({ dims, inputs }: Pick<AuditReport, 'dims' | 'inputs'>): readonly OpenSize[] {
  const taken = new Set<string>();
  return dims
    .filter(({ source }) => source !== 'given')
    .map(({ symbol, size, source }): OpenSize => {
      const input = inputs.find(({ symbols }) => symbols.includes(symbol));
      const axis = input?.symbols.indexOf(symbol) ?? 0;
      const usual = axis === 0 ? 'N' : (SPATIAL[(input?.shape.length ?? 0) - 2]?.[axis - 2] ?? 'S');
      const wanted = /^[A-Z]$/.test(symbol) ? symbol : usual;
      let letter = wanted;
      for (let n = 2; taken.has(letter); n++) letter = `${wanted}${n}`;
      taken.add(letter);
      return { letter, symbol, size, example: source === 'example' };
    });
}

/** `N = batch = 1, H = 224 (an example)`; empty where all sizes were given. */
export const sizesText = (sizes: readonly OpenSize[]): string =>
  sizes
    .map(({ letter, symbol, size, example }) => {
      const name = letter === symbol ? letter : `${letter} = ${plain(symbol)}`;
      return `${name} = ${size}${example ? ' (an example)' : ''}`;
    })
    .join(', ');

/** Rounded to three digits; undefined where there is none. */
export function formula(
  { macsTerms }: AuditReport['totals'],
  sizes: readonly OpenSize[],
): string | undefined {
  if (!macsTerms || macsTerms.length === 0) return undefined;
  const letters = new Map(sizes.map(({ symbol, letter }) => [symbol, letter]));
  return macsTerms
    .map(({ coefficient, powers }, i) => {
      const factors = Object.entries(powers).flatMap(([symbol, power]) =>
        new Array<string>(power).fill(letters.get(symbol) ?? plain(symbol)),
      );
      const size = Math.abs(coefficient);
      const number = Number.isInteger(size) || size >= 1000 ? short(size) : size.toPrecision(3);
      const parts = size === 1 && factors.length > 0 ? factors : [number, ...factors];
      // a term stays on one line
      const text = parts.join(' · ').replaceAll(' ', '\u00a0');
      if (i === 0) return coefficient < 0 ? `−${text}` : text;
      return `${coefficient < 0 ? '−' : '+'} ${text}`;
    })
    .join(' ');
}
