import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { FACTORIZATIONS, type FactorizationName } from '#passes/factorize/family.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
import { renderRewrite, renderRewriteMarkdown } from '../../report/rewrite.ts';
import {
  type RewriteBudget,
  type RewriteLimit,
  type RewriteReport,
  rewriteGraph,
  type Sample,
} from '../../rewrite/index.ts';
import { type BudgetQuantity, QUANTITIES } from '../../rewrite/quantities.ts';
import { VERSION } from '../../version.ts';
import { deviceFor } from '../compiled-sections.ts';
import { printDiagnostics } from '../errors.ts';
import { importSource, openSource } from '../load.ts';
import { modelFiles, modelFormat } from '../model-files.ts';
import { type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import type { PictureTexts } from '../pictures.ts';
import type { CommandContext } from '../program.ts';
import { readSamples } from '../samples.ts';
import { didYouMean } from '../suggest.ts';

export interface RewriteArguments extends DimensionTexts, PictureTexts {
  readonly output?: string;
  readonly skip?: readonly string[];
  readonly also?: readonly string[];
  readonly factorize?: string;
  readonly budget?: string;
  readonly maxError?: string;
  readonly ranks?: 'vbmf';
  readonly minimise?: BudgetQuantity;
  readonly device?: string;
  readonly calibrate?: string;
  readonly samples?: string;
  readonly explain?: boolean;
  readonly report?: string;
  readonly format: 'table' | ReportFormat;
}

const SAMPLES = 512;

export async function runRewrite(
  path: string,
  options: RewriteArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const { output, report: reportFile } = options;
  if (output !== undefined) modelFormat(output);
  const written = reportFile === undefined ? undefined : reportFormat(reportFile);
  const factorize = factorization(options);
  const device = options.device === undefined ? undefined : await deviceFor(options.device);
  const most = options.samples === undefined ? SAMPLES : wholeNumber(options.samples, '--samples');
  const source = await openSource(path);
  const imported = importSource(source, { ...dimensionOptions(options), requireWeights: true });
  const { graph, diagnostics } = imported;
  if (!terminal.quiet) printDiagnostics(diagnostics, terminal);
  const samples =
    options.calibrate === undefined ? [] : await calibration(graph, options.calibrate, options, most);
  const progress = terminal.progress('rewrite');
  const result = await rewriteGraph(graph, {
    name: source.name,
    skip: listed(options.skip),
    also: listed(options.also),
    ...(factorize ? { factorize } : {}),
    ...(device ? { device } : {}),
    samples,
    signal,
    onProgress: (what, fraction) => progress.update(fraction, 1, what),
  }).finally(() => progress.end());
  const { report } = result;
  if (output !== undefined) {
    const model = modelFiles(result.graph, output, {
      metadata: metadataOf(report),
      ...('opset' in imported ? { opset: imported.opset } : {}),
    });
    if (!terminal.quiet) printDiagnostics(model.diagnostics, terminal);
    signal.throwIfAborted();
    for (const [file, content] of model.files) await writeFileAtomic(file, content);
    terminal.note(`wrote ${[...model.files.keys()].join(' and ')}`);
  }
  const shown = { width: terminal.width, colour: terminal.colour, explain: options.explain ?? false };
  if (written && reportFile !== undefined) {
    await writeFileAtomic(reportFile, await render(report, written, shown));
  }
  terminal.print(await render(report, options.format, shown));
}

/** @throws CompileError `usage-invalid` for a network of several inputs, or none */
async function calibration(
  graph: Graph,
  path: string,
  pictures: PictureTexts,
  most: number,
): Promise<readonly Sample[]> {
  const [input, other] = graph.inputs;
  if (!input || other) {
    const message = `the network has ${graph.inputs.length} inputs, and samples are of one`;
    fail('usage-invalid', '--calibrate', message, 'leave it out: errors are those of the weights then');
  }
  return (await readSamples(path, input, pictures, most)).map((tensor) => [tensor]);
}

const listed = (texts: readonly string[] = []): readonly string[] => texts.flatMap((text) => text.split(','));

type Shown = Parameters<typeof renderRewrite>[1];

async function render(
  report: RewriteReport,
  format: RewriteArguments['format'],
  shown: Shown,
): Promise<string> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'md':
      return renderRewriteMarkdown(report, shown);
    case 'html':
      return (await import('../../report/html/rewrite.ts')).renderRewriteHtml(report);
    case 'table':
      return renderRewrite(report, shown);
  }
}

const REPORT_FORMATS = ['json', 'md', 'html'] as const;
type ReportFormat = (typeof REPORT_FORMATS)[number];

function reportFormat(file: string): ReportFormat {
  const extension = /\.([a-z]+)$/i.exec(file)?.[1]?.toLowerCase();
  const format = REPORT_FORMATS.find((known) => known === extension);
  if (format) return format;
  const hint = 'end it in .json, .md or .html';
  return fail('usage-invalid', `--report ${file}`, 'its extension says no format', hint);
}

/** @throws CompileError `usage-invalid` where methods and limit do not go together */
function factorization({
  factorize,
  budget,
  maxError,
  ranks,
  minimise,
  device,
  calibrate,
  samples,
}: RewriteArguments) {
  if (factorize === undefined) {
    const given = {
      '--budget': budget,
      '--max-error': maxError,
      '--ranks': ranks,
      '--minimise': minimise,
      '--calibrate': calibrate,
      '--samples': samples,
    };
    const option = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
    if (option !== undefined) {
      const hint = 'give --factorize all too, or leave this out';
      fail('usage-invalid', option, 'it goes with --factorize', hint);
    }
    return undefined;
  }
  const methods = methodsOf(factorize);
  const limit = ranks ? ranksOf({ budget, maxError, minimise }) : limitOf(budget, maxError, minimise);
  if ('quantity' in limit && limit.quantity === 'time' && device === undefined) {
    fail('usage-invalid', 'time', 'it depends on a device', `give --device too: ${DEVICE_HINT}`);
  }
  return { methods, limit };
}

const DEVICE_HINT = 'a profile that convolith calibrate wrote, or a name such as jetson-nano';

/** @throws CompileError `usage-invalid` beside another limit */
function ranksOf(others: Readonly<Record<string, string | undefined>>): RewriteLimit {
  if (Object.values(others).some((value) => value !== undefined)) {
    fail('usage-invalid', '--ranks', 'it says how far to go by itself', 'give no other limit');
  }
  return { ranks: 'vbmf' };
}

function limitOf(
  budget: string | undefined,
  maxError: string | undefined,
  minimise: BudgetQuantity | undefined,
): RewriteLimit {
  if (budget !== undefined && maxError !== undefined) {
    fail('usage-invalid', '--max-error', 'it goes without --budget', 'give one of the two');
  }
  if (budget !== undefined) {
    if (minimise !== undefined) {
      fail('usage-invalid', '--minimise', 'it goes with --max-error', 'a budget says what it limits');
    }
    return parseRewriteBudget(budget);
  }
  if (maxError === undefined) {
    const hint = 'such as --budget "macs<=50%", or --max-error 0.02';
    fail('usage-invalid', '--factorize', 'a budget says how far to go', hint);
  }
  const error = Number(maxError.trim() === '' ? Number.NaN : maxError);
  if (!(error >= 0 && error < 1)) {
    fail('usage-invalid', `--max-error ${maxError}`, 'it is no part from 0 to 1', 'write 0.02 for 2 %');
  }
  return { error, quantity: minimise ?? 'macs' };
}

function methodsOf(text: string): readonly FactorizationName[] {
  if (text === 'all') return FACTORIZATIONS;
  return text.split(',').map((name) => {
    const known = FACTORIZATIONS.find((method) => method === name.trim());
    if (known) return known;
    const hint = didYouMean(name, FACTORIZATIONS) ?? `there are ${FACTORIZATIONS.join(', ')}, and all`;
    return fail('usage-invalid', `--factorize ${text}`, `"${name}" is no method`, hint);
  });
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };
/** In microseconds. */
const TIMES: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6 };
const LIMIT = /^(macs|params|bytes|time)\s*<=\s*(\d+(?:\.\d+)?)\s*(%|[kMG]?|us|ms|s)$/;

/** `macs<=50%`, `params<=2M`, `bytes<=80%`, `time<=3ms`. @throws CompileError `usage-invalid` */
export function parseRewriteBudget(text: string): RewriteBudget {
  const [, name, number = '', unit = ''] = LIMIT.exec(text.trim()) ?? [];
  const quantity = QUANTITIES.find((q) => q === name);
  const scale = unit === '%' ? 0.01 : (quantity === 'time' ? TIMES : UNITS)[unit];
  const amount = Number(number);
  if (!quantity || scale === undefined || !(amount > 0)) {
    const hint = 'write macs<=50%, params<=2M, bytes<=80% or time<=3ms, in quotes';
    fail('usage-invalid', `--budget ${text}`, 'it is no limit', hint);
  }
  return { quantity, limit: unit === '%' ? { part: amount * scale } : { most: amount * scale } };
}

/** What was done, for those who open the model. */
const metadataOf = (report: RewriteReport): Readonly<Record<string, string>> => ({
  'convolith.version': VERSION,
  'convolith.passes': report.passes.map(({ pass, changes }) => `${pass} ${changes}`).join(', '),
  ...(report.layers
    ? {
        'convolith.factorized': report.layers
          .flatMap(({ layer, form }) => (form ? [`${layer}: ${form.method}, ${form.rank}`] : []))
          .join('; '),
      }
    : {}),
});
