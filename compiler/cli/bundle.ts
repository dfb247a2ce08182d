/** A compiled bundle as a backend. */
import { CompileError, fail } from '#ir/diagnostics.ts';
import type { TensorData } from '#ir/tensor.ts';
import { isDType } from '#ir/types.ts';
import { loadBundle, readManifest } from '../files/bundle.ts';
import type { Backend } from './backends.ts';
import type { RunArguments } from './commands/run.ts';
import { isInterruption } from './errors.ts';
import type { CommandContext } from './program.ts';

/** @throws CompileError `usage-invalid` for options that need the model itself, `bundle-corrupt` */
export async function openBundle(
  folder: string,
  options: RunArguments,
  { signal }: CommandContext,
): Promise<Backend> {
  checkOptions(options);
  const { name, outputs } = await readManifest(folder);
  const model = await loadBundle(folder, { signal, verify: true, warmup: false }).catch((error: unknown) => {
    if (error instanceof CompileError || isInterruption(error)) throw error;
    return fail('bundle-corrupt', folder, error instanceof Error ? error.message : String(error));
  });
  const tensor = (port: string, data: TensorData) => {
    const { dtype = '', shape = [] } = outputs.find((o) => o.name === port) ?? {};
    if (!isDType(dtype)) fail('bundle-corrupt', folder, `output "${port}" is not in its manifest`);
    return { type: { dtype, shape }, data };
  };
  return {
    name,
    inputs: model.info.inputs.map(({ name: input, dtype, shape }) => {
      if (!isDType(dtype)) fail('bundle-corrupt', folder, `input "${input}" has type "${dtype}"`);
      return { name: input, type: { dtype, shape } };
    }),
    run: async (inputs) => {
      const given = Object.fromEntries([...inputs].map(([input, { data }]) => [input, data]));
      const results = await model.run(given);
      return new Map(Object.entries(results).map(([port, data]) => [port, tensor(port, data)]));
    },
  };
}

function checkOptions({ backend, compare, outputs, dim, shape }: RunArguments): void {
  const needs = (option: string, why: string) =>
    fail('usage-invalid', option, why, 'give the ONNX file instead of the bundle');
  if (backend === 'reference') needs('--backend reference', 'a bundle holds compiled kernels only');
  if (compare !== undefined) needs('--compare', 'a bundle holds one backend');
  if (outputs !== undefined) needs('--outputs', 'a bundle has no values but its outputs');
  if (dim !== undefined || shape !== undefined) needs('--dim, --shape', 'the sizes of a bundle are fixed');
}
