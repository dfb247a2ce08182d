/** Runs the module of a bundle, as its runtime does. */
import { InternalError } from '#ir/diagnostics.ts';
import {
  ARRAYS,
  type ManifestTensor,
  type Specialisation,
  seededInput,
  type TensorArray,
} from '#runtime/abi.ts';

/** A module in memory of its own, and where in it the weights belong. */
export class RunnableModule {
  readonly memory: WebAssembly.Memory;
  readonly weights: Uint8Array;
  readonly #exports: WebAssembly.Exports;

  private constructor(exports: WebAssembly.Exports, weightsAddress: number, weightBytes: number) {
    const { memory } = exports;
    if (!(memory instanceof WebAssembly.Memory)) throw new InternalError('the module exports no memory');
    this.memory = memory;
    this.weights = new Uint8Array(memory.buffer, weightsAddress, weightBytes);
    this.#exports = exports;
  }

  /** The weights are for the caller to write. */
  static async load(
    module: BufferSource,
    weightsAddress: number,
    weightBytes: number,
  ): Promise<RunnableModule> {
    const { instance } = await WebAssembly.instantiate(module, {});
    return new RunnableModule(instance.exports, weightsAddress, weightBytes);
  }

  /** The outputs on the seeded inputs, in order. @throws InternalError for a module without the export */
  runSeeded(
    { run, inputs, outputs }: Pick<Specialisation, 'run' | 'inputs' | 'outputs'>,
    seed: number,
  ): TensorArray[] {
    const start = this.#exports[run];
    if (typeof start !== 'function') throw new InternalError(`the module does not export ${run}`);
    // NaN in every float: what reads memory that nothing has written shows
    const bytes = new Uint8Array(this.memory.buffer);
    bytes.fill(0xff, 0, this.weights.byteOffset);
    bytes.fill(0xff, this.weights.byteOffset + this.weights.byteLength);
    inputs.forEach((tensor, i) => {
      this.#view(tensor).set(seededInput(tensor, seed, i) as never);
    });
    start();
    return outputs.map((tensor) => this.#view(tensor).slice());
  }

  #view({ dtype, shape, address }: ManifestTensor): TensorArray {
    const size = shape.reduce((a, b) => a * b, 1);
    return new ARRAYS[dtype](this.memory.buffer, address, size);
  }
}
