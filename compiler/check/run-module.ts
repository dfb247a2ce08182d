/** Runs the modules of a bundle, as its runtime does. */
import { InternalError } from '#ir/diagnostics.ts';
import {
  ARRAYS,
  type ManifestTensor,
  type Specialisation,
  seededInput,
  type TensorArray,
} from '#runtime/abi.ts';
import { MEMORY_IMPORT } from '../targets/wasm/index.ts';

/** A memory, and where in it the weights belong; in bytes. */
export interface MemoryPlace {
  readonly memoryBytes: number;
  readonly weightsAddress: number;
  readonly weightBytes: number;
}

type RunnablePart = Pick<Specialisation, 'run' | 'inputs' | 'outputs'>;

/** A module, its memory, and where in it the weights belong. */
export class RunnableModule {
  readonly memory: WebAssembly.Memory;
  readonly weights: Uint8Array;
  readonly #exports: WebAssembly.Exports;

  private constructor(memory: WebAssembly.Memory, weights: Uint8Array, exports: WebAssembly.Exports) {
    this.memory = memory;
    this.weights = weights;
    this.#exports = exports;
  }

  /** In new memory; the weights are for the caller to write. */
  static load(module: BufferSource, place: MemoryPlace): Promise<RunnableModule> {
    const pages = place.memoryBytes / 65536;
    return RunnableModule.#in(new WebAssembly.Memory({ initial: pages, maximum: pages }), module, place);
  }

  static async #in(
    memory: WebAssembly.Memory,
    module: BufferSource,
    { weightsAddress, weightBytes }: Omit<MemoryPlace, 'memoryBytes'>,
  ): Promise<RunnableModule> {
    const { instance } = await WebAssembly.instantiate(module, {
      [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: memory },
    });
    const weights = new Uint8Array(memory.buffer, weightsAddress, weightBytes);
    return new RunnableModule(memory, weights, instance.exports);
  }

  /** Another module of the same network, over the same weights. */
  sibling(module: BufferSource): Promise<RunnableModule> {
    const { byteOffset: weightsAddress, byteLength: weightBytes } = this.weights;
    return RunnableModule.#in(this.memory, module, { weightsAddress, weightBytes });
  }

  /** The outputs on the seeded inputs, in order. @throws InternalError for a module without the export */
  runSeeded(specialisation: RunnablePart, seed: number): TensorArray[] {
    // NaN in every float: what reads memory that nothing has written shows
    const bytes = new Uint8Array(this.memory.buffer);
    bytes.fill(0xff, 0, this.weights.byteOffset);
    bytes.fill(0xff, this.weights.byteOffset + this.weights.byteLength);
    return this.run(
      specialisation,
      specialisation.inputs.map((tensor, i) => seededInput(tensor, seed, i)),
    );
  }

  /** The outputs on given inputs, in order. @throws InternalError for a module without the export */
  run({ run, inputs, outputs }: RunnablePart, given: readonly TensorArray[]): TensorArray[] {
    const start = this.#exports[run];
    if (typeof start !== 'function') throw new InternalError(`the module does not export ${run}`);
    inputs.forEach((tensor, i) => {
      this.#view(tensor).set(given[i] as never);
    });
    start();
    return outputs.map((tensor) => this.#view(tensor).slice());
  }

  #view({ dtype, shape, address }: ManifestTensor): TensorArray {
    const size = shape.reduce((a, b) => a * b, 1);
    return new ARRAYS[dtype](this.memory.buffer, address, size);
  }
}
