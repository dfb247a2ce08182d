/** HTML as tagged templates: text is escaped wherever it comes from, and only a template makes markup. */
import { plain } from '../format.ts';

declare const brand: unique symbol;

/** Text that is HTML already. */
export interface Markup {
  readonly text: string;
  readonly [brand]: true;
}

export type Content = string | number | Markup | readonly Content[];

const markup = (text: string): Markup => ({ text }) as Markup;

export function html({ raw }: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return markup(raw.map((part, i) => part + (i < values.length ? write(values[i] ?? '') : '')).join(''));
}

/** Text of this program, such as its style. */
export const trusted = (text: string): Markup => markup(text);

export const NOTHING: Markup = markup('');

function write(content: Content): string {
  if (typeof content === 'object') return 'text' in content ? content.text : content.map(write).join('');
  return plain(String(content)).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
