import { CompileError, type Diagnostic, diagnostic } from '#ir/diagnostics.ts';

/** @throws CompileError `usage-invalid` for every option that is not among those known */
export function rejectUnknownOptions(options: object, known: readonly string[], where: string): void {
  const unknown = Object.keys(options).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  throw new CompileError(
    unknown.map(
      (key): Diagnostic =>
        diagnostic('usage-invalid', key, `${where} has no such option; it has ${known.join(', ')}`),
    ),
  );
}
