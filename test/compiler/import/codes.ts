import { CompileError, type Diagnostic } from '#ir/diagnostics.ts';

/** The diagnostics of the CompileError that `run` throws; none where it succeeds. Other errors pass through. */
export function diagnosticsOf(run: () => unknown): readonly Diagnostic[] {
  try {
    run();
  } catch (error) {
    if (error instanceof CompileError) return error.diagnostics;
    throw error;
  }
  return [];
}

export const codesOf = (run: () => unknown): readonly string[] => diagnosticsOf(run).map((d) => d.code);
