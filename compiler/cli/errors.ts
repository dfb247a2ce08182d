/** The one way from an error to what the user reads and to the exit code. */
import { CompileError, type Diagnostic, type DiagnosticKind, diagnostic, isError } from '#ir/diagnostics.ts';
import { systemReason } from '../files/read-file.ts';
import { plain } from '../report/format.ts';
import type { Terminal } from './terminal.ts';

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  invalid: 3,
  unsupported: 4,
  bug: 70,
  interrupted: 130,
} as const;

/** Where diagnostics of several kinds come together, the first of these decides. */
const BY_KIND: readonly (readonly [DiagnosticKind, number])[] = [
  ['bug', EXIT.bug],
  ['invalid', EXIT.invalid],
  ['usage', EXIT.usage],
  ['unsupported', EXIT.unsupported],
  ['failed', EXIT.failed],
];

/** More are counted, not printed. */
const MOST_PRINTED = 20;

export function exitCodeOf(diagnostics: readonly Diagnostic[]): number {
  const kinds = new Set(diagnostics.map((d) => d.kind));
  return BY_KIND.find(([kind]) => kinds.has(kind))?.[1] ?? EXIT.bug;
}

/** Prints what went wrong to stderr. @returns the exit code of the process */
export function reportError(error: unknown, terminal: Terminal): number {
  if (isInterruption(error)) {
    terminal.error('interrupted');
    return EXIT.interrupted;
  }
  const known = error instanceof CompileError ? error.diagnostics : systemError(error);
  const errors = known.filter(isError);
  if (errors.length === 0) return reportBug(error, terminal);
  printDiagnostics(errors, terminal);
  return exitCodeOf(errors);
}

/** One line each, with the hint on a second; at most so many. */
export function printDiagnostics(diagnostics: readonly Diagnostic[], terminal: Terminal): void {
  const c = terminal.errorColours;
  for (const d of diagnostics.slice(0, MOST_PRINTED)) {
    const level = isError(d) ? c.red('error') : c.cyan(d.kind);
    const subject = d.subject === '' ? '' : ` ${c.bold(plain(d.subject))}`;
    terminal.error(`${level}${c.dim(`[${d.code}]`)}${subject}: ${plainLines(d.message)}`);
    if (d.hint !== undefined) terminal.error(c.dim(`  hint: ${plainLines(d.hint)}`));
  }
  const more = diagnostics.length - MOST_PRINTED;
  if (more > 0) terminal.error(`… and ${more} more`);
}

const plainLines = (text: string): string => text.split('\n').map(plain).join('\n');

/** Node's own errors with a system call are about files. */
function systemError(error: unknown): readonly Diagnostic[] {
  if (!(error instanceof Error) || !('syscall' in error)) return [];
  const path = 'path' in error && typeof error.path === 'string' ? error.path : '';
  return [diagnostic('file-unreadable', path, systemReason(error))];
}

export const isInterruption = (error: unknown): boolean =>
  error instanceof Error && error.name === 'AbortError';

function reportBug(error: unknown, terminal: Terminal): number {
  const c = terminal.errorColours;
  const message = error instanceof Error ? error.message : String(error);
  terminal.error(`${c.red('internal error')}: ${plainLines(message)}`);
  if (process.env.CONVOLITH_DEBUG === '1' && error instanceof Error) terminal.error(c.dim(error.stack ?? ''));
  else {
    terminal.error(
      'This is a bug in convolith: please report it, with the command and, if you can, the model.\n' +
        'With CONVOLITH_DEBUG=1 in the environment the message has a stack trace for the report.',
    );
  }
  return EXIT.bug;
}
