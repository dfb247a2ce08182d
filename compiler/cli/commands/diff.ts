import { CompileError, diagnostic } from '#ir/diagnostics.ts';
import { checkBudget, parseBudget } from '../../audit/budget.ts';
import { audit, type Dimensions } from '../../audit/index.ts';
import type { AuditReport } from '../../audit/schema.ts';
import { diffAudits } from '../../diff/index.ts';
import { printable } from '../../import/onnx/text.ts';
import { budgetErrors, renderBudget } from '../../report/budget.ts';
import { renderDiff, renderDiffMarkdown } from '../../report/diff.ts';
import { type CompiledSections, withCompiled } from '../compiled-sections.ts';
import { type Format, formatOf } from '../formats.ts';
import { importSource, type NamedSource, namingFile, openSource } from '../load.ts';
import { type DimensionOptions, type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';

export interface DiffArguments extends DimensionTexts, CompiledSections {
  readonly output?: string;
  readonly rows?: string;
  readonly budget?: readonly string[];
  readonly format?: Format;
}

export async function runDiff(
  a: string,
  b: string,
  options: DiffArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  const budget = (options.budget ?? []).flatMap((text) => parseBudget(text, { relative: true }));
  const format = formatOf(options, ['table', 'json', 'md'], 'a comparison');
  const rows = options.rows === undefined ? undefined : wholeNumber(options.rows, '--rows');
  const sources = [await openSource(a), await openSource(b)] as const;
  const [ofFirst, ofSecond] = ownSizes(sources, dimensionOptions(options));
  const first = await audited(sources[0], ofFirst, options);
  context.signal.throwIfAborted();
  const second = await audited(sources[1], ofSecond, options);
  context.signal.throwIfAborted();
  const report = diffAudits(first, second);
  const limits = checkBudget(budget, second, first);
  const width = terminal.width;
  const text = {
    json: () => JSON.stringify(limits.length === 0 ? report : { ...report, budget: limits }, null, 2),
    md: () => renderDiffMarkdown(report, limits),
    table: () =>
      renderDiff(report, { width, ...(rows === undefined ? {} : { rows }) }) +
      (limits.length === 0 ? '' : `\n${renderBudget(limits, width)}\n`),
  }[format]();
  await writeResult(text, options.output, context);
  const exceeded = budgetErrors(limits);
  if (exceeded.length > 0) throw new CompileError([...exceeded]);
}

async function audited(
  source: NamedSource,
  { dims, shapes }: DimensionOptions,
  options: DiffArguments,
): Promise<AuditReport> {
  const specialise = (more: Dimensions) => importSource(source, { dims: more, shapes });
  try {
    const report = namingFile(source, () => audit(specialise, { dims, name: source.name }));
    return await withCompiled(report, () => specialise(dims).graph, options);
  } catch (error) {
    throw ofModel(source, error);
  }
}

/** The error, with the model that it is about: there are two. */
function ofModel({ path }: NamedSource, error: unknown): unknown {
  if (!(error instanceof CompileError)) return error;
  return new CompileError(
    error.diagnostics.map((d) =>
      d.kind === 'usage' && d.code !== 'dimension-invalid' ? d : { ...d, subject: under(path, d.subject) },
    ),
  );
}

const under = (path: string, subject: string): string =>
  subject === '' || subject === path ? path : `${path}: ${subject}`;

/**
 * For each of two models the sizes whose names it has: one that only the other has is none of its business.
 * @throws CompileError `dimension-invalid` for names that neither has
 */
function ownSizes(
  sources: readonly [NamedSource, NamedSource],
  asked: DimensionOptions,
): readonly [DimensionOptions, DimensionOptions] {
  const [first, second] = [unknownNames(sources[0], asked), unknownNames(sources[1], asked)];
  const nowhere = [
    ...first.dims.filter((name) => second.dims.includes(name)),
    ...first.shapes.filter((name) => second.shapes.includes(name)),
  ];
  if (nowhere.length > 0) {
    const message = `neither ${sources[0].path} nor ${sources[1].path} has a dimension or an input of this name`;
    throw new CompileError(nowhere.map((name) => diagnostic('dimension-invalid', printable(name), message)));
  }
  return [known(asked, first), known(asked, second)];
}

interface SizeNames {
  readonly dims: readonly string[];
  readonly shapes: readonly string[];
}

function unknownNames(source: NamedSource, asked: DimensionOptions): SizeNames {
  try {
    if (Object.keys({ ...asked.dims, ...asked.shapes }).length > 0) importSource(source, asked);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const details = error.diagnostics.flatMap(({ detail }) => detail ?? []);
    return {
      dims: details.flatMap((d) => (d.kind === 'unknown-dimension' ? [d.symbol] : [])),
      shapes: details.flatMap((d) => (d.kind === 'unknown-input' ? [d.input] : [])),
    };
  }
  return { dims: [], shapes: [] };
}

function known({ dims, shapes }: DimensionOptions, unknown: SizeNames): DimensionOptions {
  const without = <T>(all: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> =>
    Object.fromEntries(Object.entries(all).filter(([name]) => !names.includes(name)));
  return { dims: without(dims, unknown.dims), shapes: without(shapes, unknown.shapes) };
}
