import { importJson, type JsonImportOptions } from '#compiler/import/json/index.ts';
import { CompileError, type Diagnostic } from '#ir/diagnostics.ts';

/** What importing says, errors or warnings: `code subject: message`, and the hint on a second line. */
export const told = (network: string | object, options: JsonImportOptions = {}): readonly string[] =>
  diagnosticsOf(network, options).map(
    ({ code, subject, message, hint }) => `${code} ${subject}: ${message}\n${hint}`,
  );

function diagnosticsOf(network: string | object, options: JsonImportOptions): readonly Diagnostic[] {
  try {
    return importJson(network, options).diagnostics;
  } catch (error) {
    if (error instanceof CompileError) return error.diagnostics;
    throw error;
  }
}
