import { CompileError } from '#ir/diagnostics.ts';
import { checkBudget, parseBudget } from '../../audit/budget.ts';
import { audit } from '../../audit/index.ts';
import type { AuditReport } from '../../audit/schema.ts';
import { diffAudits } from '../../diff/index.ts';
import { budgetErrors, renderBudget } from '../../report/budget.ts';
import { renderDiff, renderDiffMarkdown } from '../../report/diff.ts';
import { type CompiledSections, withCompiled } from '../compiled-sections.ts';
import { importSource, namingFile, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';

export interface DiffArguments extends DimensionTexts, CompiledSections {
  readonly output?: string;
  readonly rows?: string;
  readonly budget?: readonly string[];
  readonly format: 'table' | 'json' | 'md';
}

export async function runDiff(
  a: string,
  b: string,
  options: DiffArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const budget = (options.budget ?? []).flatMap((text) => parseBudget(text, { relative: true }));
  const rows = options.rows === undefined ? undefined : wholeNumber(options.rows, '--rows');
  const first = await audited(a, options);
  context.signal.throwIfAborted();
  const second = await audited(b, options);
  context.signal.throwIfAborted();
  const report = diffAudits(first, second);
  const limits = checkBudget(budget, second, first);
  const width = terminal.width;
  const text = {
    json: () => JSON.stringify(limits.length === 0 ? report : { ...report, budget: limits }, null, 2),
    md: () => renderDiffMarkdown(report),
    table: () =>
      renderDiff(report, { width, ...(rows === undefined ? {} : { rows }) }) +
      (limits.length === 0 ? '' : `\n${renderBudget(limits, width)}\n`),
  }[options.format]();
  await writeResult(text, options.output, context);
  const exceeded = budgetErrors(limits);
  if (exceeded.length > 0) throw new CompileError([...exceeded]);
}

/** One of the two; a size that only the other model has is none of its business. */
async function audited(path: string, options: DiffArguments): Promise<AuditReport> {
  const { dims, shapes } = dimensionOptions(options);
  const source = await openSource(path);
  const specialise = (more: Readonly<Record<string, number>>) => importSource(source, { dims: more, shapes });
  const report = namingFile(source, () => audit(specialise, { dims, name: source.name }));
  return withCompiled(report, () => specialise(dims).graph, options);
}
