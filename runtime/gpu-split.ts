/** A network of which some layers have no kernel on a GPU: its parts run there and on WebAssembly by turns. */
import type { ManifestTensor, SplitManifest, SplitPart, TensorArray } from './abi.ts';
import { counted, type ShapedOutput } from './counted.ts';
import type { DeviceSource } from './gpu-inputs.ts';
import { deviceTensor, outputBuffers } from './gpu-outputs.ts';
import { type GpuProgram, wordsOf } from './gpu-program.ts';
import type { DeviceTensor } from './model-types.ts';
import type { WasmInstance } from './wasm.ts';
import { countOf, view } from './wasm-memory.ts';

/** A network on a GPU, as a whole or in parts. */
export interface GpuNetwork {
  readonly device: GPUDevice;
  /** Inputs as a run takes them, read at once. */
  wordsOf(given: readonly (TensorArray | DeviceSource)[]): readonly (TensorArray | DeviceSource)[];
  runWords(given: readonly (TensorArray | DeviceSource)[]): Promise<ShapedOutput[]>;
  runOnDevice(
    given: readonly (TensorArray | DeviceSource)[],
    into?: readonly unknown[],
  ): Promise<DeviceTensor<ShapedOutput>[]>;
  dispose(): void;
}

/** A value between parts: as an array, all of it and how much counts; on the device; or as the caller gave it. */
type Held = Made | { readonly source: DeviceSource; readonly tensor: ManifestTensor };
type Made =
  | { readonly data: TensorArray; readonly tensor: ManifestTensor; readonly count?: number }
  | { readonly onDevice: DeviceTensor<ShapedOutput> };

export class SplitNetwork implements GpuNetwork {
  readonly device: GPUDevice;
  readonly #programs: readonly GpuProgram[];
  readonly #wasm: WasmInstance;
  readonly #split: SplitManifest;
  readonly #inputs: readonly ManifestTensor[];

  /** @param programs of the parts on the device, in their order */
  constructor(
    device: GPUDevice,
    programs: readonly GpuProgram[],
    wasm: WasmInstance,
    split: SplitManifest,
    inputs: readonly ManifestTensor[],
  ) {
    this.device = device;
    this.#programs = programs;
    this.#wasm = wasm;
    this.#split = split;
    this.#inputs = inputs;
  }

  wordsOf(given: readonly (TensorArray | DeviceSource)[]): (TensorArray | DeviceSource)[] {
    return given.map((input) => ('kind' in input ? input : input.slice()));
  }

  async runWords(given: readonly (TensorArray | DeviceSource)[]): Promise<ShapedOutput[]> {
    const held = await this.#run(given, []);
    return Promise.all(
      held.map(async (one): Promise<ShapedOutput> => {
        if ('onDevice' in one) return one.onDevice.read().finally(() => one.onDevice.destroy());
        const whole = { data: one.data, shape: [...one.tensor.shape] };
        return one.tensor.count ? counted(whole, one.tensor.count.axis, one.count ?? 0) : whole;
      }),
    );
  }

  async runOnDevice(
    given: readonly (TensorArray | DeviceSource)[],
    into: readonly unknown[] = [],
  ): Promise<DeviceTensor<ShapedOutput>[]> {
    const held = await this.#run(given, into);
    return held.map((one, k) => {
      if ('onDevice' in one) return one.onDevice;
      const { tensor, data, count } = one;
      const place = tensor.count ? { axis: tensor.count.axis, at: 0 } : null;
      const [buffer] = outputBuffers(this.device, [tensor], [place], [into[k]]);
      if (!buffer) throw new Error('there is a buffer for each output');
      const words = wordsOf(tensor, data);
      if (words.length > 0) this.device.queue.writeBuffer(buffer, 0, words);
      if (place) this.device.queue.writeBuffer(buffer, words.byteLength, Int32Array.of(count ?? 0));
      return deviceTensor(this.device, tensor, place, buffer);
    });
  }

  /** The outputs, wherever they were computed. */
  async #run(given: readonly (TensorArray | DeviceSource)[], into: readonly unknown[]): Promise<Made[]> {
    const { parts, outputs } = this.#split;
    const held = new Map<number, Held>();
    this.#inputs.forEach((tensor, number) => {
      const input = given[number] ?? new Float32Array();
      held.set(number, 'kind' in input ? { source: input, tensor } : { data: input, tensor });
    });
    const made: { number: number; onDevice: DeviceTensor<ShapedOutput>; own: boolean }[] = [];
    let done = false;
    try {
      let next = 0;
      for (const part of parts) {
        const inputs = part.inputs.map((number) => held.get(number) as Held);
        if (part.run !== undefined) {
          (await this.#onWasm(part, inputs)).forEach((one, i) => {
            held.set(part.outputs[i] ?? -1, one);
          });
          continue;
        }
        const program = this.#programs[next++] as GpuProgram;
        const places = part.outputs.map((number) => into[outputs.indexOf(number)]);
        const tensors = await program.runOnDevice(program.wordsOf(inputs.map(sourceOf)), places);
        tensors.forEach((onDevice, i) => {
          const number = part.outputs[i] ?? -1;
          held.set(number, { onDevice });
          made.push({ number, onDevice, own: places[i] === undefined });
        });
      }
      done = true;
      return outputs.map((number) => held.get(number) as Made);
    } finally {
      for (const { number, onDevice, own } of made) {
        if (own && !(done && outputs.includes(number))) onDevice.destroy();
      }
    }
  }

  /** Between writing the inputs and copying the outputs nothing is awaited. */
  async #onWasm(
    { run = '', inputTensors, outputTensors }: SplitPart,
    inputs: readonly Held[],
  ): Promise<Held[]> {
    const arrays = await Promise.all(
      inputs.map(async (one) => {
        if ('data' in one) return one.data;
        return (await ('onDevice' in one ? one.onDevice.read() : this.#read(one.source, one.tensor))).data;
      }),
    );
    inputTensors.forEach((tensor, i) => {
      view(this.#wasm, tensor).set(arrays[i] as never);
    });
    (this.#wasm.exports[run] as () => void)();
    return outputTensors.map((tensor): Held => {
      const count = countOf(this.#wasm, tensor);
      return { data: view(this.#wasm, tensor).slice(), tensor, ...(count === undefined ? {} : { count }) };
    });
  }

  #read(source: DeviceSource, tensor: ManifestTensor): Promise<ShapedOutput> {
    if (source.kind !== 'buffer' || source.offset !== 0) {
      const what = source.kind === 'buffer' ? 'a buffer from its beginning' : 'data';
      throw new Error(
        `input ${JSON.stringify(tensor.name)}: a layer on WebAssembly reads it, which takes ${what}`,
      );
    }
    return deviceTensor(this.device, tensor, null, source.source).read();
  }

  dispose(): void {
    for (const program of this.#programs) program.dispose();
  }
}

function sourceOf(held: Held): TensorArray | DeviceSource {
  if ('data' in held) return held.data;
  return 'source' in held ? held.source : { kind: 'buffer', source: held.onDevice.buffer, offset: 0 };
}
