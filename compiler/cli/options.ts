/** Values of options: from the text of the command line to what the library takes. */
import { fail } from '#ir/diagnostics.ts';

export interface DimensionOptions {
  readonly dims: Readonly<Record<string, number>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

/** What the options --dim and --shape collect. */
export interface DimensionTexts {
  readonly dim?: readonly string[];
  readonly shape?: readonly string[];
}

/** For an option that may be given more than once. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

/** @throws CompileError `usage-invalid` */
export function dimensionOptions({ dim = [], shape = [] }: DimensionTexts): DimensionOptions {
  const dims = dim.map((text): [string, number] => {
    const [name, value] = assignment(text, '--dim', 'batch=1');
    if (!/^\d+$/.test(value)) fail('usage-invalid', `--dim ${text}`, `"${value}" is not a size`);
    return [name, Number(value)];
  });
  const shapes = shape.map((text): [string, readonly number[]] => {
    const [name, value] = assignment(text, '--shape', 'image=1x3x224x224');
    const sizes = value.split(/[x×,]/i);
    if (!sizes.every((s) => /^\d+$/.test(s)))
      fail('usage-invalid', `--shape ${text}`, `"${value}" is not a shape`, 'write it like 1x3x224x224');
    return [name, sizes.map(Number)];
  });
  return { dims: Object.fromEntries(dims), shapes: Object.fromEntries(shapes) };
}

/** Splits `NAME=VALUE` at the last equals sign. @throws CompileError `usage-invalid` */
export function assignment(text: string, option: string, example: string): [name: string, value: string] {
  const at = text.lastIndexOf('=');
  if (at <= 0 || at === text.length - 1) {
    fail('usage-invalid', `${option} ${text}`, 'NAME=VALUE is expected', `for example ${option} ${example}`);
  }
  return [text.slice(0, at), text.slice(at + 1)];
}

/** @throws CompileError `usage-invalid` */
export function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    fail('usage-invalid', `${option} ${text}`, 'a whole number is expected');
  return value;
}
