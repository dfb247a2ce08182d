import { basename } from 'node:path';
import { fail } from '#ir/diagnostics.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { spellingPipeline } from '#passes/pipeline.ts';
import { exportJson } from '../../export/json/index.ts';
import { exportOnnx } from '../../export/onnx/index.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
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
  let notes = imported.diagnostics;
  signal.throwIfAborted();
  const stem = output.slice(0, -extension.length - 1);
  const files = new Map<string, string | Uint8Array>();
  if (extension === 'onnx') {
    const { totals } = graphCost(graph);
    const large = totals.parameterBytes > INLINE_BYTES;
    const { model, data } = exportOnnx(graph, large ? { dataFile: `${basename(output)}.data` } : {});
    if (data) files.set(`${output}.data`, data);
    files.set(output, model);
  } else {
    runPipeline(graph, spellingPipeline, { signal });
    const weightsFile = `${basename(stem)}.safetensors`;
    const { network, weights, diagnostics } = exportJson(graph, { weightsFile });
    // a description leaves its batch open
    notes = [...notes.filter(({ code }) => code !== 'batch-assumed'), ...diagnostics];
    if (weights.size > 0) files.set(`${stem}.safetensors`, formatSafetensors(weights));
    files.set(output, `${JSON.stringify(network, null, 2)}\n`);
  }
  if (!terminal.quiet) printDiagnostics(notes, terminal);
  signal.throwIfAborted();
  for (const [file, content] of files) await writeFileAtomic(file, content);
  terminal.note(`wrote ${[...files.keys()].join(' and ')}, ${grouped(graph.nodes.length)} nodes`);
}
