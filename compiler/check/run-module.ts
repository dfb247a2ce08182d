/** Runs the module of a bundle, as its runtime does. */
import { InternalError } from '#ir/diagnostics.ts';
import { ARRAYS, type ManifestTensor, seededInput, type TensorArray } from '#runtime/abi.ts';

export interface RunnableModule {
  readonly module: BufferSource;
  readonly weights: Uint8Array;
  readonly weightsAddress: number;
  /** The export to call. */
  readonly run: string;
  readonly inputs: readonly ManifestTensor[];
  readonly outputs: readonly ManifestTensor[];
}

/** The outputs of the module on the seeded inputs, in order. @throws InternalError for a module without its exports. */
export async function runSeeded(program: RunnableModule, seed: number): Promise<TensorArray[]> {
  const { instance } = await WebAssembly.instantiate(program.module, {});
  const { memory, [program.run]: run } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof run !== 'function') {
    throw new InternalError('the module lacks its exports');
  }
  const bytes = new Uint8Array(memory.buffer);
  // NaN in every float: what reads memory that nothing has written shows
  bytes.fill(0xff);
  bytes.set(program.weights, program.weightsAddress);
  const view = ({ dtype, shape, address }: ManifestTensor): TensorArray =>
    new ARRAYS[dtype](
      memory.buffer,
      address,
      shape.reduce((a, b) => a * b, 1),
    );
  program.inputs.forEach((tensor, i) => {
    view(tensor).set(seededInput(tensor, seed, i) as never);
  });
  run();
  return program.outputs.map((tensor) => view(tensor).slice());
}
