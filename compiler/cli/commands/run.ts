import { stat } from 'node:fs/promises';
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { type Backend, referenceBackend, wasmBackend } from '../backends.ts';
import {
  compareBackends,
  comparisonAsJson,
  describeDifference,
  firstBeyond,
  renderComparison,
} from '../compare.ts';
import { renderTensors, tensorsAsJson } from '../describe.ts';
import { printDiagnostics } from '../errors.ts';
import { importForInputs } from '../input-shapes.ts';
import { openSource } from '../load.ts';
import { type DimensionTexts, dimensionOptions, wholeNumber } from '../options.ts';
import { isImageFile, PICTURE_OPTIONS, type PictureTexts } from '../pictures.ts';
import type { CommandContext } from '../program.ts';
import { didYouMean } from '../suggest.ts';
import { bindInputs, type GivenInput, readInputs, writeOutputs } from '../tensors.ts';
import { readLabels, renderTop, topLists } from '../top.ts';

export const BACKENDS = ['reference', 'wasm', 'webgpu'] as const;
type BackendName = (typeof BACKENDS)[number];

export interface RunArguments extends DimensionTexts, PictureTexts {
  readonly top?: string;
  readonly labels?: string;
  readonly input?: readonly string[];
  readonly random?: string;
  readonly output?: readonly string[];
  readonly backend?: BackendName;
  readonly outputs?: readonly string[];
  readonly compare?: string;
  readonly perLayer?: boolean;
  readonly format: 'table' | 'json';
}

export async function runRun(path: string, options: RunArguments, context: CommandContext): Promise<void> {
  const seed = options.random === undefined ? undefined : wholeNumber(options.random, '--random');
  const pair = options.compare === undefined ? undefined : parsePair(options.compare);
  checkTogether(options);
  const given = await readInputs(options.input ?? [], options);
  if (await isFolder(path)) {
    const { openBundle } = await import('../bundle.ts');
    const backend = await openBundle(path, options, given, context);
    await runOnce(backend, bindInputs(backend.inputs, given, seed), options, context);
    return;
  }
  const graph = await loadGraph(path, given, options, context);
  const inputs = bindInputs(referenceBackend(graph).inputs, given, seed);
  if (pair) await compare(graph, pair, inputs, options, context);
  else
    await runOnce(await backendOf(options.backend ?? 'reference', graph, context), inputs, options, context);
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );

function checkTogether(options: RunArguments): void {
  const { compare, backend, perLayer, output, top, labels, input = [] } = options;
  const wrong = (option: string, message: string, hint: string) =>
    fail('usage-invalid', option, message, hint);
  if (perLayer && compare === undefined)
    wrong('--per-layer', 'it goes with --compare', 'give --compare reference,wasm too, or leave this out');
  if (perLayer && compare?.includes('webgpu'))
    wrong(
      '--per-layer',
      'on WebGPU values between the layers are not read back',
      'compare reference,wasm so, or make single values outputs with --outputs',
    );
  if (labels !== undefined && top === undefined)
    wrong('--labels', 'it goes with --top', 'give --top 5 too, for the five largest, or leave this out');
  const alone = { '--backend': backend, '-o': output, '--top': top };
  for (const [option, value] of Object.entries(alone)) {
    if (compare === undefined || value === undefined) continue;
    const hint =
      option === '--backend'
        ? 'leave it out; --compare names both backends'
        : 'leave it out, or run once more without --compare';
    wrong(option, 'it does not go with --compare', hint);
  }
  const ofPictures = PICTURE_OPTIONS.filter((name) => options[name] !== undefined);
  if (ofPictures.length > 0 && !input.some(isImageFile)) {
    const names = ofPictures.map((name) => `--${name}`).join(', ');
    const hint =
      'give one with --input NAME=FILE.png or .jpg; what .npy and .json files hold is taken as it is';
    fail('usage-invalid', names, 'this is about pictures, and no input is one', hint);
  }
}

/** @throws CompileError `usage-invalid` */
function topCount(text: string): number {
  const count = wholeNumber(text, '--top');
  if (count === 0) {
    fail('usage-invalid', '--top 0', 'at least one is printed', '--top 5 prints the five largest');
  }
  return count;
}

function parsePair(text: string): readonly [BackendName, BackendName] {
  const names = text.split(',');
  const known = (name: string | undefined): name is BackendName => BACKENDS.some((one) => one === name);
  const [first, second] = names;
  if (names.length === 2 && known(first) && known(second) && first !== second) return [first, second];
  const hint = `--compare reference,wasm; there is ${BACKENDS.join(', ')}`;
  return fail('usage-invalid', `--compare ${text}`, 'two backends are expected', hint);
}

/** @throws CompileError `gpu-missing` */
async function backendOf(name: BackendName, graph: Graph, { terminal }: CommandContext): Promise<Backend> {
  if (name !== 'webgpu') return name === 'wasm' ? wasmBackend(graph) : referenceBackend(graph);
  const [{ adapterText, openGpu }, { gpuBackend }] = await Promise.all([
    import('../gpu/device.ts'),
    import('../gpu/backend.ts'),
  ]);
  const gpu = await openGpu();
  terminal.note(`webgpu: ${adapterText(gpu)}`);
  return gpuBackend(graph, gpu);
}

/** The model at the sizes of the given inputs, unless --shape says otherwise; --outputs added to its outputs. */
async function loadGraph(
  path: string,
  given: readonly GivenInput[],
  options: RunArguments,
  { terminal }: CommandContext,
): Promise<Graph> {
  const { dims, shapes } = dimensionOptions(options);
  const { graph, diagnostics } = importForInputs(await openSource(path), given, {
    dims,
    shapes,
    // data does not change the network; only --shape does
    replaceSizes: Object.keys(shapes).length > 0,
    requireWeights: true,
  });
  if (!terminal.quiet) printDiagnostics(diagnostics, terminal);
  addOutputs(graph, options.outputs ?? []);
  return graph;
}

/** Makes values outputs too, by their names or the names of their nodes. @throws CompileError `usage-invalid` */
export function addOutputs(graph: Graph, names: readonly string[]): void {
  const values = new Map(graph.values.filter((v) => v.source.kind !== 'constant').map((v) => [v.name, v]));
  const nodes = new Map(graph.nodes.map((node) => [node.name, node.outputs[0]]));
  const errors = names.flatMap((name) => {
    if (graph.outputs.some((output) => output.name === name)) return [];
    const value = values.get(name) ?? nodes.get(name);
    if (value) {
      graph.addOutput(name, value);
      return [];
    }
    const hint = didYouMean(name, [...values.keys()]) ?? 'convolith ir MODEL shows their names';
    return [diagnostic('usage-invalid', `--outputs ${name}`, 'the network has no value of this name', hint)];
  });
  if (errors.length > 0) throw new CompileError(errors);
}

async function runOnce(
  backend: Backend,
  inputs: ReadonlyMap<string, Tensor>,
  options: RunArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const top = options.top === undefined ? undefined : topCount(options.top);
  const labels =
    options.labels === undefined
      ? undefined
      : { file: options.labels, list: await readLabels(options.labels) };
  const progress = terminal.progress(backend.name);
  const all = await backend
    .run(inputs, { signal, onProgress: (done, total) => progress.update(done, total) })
    .finally(() => progress.end());
  const asked = options.outputs;
  const outputs = new Map([...all].filter(([name]) => asked === undefined || asked.includes(name)));
  const files = options.output ?? [];
  await writeOutputs(outputs, files, context);
  if (files.includes('-')) return;
  const lists = top === undefined ? undefined : topLists(outputs, top, labels);
  if (options.format === 'json') terminal.print(tensorsAsJson(outputs, lists));
  else terminal.print(lists ? renderTop(lists, terminal) : renderTensors(outputs, terminal));
}

/** @throws CompileError `comparison-failed` naming the first value beyond the tolerance */
async function compare(
  graph: Graph,
  names: readonly [BackendName, BackendName],
  inputs: ReadonlyMap<string, Tensor>,
  options: RunArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const progress = terminal.progress(names.join(' and '));
  const sides = [
    await backendOf(names[0], graph, context),
    await backendOf(names[1], graph, context),
  ] as const;
  const comparison = await compareBackends(...sides, inputs, {
    signal,
    perLayer: options.perLayer ?? false,
    onProgress: (done, total) => progress.update(done, total),
  }).finally(() => progress.end());
  terminal.print(
    options.format === 'json'
      ? comparisonAsJson(comparison, names)
      : renderComparison(comparison, names, terminal),
  );
  const first = firstBeyond(comparison);
  if (!first) return;
  const hint = options.perLayer ? undefined : 'with --per-layer the first layer that differs is found';
  const found = diagnostic(
    'comparison-failed',
    first.value,
    `the first value that differs ${first.op === 'output' ? '' : `(${first.op}) `}${describeDifference(first)}`,
    hint,
  );
  throw new CompileError([found]);
}
