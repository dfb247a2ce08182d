/** A compiled bundle as a backend. */
import { CompileError, fail } from '#ir/diagnostics.ts';
import type { Tensor } from '#ir/tensor.ts';
import { formatType, isDType, sameShape } from '#ir/types.ts';
import type { Manifest } from '#runtime/abi.ts';
import { type BundleTensor, loadBundle, readManifest } from '../files/bundle.ts';
import type { Backend } from './backends.ts';
import type { RunArguments } from './commands/run.ts';
import { isInterruption } from './errors.ts';
import { dimensionOptions } from './options.ts';
import type { CommandContext } from './program.ts';
import { didYouMean } from './suggest.ts';
import type { GivenInput } from './tensors.ts';
import type { Terminal } from './terminal.ts';

/**
 * @throws CompileError `usage-invalid` for options that need the model itself, `dimension-invalid` for sizes that the
 * bundle lacks, `bundle-corrupt`
 */
export async function openBundle(
  folder: string,
  options: RunArguments,
  given: readonly GivenInput[],
  { signal, terminal }: CommandContext,
): Promise<Backend> {
  checkOptions(options);
  const manifest = await readManifest(folder);
  // a bundle for a GPU alone has nothing else to run on
  const wantsGpu = options.backend === 'webgpu' || (!manifest.wasm && options.backend === undefined);
  const onGpu = wantsGpu ? await gpuOptions(folder, manifest, terminal) : {};
  const load = { signal, verify: true, warmup: false, ...onGpu };
  const model = await loadBundle(folder, load).catch((error: unknown) => {
    if (error instanceof CompileError || isInterruption(error)) throw error;
    return fail('bundle-corrupt', folder, error instanceof Error ? error.message : String(error));
  });
  const { backendNote } = model.info;
  if (options.backend === 'webgpu' && backendNote !== undefined) terminal.note(`webgpu: ${backendNote}`);
  const typed = ({ name, dtype, shape }: BundleTensor) => {
    if (!isDType(dtype)) fail('bundle-corrupt', folder, `"${name}" has type "${dtype}"`);
    return { name, type: { dtype, shape } };
  };
  const all = model.info.specialisations.map((one) => ({
    inputs: one.inputs.map(typed),
    outputs: new Map(one.outputs.map((output) => [output.name, typed(output).type])),
  }));
  const { inputs, outputs } = fitting(ofShapes(all, dimensionOptions(options).shapes), given);
  return {
    name: manifest.name,
    inputs,
    run: async (tensors) => {
      const values = [...tensors].map(([input, { type, data }]) => [input, { data, shape: type.shape }]);
      const results = await model.run(Object.fromEntries(values), { shapes: true });
      return new Map(
        Object.entries(results).map(([port, { data, shape }]): [string, Tensor] => {
          const type = outputs.get(port) ?? fail('bundle-corrupt', folder, `it lists no output "${port}"`);
          return [port, { type: { ...type, shape }, data }];
        }),
      );
    },
  };
}

/** @throws CompileError `usage-invalid` for a bundle without kernels for it, `gpu-missing` */
async function gpuOptions(folder: string, { webgpu }: Manifest, terminal: Terminal) {
  if (!webgpu) {
    const hint = 'compile it with --target wasm,webgpu';
    return fail('usage-invalid', '--backend webgpu', `${folder} has no kernels for WebGPU`, hint);
  }
  const { adapterText, openGpu } = await import('./gpu/device.ts');
  const gpu = await openGpu();
  terminal.note(`webgpu: ${adapterText(gpu)}`);
  return { backend: 'webgpu', device: await gpu.device() };
}

type Sizes = { readonly inputs: Backend['inputs'] };

const typeOf = ({ inputs }: Sizes, name: string) => inputs.find((input) => input.name === name)?.type;

/** The specialisations of these sizes. @throws CompileError `dimension-invalid` if there are none */
function ofShapes<T extends Sizes>(
  all: readonly T[],
  shapes: Readonly<Record<string, readonly number[]>>,
): readonly T[] {
  const wanted = Object.entries(shapes);
  const names = all[0]?.inputs.map(({ name }) => name) ?? [];
  for (const [name] of wanted) {
    if (names.includes(name)) continue;
    const hint = didYouMean(name, names) ?? `there is ${names.join(', ')}`;
    fail('dimension-invalid', `--shape ${name}`, 'the bundle has no input of this name', hint);
  }
  const chosen = all.filter((one) =>
    wanted.every(([name, shape]) => sameShape(typeOf(one, name)?.shape ?? [], shape)),
  );
  if (chosen.length > 0) return chosen;
  const option = wanted.map(([name, shape]) => `--shape ${name}=${shape.join('x')}`).join(' ');
  const sizes = all.map(({ inputs }) =>
    inputs
      .filter(({ name }) => name in shapes)
      .map(({ name, type }) => `--shape ${name}=${type.shape.join('x')}`)
      .join(' '),
  );
  const hint = `it runs at ${[...new Set(sizes)].join(', or ')}; for others, compile the model again`;
  return fail('dimension-invalid', option, 'the bundle is not compiled for this size', hint);
}

/** The specialisation that the given inputs fit, or the first. @throws CompileError `input-invalid` if they fit none */
function fitting<T extends Sizes>(all: readonly T[], given: readonly GivenInput[]): T {
  const found = all.find((one) =>
    given.every((input) => {
      const type = typeOf(one, input.name);
      return type === undefined || input.fits(type);
    }),
  );
  const [first] = all;
  // with one, what does not fit is told in detail where it is bound
  const chosen = found ?? (all.length === 1 ? first : undefined);
  if (chosen) return chosen;
  const list = all.map(({ inputs }) =>
    inputs.map(({ name, type }) => `${name} ${formatType(type)}`).join(', '),
  );
  const typesOf = ({ name }: GivenInput) => all.flatMap((one) => typeOf(one, name) ?? []);
  const alone = given.filter((input) => {
    const types = typesOf(input);
    return types.length > 0 && !types.some(input.fits);
  });
  const wrong = alone.length > 0 ? alone : given;
  const [only] = wrong;
  const change = wrong.length === 1 && only ? firstOf(typesOf(only), only.toFit) : undefined;
  const hint = change ?? 'give values of one of these shapes and types, or run the model itself';
  const names = wrong.map((g) => g.name).join(', ');
  const has =
    wrong.length === 1
      ? `the file has ${only?.found}`
      : `the files have ${wrong.map((g) => `${g.name} ${g.found}`).join(', ')}`;
  return fail('input-invalid', names, `${has}; the bundle runs ${list.join(', or ')}`, hint);
}

const firstOf = <T, R>(list: readonly T[], of: (item: T) => R | undefined): R | undefined =>
  list.map(of).find((result) => result !== undefined);

function checkOptions({ backend, compare, outputs, dim }: RunArguments): void {
  const instead = 'give the ONNX file instead of the bundle';
  const needs = (option: string, why: string, hint = instead) => fail('usage-invalid', option, why, hint);
  if (backend === 'reference') needs('--backend reference', 'a bundle holds compiled kernels only');
  if (compare !== undefined) needs('--compare', 'a bundle holds one backend');
  if (outputs !== undefined) needs('--outputs', 'a bundle has no values but its outputs');
  if (dim !== undefined) {
    const hint = `--shape picks one of its sizes; for others, ${instead}`;
    needs('--dim', 'the sizes of a bundle are fixed, and have no names', hint);
  }
}
