import { CATALOGUE, type DiagnosticKind } from './diagnostic-catalogue.ts';

export type { DiagnosticKind } from './diagnostic-catalogue.ts';

export type DiagnosticCode = keyof typeof CATALOGUE;

/** Codes whose entry has no hint for all places. */
type HintedByPlace = {
  [C in DiagnosticCode]: (typeof CATALOGUE)[C] extends { readonly hintBy: 'place' } ? C : never;
}[DiagnosticCode];
/** Codes that need no hint from the place. */
export type HintedCode = Exclude<DiagnosticCode, HintedByPlace>;
type Hint<C extends DiagnosticCode> = [C] extends [HintedCode] ? [hint?: string | undefined] : [hint: string];

/** What a diagnostic is about, for code: names as the model has them, where messages have them printable. */
export type DiagnosticDetail =
  | { readonly kind: 'open-dimension'; readonly axis: number; readonly symbol: string }
  | { readonly kind: 'unknown-dimension'; readonly symbol: string }
  | { readonly kind: 'unknown-input'; readonly input: string };

/** Something to tell the user. `subject` is the place: a node, a value, a file, an option. */
export interface Diagnostic {
  readonly code: DiagnosticCode;
  readonly kind: DiagnosticKind;
  readonly subject: string;
  readonly message: string;
  readonly hint?: string;
  readonly detail?: DiagnosticDetail;
}

/** Makes a diagnostic whose kind and default hint come from the catalogue. */
export function diagnostic<C extends DiagnosticCode>(
  code: C,
  subject: string,
  message: string,
  ...[hint]: Hint<C>
): Diagnostic {
  const entry: { kind: DiagnosticKind; hint?: string } = CATALOGUE[code];
  const advice = hint ?? entry.hint;
  return { code, kind: entry.kind, subject, message, ...(advice === undefined ? {} : { hint: advice }) };
}

export const isError = (d: Diagnostic): boolean => d.kind !== 'warning' && d.kind !== 'note';

/** One line: `error[onnx-truncated] model.onnx: …`, with the hint on a second. */
export const formatDiagnostic = (d: Diagnostic): string => {
  const level = isError(d) ? 'error' : d.kind;
  const head = `${level}[${d.code}]${d.subject ? ` ${d.subject}` : ''}: ${d.message}`;
  return d.hint ? `${head}\n  hint: ${d.hint}` : head;
};

/** The user's or the model's error: all that was found, never only the first. */
export class CompileError extends Error {
  override readonly name = 'CompileError';
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(formatDiagnostic).join('\n'));
    this.diagnostics = diagnostics;
  }
}

/** Throws a CompileError of one diagnostic. */
export function fail<C extends DiagnosticCode>(
  code: C,
  subject: string,
  message: string,
  ...hint: Hint<C>
): never {
  throw new CompileError([diagnostic(code, subject, message, ...hint)]);
}

/** Our bug. */
export class InternalError extends Error {
  override readonly name = 'InternalError';
}
