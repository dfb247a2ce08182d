import { CompileError } from '#ir/diagnostics.ts';
import type { PresetName } from '#passes/analysis/presets/index.ts';
import { checkBudget, parseBudget } from '../../audit/budget.ts';
import { audit } from '../../audit/index.ts';
import type { AuditReport } from '../../audit/schema.ts';
import { budgetErrors } from '../../report/budget.ts';
import { plain } from '../../report/format.ts';
import {
  renderCsv,
  renderDot,
  renderGithub,
  renderJson,
  renderMarkdown,
  renderSarif,
  renderTable,
} from '../../report/index.ts';
import { type CompiledSections, withCompiled } from '../compiled-sections.ts';
import { findingChoice } from '../finding-options.ts';
import { FORMATS, type Format, formatOf } from '../formats.ts';
import { importSource, namingFile, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';

export interface AuditArguments extends DimensionTexts, CompiledSections {
  readonly findings?: string;
  readonly ignore?: string;
  readonly format?: Format;
  readonly output?: string;
  readonly depth?: string;
  readonly rows?: string;
  readonly preset?: PresetName;
  readonly full?: boolean;
  readonly budget?: readonly string[];
}

export async function runAudit(
  path: string,
  options: AuditArguments,
  context: CommandContext,
): Promise<void> {
  const format = formatOf(options, FORMATS, 'an audit');
  const { dims, shapes } = dimensionOptions(options);
  const budget = (options.budget ?? []).flatMap((text) => parseBudget(text));
  const source = await openSource(path);
  let missing: readonly string[] = [];
  const specialise = (more: Readonly<Record<string, number>>) => {
    const model = importSource(source, { dims: more, shapes });
    missing = model.missingFiles;
    return model;
  };
  const own = namingFile(source, () =>
    audit(specialise, { dims, name: source.name, ...presetOption(options), ...findingChoice(options) }),
  );
  const whole = await withCompiled(own, () => specialise(dims).graph, options);
  const limits = checkBudget(budget, whole);
  const report: AuditReport = limits.length === 0 ? whole : { ...whole, budget: [...limits] };
  if (missing.length > 0)
    context.terminal.note(`${plain(missing.join(', '))} is not there; an audit does without weights`);
  context.signal.throwIfAborted();
  await writeResult(await render(report, format, path, options, context), options.output, context);
  const exceeded = budgetErrors(limits);
  if (exceeded.length > 0) throw new CompileError([...exceeded]);
}

const presetOption = ({ preset }: AuditArguments): { readonly preset?: PresetName } =>
  preset === undefined ? {} : { preset };

const depthOption = ({ depth }: AuditArguments): { readonly depth?: number } =>
  depth === undefined ? {} : { depth: wholeNumber(depth, '--depth') };

async function render(
  report: AuditReport,
  format: Format,
  path: string,
  options: AuditArguments,
  { terminal }: CommandContext,
): Promise<string> {
  switch (format) {
    case 'json':
      return renderJson(report);
    case 'csv':
      return renderCsv(report);
    case 'md':
      return renderMarkdown(report);
    case 'html':
      return (await import('../../report/html/index.ts')).renderHtml(report);
    case 'sarif':
      return renderSarif(report, path);
    case 'github':
      return renderGithub(report, path);
    case 'dot':
      return renderDot(report, { every: options.full ?? false, ...depthOption(options) });
    case 'svg': {
      const { renderSvg } = await import('../../files/svg.ts');
      return renderSvg(renderDot(report, { every: options.full ?? false, ...depthOption(options) }));
    }
    case 'table':
      return renderTable(report, {
        width: terminal.width,
        colour: terminal.colour && options.output === undefined,
        presets: options.preset !== undefined,
        ...(options.rows === undefined ? {} : { rows: wholeNumber(options.rows, '--rows') }),
        ...depthOption(options),
      });
  }
}
