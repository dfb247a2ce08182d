import { readdir } from 'node:fs/promises';
import { fail } from '#ir/diagnostics.ts';
import { type ManifestTensor, specialisationsOf } from '#runtime/abi.ts';
import { compileModel } from '../../compile.ts';
import { type CompiledBundle, type CompileTarget, checkOptions } from '../../compile-options.ts';
import type { WriteFile } from '../../files/atomic.ts';
import { isBundle, makeBundleFolder } from '../../files/bundle.ts';
import { inMemory } from '../../files/model-files.ts';
import { systemReason } from '../../files/read-file.ts';
import { type Column, renderColumns } from '../../report/columns.ts';
import { bytes, counted, grouped, plain, shape, short } from '../../report/format.ts';
import type { GpuPrecision } from '../../targets/webgpu/words.ts';
import type { WeightFormat } from '../../weights/formats.ts';
import { printDiagnostics } from '../errors.ts';
import { openSource, underPath } from '../load.ts';
import { readProfileOf } from '../measured-files.ts';
import { requireOptimisedCode } from '../optimised-code.ts';
import { type DimensionTexts, specialisationOptions, wholeNumber } from '../options.ts';
import { preprocessOption } from '../pictures.ts';
import type { CommandContext } from '../program.ts';
import { knownTuning, tuned } from '../tuning.ts';

export interface CompileArguments extends DimensionTexts {
  readonly output: string;
  readonly target: string;
  readonly check: 'sampled' | 'full';
  readonly preprocess?: string;
  readonly relaxed: boolean;
  readonly threads?: string;
  readonly tune?: string;
  readonly tuneSoftware?: boolean;
  readonly tuning?: string;
  readonly profile?: string;
  readonly weights: WeightFormat;
  readonly gpuPrecision: GpuPrecision;
  readonly force?: boolean;
  readonly format: 'table' | 'json';
}

export async function runCompile(
  path: string,
  options: CompileArguments,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const specialisations = specialisationOptions(options);
  const asked = {
    // what is none of them is told where options are checked
    target: options.target.split(',') as CompileTarget[],
    check: options.check,
    relaxed: options.relaxed,
    weights: options.weights,
    gpuPrecision: options.gpuPrecision,
    ...(options.threads === undefined ? {} : { threads: wholeNumber(options.threads, '--threads') }),
  };
  const preprocess =
    options.preprocess === undefined ? undefined : await preprocessOption(options.preprocess);
  if (!options.force) await checkFolder(options.output);
  const profile = options.profile === undefined ? undefined : await readProfileOf('wasm', options.profile);
  checkOptions({ ...asked, ...(profile && { profile }) });
  const known = await knownTuning(options);
  if (options.tune !== undefined) await requireOptimisedCode(signal);
  const source = inMemory(await openSource(path));
  const model = {
    ...(preprocess && { preprocess }),
    ...(profile && { profile }),
    name: source.name,
    externalData: source.externalData,
  };
  const tuning = await tuned(known, source, { ...model, specialisations }, options, context);
  const progress = terminal.progress('compile');
  const compiled = (onFile: WriteFile) =>
    compileModel(source.bytes, {
      ...model,
      ...(tuning && { tuning }),
      specialisations,
      ...asked,
      signal,
      onProgress: (stage, fraction) => progress.update(fraction, 1, stage),
      onFile,
    })
      .catch((error: unknown) => {
        throw underPath(source, error);
      })
      .finally(() => progress.end());
  const bundle = await makeBundleFolder(options.output, compiled, { force: options.force ?? false, signal });
  if (!terminal.quiet) printDiagnostics(bundle.diagnostics, terminal);
  if (options.format === 'json') terminal.print(json(bundle, options));
  else if (!terminal.quiet) terminal.print(summary(bundle, options, context));
}

/** Asked before the work, which may be long; `makeBundleFolder` asks again. */
async function checkFolder(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    return fail('file-unreadable', folder, error.code === 'ENOTDIR' ? 'this is a file' : systemReason(error));
  });
  if (names.length === 0 || (await isBundle(folder))) return;
  const hint = 'give another folder, or --force to replace all that is in it';
  fail('file-unreadable', folder, 'this folder is not a bundle, and not empty', hint);
}

function json({ files, manifest, stats, diagnostics }: CompiledBundle, { output }: CompileArguments): string {
  const [first, ...further] = specialisationsOf(manifest).map(({ inputs, outputs, cost }) => ({
    inputs: inputs.map(port),
    outputs: outputs.map(port),
    macs: cost.macs,
  }));
  const result = {
    name: manifest.name,
    folder: output,
    inputs: first?.inputs,
    outputs: first?.outputs,
    ...(further.length > 0 ? { specialisations: [first, ...further] } : {}),
    files: Object.fromEntries([...files].map(([file, content]) => [file, content.byteLength])),
    stats,
    diagnostics,
  };
  return JSON.stringify(result, null, 2);
}

const port = ({ name, dtype, shape: sizes, picture }: ManifestTensor) => ({
  name,
  dtype,
  shape: sizes,
  ...(picture ? { picture } : {}),
});

function summary(
  { files, manifest, stats }: CompiledBundle,
  options: CompileArguments,
  { terminal }: CommandContext,
): string {
  const c = terminal.colours;
  const ports = (list: typeof manifest.inputs) =>
    list.map((t) => `${t.name} ${t.picture?.pixels ?? t.dtype} ${shape(t.shape)}`).join(', ');
  const signatures = specialisationsOf(manifest).map(
    ({ inputs, outputs }) => `${ports(inputs)} → ${ports(outputs)}`,
  );
  const total = [...files.values()].reduce((sum, content) => sum + content.byteLength, 0);
  const columns: Column[] = [
    { title: '', align: 'left', paint: c.cyan },
    { title: '', align: 'right' },
    { title: '', align: 'left', shrink: 20, paint: c.dim },
  ];
  const file = ([name, content]: readonly [string, Uint8Array]) => [
    `  ${name}`,
    bytes(content.byteLength),
    ABOUT[name] ?? '',
  ];
  const fileRows = [...files].map(file);
  const rows = [...fileRows, ['  all', bytes(total), '']];
  const facts = [
    [
      '  memory',
      bytes(stats.memoryBytes),
      `fixed: weights ${bytes(stats.weightBytes)}, activations ${bytes(stats.arenaBytes)}`,
    ],
    ['  kernels', grouped(stats.kernels), `in ${counted(stats.calls, 'call')}`],
    ['  MACs', short(stats.macs), `${short(stats.parameters)} parameters, as in the model`],
    [
      '  checked',
      grouped(stats.checkedElements),
      `output elements of ${manifest.wasm ? 'kernels' : 'layers on WebAssembly'} against the reference${options.check === 'full' ? ', and the whole network' : ''}`,
    ],
  ];
  if (stats.split) {
    const { parts, copies, bytes: size } = stats.split;
    facts.push([
      '  copies',
      bytes(size),
      `of ${counted(copies, 'value')} in a run on a GPU, between its ${parts} parts`,
    ]);
  }
  if (stats.weightsError !== null) {
    const error = stats.weightsError.toPrecision(2);
    facts.push([
      '  rounding',
      error,
      'of the largest output is what the rounded weights change, on random input',
    ]);
  }
  if (stats.specialisations > 1) {
    const shared = stats.unsharedWeightBytes - stats.weightBytes;
    facts.push(['  shared', bytes(shared), `of weights, by ${stats.specialisations} specialisations`]);
  }
  const width = Math.max(...rows.map(([name = '']) => name.length));
  const even = facts.map(([name = '', ...rest]) => [name.padEnd(width), ...rest]);
  return [
    `${c.bold(plain(manifest.name))}  ${signatures.map((line) => c.dim(plain(line))).join(`\n${' '.repeat(manifest.name.length + 2)}`)}`,
    renderColumns(columns, [...rows, ['', '', ''], ...even], { width: terminal.width, header: false }),
    `wrote ${options.output}`,
  ].join('\n\n');
}

const ABOUT: Readonly<Record<string, string>> = {
  'index.js': 'import { load } from it',
  'index.d.ts': 'its types',
  'model.wasm': 'the kernels',
  'model.relaxed.wasm': 'or these, for engines with relaxed SIMD',
  'model.threads.wasm': 'or these, for several threads',
  'model.relaxed.threads.wasm': 'or these, for both',
  'worker.js': 'what further threads run',
  'expand.js': 'brings the weights into memory as the kernels read them',
  'weights.bin': 'the weights',
  'webgpu.js': 'what runs it on a GPU',
  'kernels.wgsl': 'its kernels there',
  'weights.webgpu.bin': 'its weights there',
  'split.wasm': 'layers that have no kernel there',
  'split.bin': 'their weights',
  'selftest.bin': 'outputs on seeded inputs, to verify with',
  'manifest.json': 'inputs, outputs, sizes, digests',
  'demo.html': 'a page that runs it',
  'package.json': 'to publish or install it',
};
