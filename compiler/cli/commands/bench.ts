import { CompileError, fail } from '#ir/diagnostics.ts';
import type { Graph, Node } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { seededInput } from '#runtime/abi.ts';
import { type BenchOptions, type BenchReport, bench, type Contender, LayerTimer } from '../../bench/index.ts';
import { compileGraph } from '../../compile.ts';
import { exportOnnx } from '../../export/onnx/index.ts';
import { inMemory } from '../../files/model-files.ts';
import { formatOf } from '../../import/index.ts';
import { pause } from '../../pause.ts';
import { type PredictedLayer, predictLayers } from '../../roofline/index.ts';
import type { GpuPrecision } from '../../targets/webgpu/index.ts';
import { loweredProgram } from '../backends.ts';
import { renderBench } from '../bench-table.ts';
import { fastestEngine, type OnnxFiles, onnxruntimeWeb, withBundle } from '../contenders.ts';
import { importSource, type NamedSource, openSource } from '../load.ts';
import { readProfileOf } from '../measured-files.ts';
import { type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import type { CommandContext } from '../program.ts';

export interface BenchArguments extends DimensionTexts {
  readonly backend?: 'wasm' | 'webgpu';
  readonly gpuPrecision?: GpuPrecision;
  readonly rounds?: string;
  readonly profile?: string;
  readonly against?: 'onnxruntime-web' | 'wasm' | 'none';
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
  checkTogether(options);
  const rounds = options.rounds === undefined ? ROUNDS : wholeNumber(options.rounds, '--rounds');
  if (rounds < 1) fail('usage-invalid', `--rounds ${options.rounds}`, 'at least one round is needed');
  const sizes = dimensionOptions(options);
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
    const job: BenchJob = {
      source,
      graph,
      inputs,
      signal,
      onCompile: (stage, fraction) => progress.update(fraction, 1, stage),
      shared: {
        name: source.name,
        rounds,
        inputs,
        between: async () => {
          await pause();
          signal.throwIfAborted();
        },
        onProgress: (stage, fraction) => progress.update(fraction, 1, stage),
      },
    };
    const report =
      options.backend === 'webgpu'
        ? await (await import('../gpu/bench.ts')).benchOnGpu(job, options)
        : await benchOnWasm(job, options);
    progress.end();
    terminal.print(
      options.json || options.format === 'json' ? JSON.stringify(report, null, 2) : table(report, context),
    );
  } finally {
    progress.end();
  }
}

/** What is timed, on whatever it is. */
export interface BenchJob {
  readonly source: NamedSource<Uint8Array>;
  readonly graph: Graph;
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly signal: AbortSignal;
  readonly onCompile: (stage: string, fraction: number) => void;
  readonly shared: Pick<BenchOptions, 'name' | 'rounds' | 'inputs' | 'between' | 'onProgress'>;
}

function checkTogether({ backend = 'wasm', against, gpuPrecision, profile }: BenchArguments): void {
  if (gpuPrecision === 'f16' && profile !== undefined)
    fail(
      'usage-invalid',
      '--profile',
      'times are predicted for f32',
      'leave out one of it and --gpu-precision',
    );
  if (backend === 'wasm' && against === 'wasm')
    fail(
      'usage-invalid',
      '--against wasm',
      'that is what is timed',
      'give --backend webgpu too, or leave it out',
    );
  if (backend === 'wasm' && gpuPrecision !== undefined)
    fail(
      'usage-invalid',
      '--gpu-precision',
      'it goes with --backend webgpu',
      'give that too, or leave this out',
    );
  if (backend === 'webgpu' && against === 'onnxruntime-web') {
    const message = 'its WebAssembly is what is known here, which says nothing of a GPU';
    fail('usage-invalid', '--against onnxruntime-web', message, '--against wasm compares with WebAssembly');
  }
}

/** The bundle that `compile` makes by default, for the time of `use`. */
export const withWasm = async <T>(
  { graph, source, inputs, signal, onCompile }: BenchJob,
  use: (contender: Contender) => Promise<T>,
): Promise<T> =>
  withBundle(await compileGraph(graph, { name: source.name, signal, onProgress: onCompile }), inputs, use);

async function benchOnWasm(
  job: BenchJob,
  { against = 'onnxruntime-web', profile: file }: BenchArguments,
): Promise<BenchReport> {
  const profile = file === undefined ? undefined : await readProfileOf('wasm', file);
  const { graph, inputs, signal, source, shared } = job;
  return withWasm(job, async (ours) => {
    const other = await contender(against, source, graph, inputs);
    const program = loweredProgram(graph, signal);
    const engine = fastestEngine();
    const predicted = profile && predictLayers(program, profile, engine);
    return bench({
      ...shared,
      ...(predicted && { predicted: predictedMs(predicted) }),
      macs: graphCost(program.graph).totals.macs,
      layers: await LayerTimer.load(program, inputs, engine, () => performance.now()),
      ours,
      other,
    });
  });
}

export const predictedMs = (layers: readonly PredictedLayer[]): ReadonlyMap<Node, number> =>
  new Map(layers.map(({ node, ns }) => [node, ns / 1e6]));

/** What to compare with, tried once; or why there is none. */
async function contender(
  against: NonNullable<BenchArguments['against']>,
  source: NamedSource<Uint8Array>,
  graph: Graph,
  inputs: ReadonlyMap<string, Tensor>,
): Promise<Contender | string> {
  if (against !== 'onnxruntime-web') return 'nothing was to be compared with';
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
