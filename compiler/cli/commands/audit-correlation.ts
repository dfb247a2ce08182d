import { fail } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import {
  type FilterCorrelation,
  ResponseCorrelation,
  type StandardConv,
} from '#passes/analysis/filter-correlation.ts';
import { removeDead } from '#passes/edit.ts';
import { type CorrelationReport, correlate, correlatedLayer } from '../../audit/correlation.ts';
import { correlationAsJson, renderCorrelation } from '../../report/correlation.ts';
import { importSource, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';
import { readSamples } from '../samples.ts';

export interface AuditCorrelationArguments extends DimensionTexts {
  readonly correlation: string;
  readonly calibrate?: string;
  readonly preprocess?: string;
  readonly format?: string;
  readonly output?: string;
}

/** `audit --correlation`: a table, JSON, or the heat map as a page or a picture. */
export async function runAuditCorrelation(
  path: string,
  options: AuditCorrelationArguments,
  context: CommandContext,
): Promise<void> {
  refuseOthers(options);
  const format = formatOf(options);
  const { dims, shapes } = dimensionOptions(options);
  const source = await openSource(path);
  const { graph } = importSource(source, { dims, shapes, requireWeights: options.calibrate !== undefined });
  const conv = correlatedLayer(graph, options.correlation);
  const responses =
    options.calibrate === undefined
      ? undefined
      : await responsesTo(options.calibrate, graph, conv, options, context);
  context.signal.throwIfAborted();
  const report = correlate(conv, responses);
  await writeResult(await render(report, format, context), options.output, context);
}

/** What the layer makes of samples, by the reference; the graph is cut behind the layer. */
async function responsesTo(
  path: string,
  graph: Graph,
  conv: StandardConv,
  { preprocess }: AuditCorrelationArguments,
  { terminal, signal }: CommandContext,
): Promise<FilterCorrelation> {
  const correlation = new ResponseCorrelation(conv);
  const [read, made] = correlation.values;
  graph.setOutputs([{ name: made.name, value: made }]);
  for (const node of [...graph.nodes].reverse()) removeDead(graph, node);
  const [input, other] = graph.inputs.filter((value) => graph.isUsed(value));
  if (!input || other) {
    const hint = 'leave out --calibrate: the weights alone have a correlation too';
    return fail('usage-invalid', '--calibrate', 'the layer depends on several inputs, or on none', hint);
  }
  const samples = await readSamples(path, input, preprocess === undefined ? {} : { preprocess });
  const progress = terminal.progress('reference');
  try {
    for (const [i, sample] of samples.entries()) {
      signal.throwIfAborted();
      const values = evaluateGraph(graph, new Map([[input.name, sample]]), {
        signal,
        keep: new Set([read]),
        onNode: (_, done, total) => progress.update(i * total + done, samples.length * total),
      });
      const [x, y] = [values.get(read), values.get(made)];
      if (x && y) correlation.add(x, y);
    }
  } finally {
    progress.end();
  }
  return correlation.correlation();
}

const FORMATS = ['table', 'json', 'html', 'svg'] as const;
type Format = (typeof FORMATS)[number];

const BY_EXTENSION: Readonly<Record<string, Format>> = {
  txt: 'table',
  json: 'json',
  html: 'html',
  htm: 'html',
  svg: 'svg',
};

function formatOf({ format, output }: AuditCorrelationArguments): Format {
  const extension = /\.(\w+)$/.exec(output ?? '')?.[1]?.toLowerCase();
  const asked = format ?? (extension === undefined ? 'table' : BY_EXTENSION[extension]);
  const known = FORMATS.find((name) => name === asked);
  if (known) return known;
  const subject = format === undefined ? `-o ${output}` : `--format ${format}`;
  return fail('usage-invalid', subject, 'a correlation has no such form', `there is ${FORMATS.join(', ')}`);
}

async function render(
  report: CorrelationReport,
  format: Format,
  { terminal }: CommandContext,
): Promise<string> {
  switch (format) {
    case 'table':
      return renderCorrelation(report, { width: terminal.width });
    case 'json':
      return correlationAsJson(report);
    case 'html':
      return (await import('../../report/html/correlation.ts')).renderCorrelationHtml(report);
    case 'svg':
      return (await import('../../report/html/correlation.ts')).renderCorrelationSvg(report);
  }
}

/** Options of `audit` that say something here too. */
const TAKEN: readonly string[] = [
  'correlation',
  'calibrate',
  'preprocess',
  'format',
  'output',
  'dim',
  'shape',
  'quiet',
];

/** @throws CompileError `usage-invalid` for an option that would be without effect */
function refuseOthers(options: AuditCorrelationArguments): void {
  const other = Object.keys(options).find((key) => !TAKEN.includes(key));
  if (other !== undefined) {
    const name = `--${other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    fail('usage-invalid', name, 'it says nothing about a correlation', `leave out ${name} or --correlation`);
  }
  if (options.preprocess !== undefined && options.calibrate === undefined) {
    const hint = 'give pictures with --calibrate FOLDER, or leave this out';
    fail('usage-invalid', '--preprocess', 'it is about pictures, and none are given', hint);
  }
}
