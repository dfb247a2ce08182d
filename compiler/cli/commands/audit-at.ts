import { fail } from '#ir/diagnostics.ts';
import { parsePosition, seenFrom } from '../../audit/at.ts';
import { renderSeen } from '../../report/at.ts';
import { importSource, namingFile, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';

export interface AuditAtArguments extends DimensionTexts {
  readonly at: string;
  readonly format?: string;
  readonly output?: string;
}

/** `audit --at`: as a table, or as JSON where that is asked for. */
export async function runAuditAt(
  path: string,
  options: AuditAtArguments,
  context: CommandContext,
): Promise<void> {
  const { at, format, output } = options;
  refuseOthers(options);
  const json = format === undefined ? /\.json$/i.test(output ?? '') : format === 'json';
  if (format !== undefined && format !== 'json' && format !== 'table') {
    fail('usage-invalid', '--at', `what it gives has no form of ${format}`, 'it is a table or json');
  }
  const { layer, position } = parsePosition(at);
  const { dims, shapes } = dimensionOptions(options);
  const source = await openSource(path);
  const seen = namingFile(source, () =>
    seenFrom(importSource(source, { dims, shapes }).graph, layer, position),
  );
  const text = json
    ? `${JSON.stringify(seen, null, 2)}\n`
    : renderSeen(seen, { width: context.terminal.width });
  await writeResult(text, output, context);
}

/** Options of `audit` that say something here too. */
const TAKEN: readonly string[] = ['at', 'format', 'output', 'dim', 'shape', 'quiet'];

/** @throws CompileError `usage-invalid` for an option that would be without effect */
function refuseOthers(options: AuditAtArguments): void {
  const other = Object.keys(options).find((key) => !TAKEN.includes(key));
  if (other === undefined) return;
  const name = `--${other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  fail('usage-invalid', name, 'it says nothing about what a position sees', `leave out ${name} or --at`);
}
