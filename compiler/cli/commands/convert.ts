import { basename } from 'node:path';
import { type Diagnostic, diagnostic, fail } from '#ir/diagnostics.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { spellingPipeline } from '#passes/pipeline.ts';
import { exportJson } from '../../export/json/index.ts';
import { exportOnnx } from '../../export/onnx/index.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
import type { ImportedModel } from '../../import/onnx/index.ts';
import { grouped } from '../../report/format.ts';
import { formatSafetensors } from '../../weights/safetensors.ts';
import { printDiagnostics } from '../errors.ts';
import { importSource, openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions } from '../options.ts';
import type { CommandContext } from '../program.ts';

export interface ConvertArguments extends DimensionTexts {
  readonly output: string;
}

/** Models above this keep their weights beside them: a protocol buffer ends at 2 GiB, and readers before that. */
const INLINE_BYTES = 2 ** 30;

export async function runConvert(
  path: string,
  options: ConvertArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const { output } = options;
  const extension = /\.(onnx|json)$/i.exec(output)?.[1]?.toLowerCase();
  if (!extension)
    fail('usage-invalid', `-o ${output}`, 'its extension says no format', 'end it in .onnx or .json');
  const source = await openSource(path);
  const imported = importSource(source, { ...dimensionOptions(options), requireWeights: true });
  const { graph } = imported;
  const notes = [...imported.diagnostics];
  signal.throwIfAborted();
  const stem = output.slice(0, -extension.length - 1);
  const files = new Map<string, string | Uint8Array>();
  if (extension === 'onnx') {
    notes.push(...fixedBatch(imported));
    const { totals } = graphCost(graph);
    const large = totals.parameterBytes > INLINE_BYTES;
    const { model, data } = exportOnnx(graph, large ? { dataFile: `${basename(output)}.data` } : {});
    if (data) files.set(`${output}.data`, data);
    files.set(output, model);
  } else {
    runPipeline(graph, spellingPipeline, { signal });
    const weightsFile = `${basename(stem)}.safetensors`;
    const { network, weights, diagnostics } = exportJson(graph, { weightsFile });
    notes.push(...diagnostics);
    if (weights.size > 0) files.set(`${stem}.safetensors`, formatSafetensors(weights));
    files.set(output, `${JSON.stringify(network, null, 2)}\n`);
  }
  if (!terminal.quiet) printDiagnostics(notes, terminal);
  signal.throwIfAborted();
  for (const [file, content] of files) await writeFileAtomic(file, content);
  terminal.note(`wrote ${[...files.keys()].join(' and ')}, ${grouped(graph.nodes.length)} nodes`);
}

/** A description leaves its batch open, and says nothing of it when it is read; an exported model has one. */
function fixedBatch({ diagnostics, dims }: ImportedModel): Diagnostic[] {
  const open = dims.find(({ assumed, axis }) => assumed && axis === 0);
  if (!open || diagnostics.some(({ code }) => code === 'batch-assumed')) return [];
  const { input, symbol } = open;
  return [
    diagnostic(
      'batch-assumed',
      input,
      `the batch (${symbol}), which the description leaves open, is fixed at 1 in what is written`,
      `give it with --dim ${symbol}=SIZE`,
    ),
  ];
}
