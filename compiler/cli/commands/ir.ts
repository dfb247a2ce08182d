import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { printGraph } from '#ir/text.ts';
import { type PassTrace, passNames, runPipeline } from '#passes/pass.ts';
import { PIPELINES, type PipelineName } from '#passes/pipeline.ts';
import { type Column, renderColumns } from '../../report/columns.ts';
import { short } from '../../report/format.ts';
import { printDiagnostics } from '../errors.ts';
import { importSource, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions } from '../options.ts';
import { writeResult } from '../output.ts';
import type { CommandContext } from '../program.ts';
import { didYouMean } from '../suggest.ts';

export interface IrArguments extends DimensionTexts {
  readonly after?: string;
  readonly passes?: boolean;
  readonly full?: boolean;
  readonly output?: string;
}

/** Constants of more elements are printed as `elided`. */
const MOST_ELEMENTS = 16;
const NAMES = Object.keys(PIPELINES) as PipelineName[];

export async function runIr(
  path: string | undefined,
  options: IrArguments,
  context: CommandContext,
): Promise<void> {
  const until = options.after === undefined ? undefined : findPass(options.after);
  if (path === undefined) {
    if (!options.passes)
      fail('usage-invalid', 'ir', 'a model is missing', 'convolith ir MODEL, or convolith ir --passes');
    await writeResult(passList(context), options.output, context);
    return;
  }
  const source = await openSource(path);
  const { graph, diagnostics } = importSource(source, dimensionOptions(options));
  if (!context.terminal.quiet) printDiagnostics(diagnostics, context.terminal);
  const traces = runUntil(graph, options.passes ? (until ?? { pipeline: 'lower' }) : until, context.signal);
  const text = options.passes
    ? traceTable(traces, context)
    : printGraph(graph, options.full ? {} : { elideAbove: MOST_ELEMENTS });
  await writeResult(text, options.output, context);
}

/** A place in the pipelines: the end of one, or a pass of it. */
interface Place {
  readonly pipeline: PipelineName;
  readonly pass?: string;
}

/** `graph`, `lower`, a pass, or `lower:pass` where both have it. @throws CompileError `usage-invalid` */
function findPass(given: string): Place {
  const [first = '', second] = given.split(':');
  const named = NAMES.find((name) => name === first);
  if (named && second === undefined) return { pipeline: named };
  const pass = second ?? first;
  const pipeline = NAMES.find(
    (name) => (second === undefined || name === first) && passNames(PIPELINES[name]).includes(pass),
  );
  if (pipeline) return { pipeline, pass };
  const all = [...NAMES, ...NAMES.flatMap((name) => passNames(PIPELINES[name]))];
  const hint = didYouMean(given, [...new Set(all)]) ?? 'convolith ir --passes lists them';
  return fail('usage-invalid', `--after ${given}`, 'there is no such pass', hint);
}

interface PipelineTrace extends PassTrace {
  readonly pipeline: PipelineName;
}

/** Runs the pipelines in order, to a place. */
function runUntil(graph: Graph, place: Place | undefined, signal: AbortSignal): PipelineTrace[] {
  const traces: PipelineTrace[] = [];
  if (!place) return traces;
  for (const pipeline of NAMES) {
    const last = pipeline === place.pipeline;
    const until = last && place.pass !== undefined ? { until: place.pass } : {};
    for (const trace of runPipeline(graph, PIPELINES[pipeline], { signal, ...until }))
      traces.push({ ...trace, pipeline });
    if (last) break;
  }
  return traces;
}

function passList({ terminal }: CommandContext): string {
  const c = terminal.colours;
  const blocks = NAMES.map((name) => {
    const passes = PIPELINES[name].steps.flatMap((step) => ('repeat' in step ? step.repeat : [step]));
    const summaries = new Map(passes.map(({ pass }) => [pass.name, pass.summary]));
    const rows = [...summaries].map(([pass, summary]) => [`  ${pass}`, summary]);
    return { title: `${c.bold(name)}: ${ABOUT[name]}`, rows };
  });
  const width = Math.max(...blocks.flatMap(({ rows }) => rows.map(([pass = '']) => pass.length)));
  const columns: Column[] = [
    { title: '', align: 'left', paint: c.cyan },
    { title: '', align: 'left' },
  ];
  return blocks
    .map(({ title, rows }) => {
      const even = rows.map(([pass = '', summary = '']) => [pass.padEnd(width), summary]);
      return `${title}\n${renderColumns(columns, even, { width: terminal.width, header: false })}`;
    })
    .join('\n\n');
}

const ABOUT: Readonly<Record<PipelineName, string>> = {
  graph: 'exact rewrites that ONNX can express',
  lower: 'then, for kernels only',
};

/** What each run of each pass did; runs without changes are left out. */
function traceTable(traces: readonly PipelineTrace[], { terminal }: CommandContext): string {
  const c = terminal.colours;
  const columns: Column[] = [
    { title: 'pipeline', align: 'left', paint: c.dim },
    { title: 'pass', align: 'left', paint: c.cyan },
    { title: 'changes', align: 'right' },
    { title: 'nodes', align: 'right' },
    { title: 'MACs', align: 'right' },
    { title: 'other operations', align: 'right', drop: 1 },
  ];
  const [first] = traces;
  const line = (t: PassTrace['after']) => [String(t.nodes), short(t.macs), short(t.otherOps)];
  const rows = traces
    .filter((t) => t.changes > 0)
    .map((t) => [t.pipeline, t.pass, String(t.changes), ...line(t.after)]);
  const start = first ? [['', 'as imported', '', ...line(first.before)]] : [];
  return renderColumns(columns, [...start, ...rows], { width: terminal.width, paintHeader: c.dim });
}
