import { CompileError, fail } from '#ir/diagnostics.ts';
import { presetNamed } from '#passes/analysis/presets/index.ts';
import { type BudgetTerm, parseBudget } from '../../audit/budget.ts';
import { BUDGET_QUANTITIES } from '../../audit/budget-quantities.ts';
import { auditRange, type DimensionRange } from '../../audit/range.ts';
import {
  type RangeReport,
  rangeBudgetErrors,
  renderRange,
  renderRangeCsv,
  renderRangeMarkdown,
} from '../../report/range.ts';
import { formatOf } from '../formats.ts';
import { importSource, openSource } from '../load.ts';
import { assignment, dimensionOptions, isRange, refuseOthers, refuseRepeated } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';
import type { AuditArguments } from './audit.ts';

const MOST_ROWS = 256;
/** Options of `audit` that say something about ranges too. */
const TAKEN = ['dim', 'shape', 'format', 'output', 'budget', 'preset', 'quiet'] as const;

/** `audit` with a range in `--dim`: totals, for each choice of sizes. */
export async function runAuditRange(
  path: string,
  options: AuditArguments,
  context: CommandContext,
): Promise<void> {
  refuseOthers(options, TAKEN, 'totals over a range of sizes', 'give one size to each --dim');
  const texts = options.dim ?? [];
  refuseRepeated(texts, '--dim', 'one range has all sizes, as --dim H=224:512:32');
  const ranges = texts.filter(isRange).map(rangeOf);
  const count = ranges.reduce((n, { sizes }) => n * sizes.length, 1);
  if (count > MOST_ROWS) {
    const hint = `take larger steps: at most ${MOST_ROWS} sizes are audited`;
    fail('usage-invalid', '--dim', `these are ${count} sizes`, hint);
  }
  const format = formatOf(options, ['table', 'json', 'csv', 'md'], 'a range of sizes');
  const budget = (options.budget ?? []).flatMap((text) => parseBudget(text)).map(ofTotals);
  const preset = options.preset && presetNamed(options.preset);
  const { dims, shapes } = dimensionOptions({ ...options, dim: texts.filter((text) => !isRange(text)) });
  const source = await openSource(path);
  const model = (more: Readonly<Record<string, number>>) => importSource(source, { dims: more, shapes });
  const rows = auditRange(model, ranges, dims, { budget, ...(preset ? { preset } : {}) });
  // what is wrong with all of them is an error, which says it at length
  const [first] = rows;
  if (first && rows.every(({ totals }) => totals === null)) model({ ...dims, ...first.dims });
  context.signal.throwIfAborted();
  const names = ranges.map(({ name }) => name);
  const report: RangeReport = { names, rows, ...(preset ? { preset } : {}) };
  const counted = preset ? { preset: { name: preset.name, unit: preset.unit } } : {};
  const text = {
    json: () => `${JSON.stringify({ model: source.name, ...counted, rows }, null, 2)}\n`,
    csv: () => renderRangeCsv(report),
    md: () => renderRangeMarkdown(report),
    table: () => renderRange(report, context.terminal.width),
  }[format]();
  await writeResult(text, options.output, context);
  const exceeded = rangeBudgetErrors(report);
  if (exceeded.length > 0) throw new CompileError([...exceeded]);
}

/** @throws CompileError `usage-invalid` for a limit on what only the audit of one size has */
function ofTotals(term: BudgetTerm): BudgetTerm {
  const entry: { readonly unit: string; readonly needs?: string } = BUDGET_QUANTITIES[term.quantity];
  if (entry.needs === undefined) return term;
  return fail(
    'usage-invalid',
    `--budget ${term.text}`,
    `it needs ${entry.needs}, which ranges of sizes do not take`,
    'give one size to each --dim',
  );
}

function rangeOf(text: string): DimensionRange {
  const [name, value] = assignment(text, '--dim', 'H=224:512:32');
  const wrong = (message: string, hint: string) => fail('usage-invalid', `--dim ${text}`, message, hint);
  const parts = value.split(':');
  if (parts.length > 3 || !parts.every((part) => /^\d+$/.test(part))) {
    return wrong(`"${value}" is no range`, `write FIRST:LAST:STEP, as --dim ${name}=224:512:32`);
  }
  const [first = 0, last = 0, step = 1] = parts.map(Number);
  if (step === 0) return wrong('a step of 0 leads nowhere', `write --dim ${name}=${first}:${last}:1`);
  if (last < first) return wrong('it ends before it begins', `write --dim ${name}=${last}:${first}:${step}`);
  const count = Math.floor((last - first) / step) + 1;
  return { name, sizes: Array.from({ length: Math.min(count, MOST_ROWS + 1) }, (_, i) => first + i * step) };
}
