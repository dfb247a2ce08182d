import { parsePosition, seenFrom } from '../../audit/at.ts';
import { renderSeen } from '../../report/at.ts';
import { formatOf } from '../formats.ts';
import { importSource, namingFile, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions, refuseOthers } from '../options.ts';
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
  const { at, output } = options;
  refuseOthers(options, TAKEN, 'what a position sees', 'leave out --at');
  const format = formatOf(options, ['table', 'json'], 'what a position sees');
  const { layer, position } = parsePosition(at);
  const { dims, shapes } = dimensionOptions(options);
  const source = await openSource(path);
  const seen = namingFile(source, () =>
    seenFrom(importSource(source, { dims, shapes }).graph, layer, position),
  );
  const text =
    format === 'json'
      ? `${JSON.stringify(seen, null, 2)}\n`
      : renderSeen(seen, { width: context.terminal.width });
  await writeResult(text, output, context);
}

/** Options of `audit` that say something here too. */
const TAKEN = ['at', 'format', 'output', 'dim', 'shape', 'quiet'] as const;
