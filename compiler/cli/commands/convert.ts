import { writeFileAtomic } from '../../files/atomic.ts';
import { grouped } from '../../report/format.ts';
import { printDiagnostics } from '../errors.ts';
import { importSource, openSource } from '../load.ts';
import { modelFiles, modelFormat } from '../model-files.ts';
import { type DimensionTexts, dimensionOptions } from '../options.ts';
import type { CommandContext } from '../program.ts';

export interface ConvertArguments extends DimensionTexts {
  readonly output: string;
}

export async function runConvert(
  path: string,
  options: ConvertArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const { output } = options;
  const format = modelFormat(output);
  const source = await openSource(path);
  const { graph, diagnostics } = importSource(source, { ...dimensionOptions(options), requireWeights: true });
  signal.throwIfAborted();
  const written = modelFiles(graph, output);
  // a JSON description leaves its batch open
  const notes = diagnostics.filter(({ code }) => format === 'onnx' || code !== 'batch-assumed');
  if (!terminal.quiet) printDiagnostics([...notes, ...written.diagnostics], terminal);
  signal.throwIfAborted();
  for (const [file, content] of written.files) await writeFileAtomic(file, content);
  terminal.note(`wrote ${[...written.files.keys()].join(' and ')}, ${grouped(graph.nodes.length)} nodes`);
}
