import { CompileError, fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { seededInput } from '#runtime/abi.ts';
import { type BenchReport, bench, type Contender } from '../../bench/index.ts';
import { compileGraph } from '../../compile.ts';
import { exportOnnx } from '../../export/onnx/index.ts';
import { inMemory } from '../../files/model-files.ts';
import { formatOf } from '../../import/index.ts';
import { pause } from '../../pause.ts';
import { predictLayers } from '../../roofline/index.ts';
import { loweredProgram } from '../backends.ts';
import { renderBench } from '../bench-table.ts';
import { fastestEngine, type OnnxFiles, onnxruntimeWeb, withBundle } from '../contenders.ts';
import { importSource, type NamedSource, openSource } from '../load.ts';
import { readProfile } from '../measured-files.ts';
import { type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import type { CommandContext } from '../program.ts';

export interface BenchArguments extends DimensionTexts {
  readonly rounds?: string;
  readonly profile?: string;
  readonly against: 'onnxruntime-web' | 'none';
  readonly format: 'table' | 'json';
  /** The same as the format json. */
  readonly json?: boolean;
}

const ROUNDS = 15;
const SEED = 1;

export async function runBench(
  path: string,
  options: BenchArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const rounds = options.rounds === undefined ? ROUNDS : wholeNumber(options.rounds, '--rounds');
  if (rounds < 1) fail('usage-invalid', `--rounds ${options.rounds}`, 'at least one round is needed');
  const sizes = dimensionOptions(options);
  const profile = options.profile === undefined ? undefined : await readProfile(options.profile);
  const source = inMemory(await openSource(path));
  const progress = terminal.progress('compile');
  try {
    const { graph } = importSource(source, { ...sizes, requireWeights: true });
    const inputs = new Map(
      graph.inputs.map(({ name, type }, i): [string, Tensor] => [
        name,
        { type, data: seededInput(type, SEED, i) },
      ]),
    );
    const bundle = await compileGraph(graph, {
      name: source.name,
      signal,
      onProgress: (stage, fraction) => progress.update(fraction, 1, stage),
    });
    const other = await contender(options.against, source, graph, inputs);
    const program = loweredProgram(graph, signal);
    const engine = fastestEngine();
    const predicted = profile && predictLayers(program, profile, engine);
    const report = await withBundle(bundle, inputs, (ours) =>
      bench(program, {
        name: source.name,
        ...(predicted && { predicted: new Map(predicted.map(({ node, ns }) => [node, ns / 1e6])) }),
        rounds,
        inputs,
        engine,
        ours,
        other,
        between: async () => {
          await pause();
          signal.throwIfAborted();
        },
        onProgress: (stage, fraction) => progress.update(fraction, 1, stage),
      }),
    );
    progress.end();
    terminal.print(
      options.json || options.format === 'json' ? JSON.stringify(report, null, 2) : table(report, context),
    );
  } finally {
    progress.end();
  }
}

/** What to compare with, tried once; or why there is none. */
async function contender(
  against: BenchArguments['against'],
  source: NamedSource<Uint8Array>,
  graph: Graph,
  inputs: ReadonlyMap<string, Tensor>,
): Promise<Contender | string> {
  if (against === 'none') return 'nothing was to be compared with';
  try {
    return await onnxruntimeWeb(onnxFiles(source, graph), inputs);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return `onnxruntime-web reads ONNX, as which this model cannot be written: ${error.message}`;
  }
}

/** The model as it was given, with the files that it refers to; a description as the ONNX model that it stands for. */
function onnxFiles(source: NamedSource<Uint8Array>, graph: Graph): OnnxFiles {
  if (formatOf(source.bytes) === 'json') return { bytes: exportOnnx(graph).model, externalData: new Map() };
  const externalData = new Map<string, Uint8Array>();
  const { externalData: read } = source;
  importSource(
    {
      ...source,
      externalData: (file) => {
        const bytes = read(file);
        if (bytes) externalData.set(file, bytes);
        return bytes;
      },
    },
    { shapes: Object.fromEntries(graph.inputs.map(({ name, type }) => [name, type.shape])) },
  );
  return { bytes: source.bytes, externalData };
}

const table = (report: BenchReport, { terminal }: CommandContext): string =>
  renderBench(report, { width: terminal.width, colours: terminal.colours });
