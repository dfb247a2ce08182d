/** JSON from files and options; what is wrong in it is told by its place, in the same words on every engine. */
import { CompileError, type DiagnosticCode, diagnostic, fail } from '#ir/diagnostics.ts';
import { repeatedKeys, whereJsonEnds } from '../import/json/locate.ts';

export interface JsonText {
  readonly code: Extract<DiagnosticCode, 'input-invalid' | 'usage-invalid'>;
  /** The file or the option. */
  readonly subject: string;
  /** What to write, where the place in the text says nothing better. */
  readonly form: string;
  /** Is it made of numbers alone, so that nothing stands in quotes? */
  readonly numbers?: boolean;
}

/** @throws CompileError for what is no JSON, and for keys that an object has twice */
export function parseJsonText(text: string, how: JsonText): unknown {
  const own = text.replace(/^\uFEFF/, '');
  let parsed: unknown;
  try {
    parsed = JSON.parse(own);
  } catch {
    malformed(own, how);
  }
  const repeated = repeatedKeys(own);
  if (repeated.length === 0) return parsed;
  throw new CompileError(
    repeated.map(({ path, key, lines }) => {
      const where = lines[0] === lines[1] ? `line ${lines[0]}` : `lines ${lines.join(' and ')}`;
      const hint = 'keep one of them; JSON has each key once, and of two the first is lost';
      const subject = /^[.[]/.test(path) ? how.subject + path : `${how.subject}.${path}`;
      return diagnostic(how.code, subject, `"${key}" stands twice in one object, in ${where}`, hint);
    }),
  );
}

/** @throws CompileError that says where the text stops being JSON */
export function malformed(text: string, { code, subject, form, numbers = false }: JsonText): never {
  const { line, column, hint } = whereJsonEnds(text);
  const rest = (text.split('\n')[line - 1] ?? '').slice(column - 1);
  // some of what is said of descriptions holds for them only
  const other = numbers ? /network|"description"|double quotes/ : /network|"description"/;
  const advice = /^[+-]?(nan|inf)/i.test(rest)
    ? `JSON has neither NaN nor infinities; ${form}`
    : other.test(hint)
      ? form
      : hint;
  return fail(code, subject, `this is not JSON at line ${line}, column ${column}`, advice);
}
