/** Files of measured figures: JSON that a schema describes, and what is said where it does not fit. */
import type { z } from 'zod';
import { fail } from '#ir/diagnostics.ts';
import { Problems, type ReportOptions } from '../import/json/problems.ts';

class FileProblems extends Problems {
  readonly #hint: string;

  constructor(hint: string) {
    super();
    this.#hint = hint;
  }

  override report(path: string, message: string, options: ReportOptions): void {
    super.report(path, message, { ...options, code: 'usage-invalid', hint: this.#hint });
  }
}

/** @throws CompileError `usage-invalid` with everything that is wrong, by its path */
export function parseMeasured<T>(schema: z.ZodType<T>, value: unknown, subject: string, hint: string): T {
  const problems = new FileProblems(hint);
  const parsed = problems.check(schema, value, subject);
  problems.throwAny();
  return parsed ?? fail('usage-invalid', subject, 'this does not fit', hint);
}

/** @throws CompileError `usage-invalid` for what is not JSON */
export function parseJson(text: string, subject: string, hint: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail('usage-invalid', subject, `this is not JSON: ${reason}`, hint);
  }
}
