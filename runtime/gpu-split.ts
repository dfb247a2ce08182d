/** A network of which some layers have no kernel on a GPU: its parts run there and on WebAssembly by turns. */
import type { ManifestTensor, SplitManifest, SplitPart, TensorArray } from './abi.ts';
import { counted, type ShapedOutput } from './counted.ts';
import { attempt } from './gpu-errors.ts';
import type { DeviceSource } from './gpu-inputs.ts';
import { deviceTensor, intoBuffers, outputBytes } from './gpu-outputs.ts';
import type { GpuCount } from './gpu-plan.ts';
import { BufferPool } from './gpu-pool.ts';
import type { GpuProgram, Place } from './gpu-program.ts';
import { wordsOf } from './gpu-words.ts';
import type { DeviceTensor } from './model-types.ts';
import type { WasmInstance } from './wasm.ts';
import { countOf, view } from './wasm-memory.ts';

/** Data, or what is on the device. */
type Input = TensorArray | DeviceSource;

/** A network on a GPU, as a whole or in parts. */
export interface GpuNetwork {
  readonly device: GPUDevice;
  /** Inputs as a run takes them, read at once. @throws Error for integers that need more than 32 bits */
  readInputs(given: readonly Input[]): readonly Input[];
  runAndRead(given: readonly Input[]): Promise<ShapedOutput[]>;
  runOnDevice(given: readonly Input[], into?: readonly unknown[]): Promise<DeviceTensor<ShapedOutput>[]>;
  dispose(): void;
}

/** A value between parts: in an array, all of it and how much counts; or on the device. */
type Held = Data | OnDevice;
interface Data {
  readonly tensor: ManifestTensor;
  readonly data: TensorArray;
  readonly count?: number | undefined;
}
interface OnDevice {
  readonly tensor: ManifestTensor;
  readonly source: DeviceSource;
  /** Once it was read back: that is done once. */
  copy?: Promise<ShapedOutput>;
}

/** What one run holds. */
interface Run {
  /** By number. */
  readonly held: Map<number, Held>;
  /** From the pool, by the number of what is in them. */
  readonly taken: Map<number, GPUBuffer>;
  readonly submitted: Promise<void>[];
  /** Where outputs go that stay on the device. */
  readonly outputs?: { readonly buffers: readonly GPUBuffer[]; readonly made: Promise<string | undefined> };
}

export class SplitNetwork implements GpuNetwork {
  readonly device: GPUDevice;
  readonly #programs: readonly GpuProgram[];
  readonly #wasm: WasmInstance;
  readonly #split: SplitManifest;
  readonly #inputs: readonly ManifestTensor[];
  readonly #outputs: readonly ManifestTensor[];
  /** By the number of a value: which output it is. */
  readonly #outputOf: ReadonlyMap<number, number>;
  readonly #counts: readonly (GpuCount | null)[];
  /** By the number of a value: the last part that reads it. */
  readonly #lastReader = new Map<number, SplitPart>();
  readonly #pool: BufferPool;

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
    this.#pool = new BufferPool(device);
    const tensors = new Map<number, ManifestTensor>();
    for (const part of split.parts) {
      for (const number of part.inputs) this.#lastReader.set(number, part);
      part.outputTensors.forEach((tensor, i) => {
        tensors.set(part.outputs[i] ?? -1, tensor);
      });
    }
    this.#outputs = split.outputs.map((number) => tensors.get(number) as ManifestTensor);
    this.#outputOf = new Map(split.outputs.map((number, k) => [number, k]));
    this.#counts = this.#outputs.map(({ count }) => (count ? { axis: count.axis, at: 0 } : null));
  }

  readInputs(given: readonly Input[]): Input[] {
    return given.map((input, k) => {
      if ('kind' in input) return input;
      const tensor = this.#inputs[k];
      if (tensor && /64/.test(tensor.dtype)) wordsOf('input', tensor, input);
      return input.slice();
    });
  }

  runAndRead(given: readonly Input[]): Promise<ShapedOutput[]> {
    return this.#run(given, undefined, (outputs) =>
      Promise.all(
        outputs.map(async (one, k): Promise<ShapedOutput> => {
          const count = this.#counts[k];
          if ('source' in one) return this.#read(one, count);
          const whole = { data: one.data, shape: [...one.tensor.shape] };
          return count ? counted(whole, count.axis, one.count ?? 0) : whole;
        }),
      ),
    );
  }

  runOnDevice(given: readonly Input[], into: readonly unknown[] = []): Promise<DeviceTensor<ShapedOutput>[]> {
    return intoBuffers(this.device, this.#outputs, this.#counts, into, (buffers, made) =>
      this.#run(given, { buffers, made }, async (outputs) => {
        const [, problem] = attempt(this.device, () => {
          outputs.forEach((one, k) => {
            if ('data' in one) this.#write(one, buffers[k] as GPUBuffer);
          });
        });
        const why = (await made) ?? (await problem);
        if (why !== undefined) throw new Error(`the device refuses this run: ${why}`);
      }),
    );
  }

  #write({ tensor, data, count }: Data, buffer: GPUBuffer): void {
    const words = wordsOf('output', tensor, data);
    if (words.length > 0) this.device.queue.writeBuffer(buffer, 0, words);
    if (tensor.count) this.device.queue.writeBuffer(buffer, words.byteLength, Int32Array.of(count ?? 0));
  }

  /** Runs the parts. @param finish is given the outputs, wherever they were computed */
  async #run<T>(
    given: readonly Input[],
    outputs: Run['outputs'],
    finish: (outputs: readonly Held[]) => Promise<T>,
  ): Promise<T> {
    const run: Run = { held: new Map(), taken: new Map(), submitted: [], ...(outputs ? { outputs } : {}) };
    this.#inputs.forEach((tensor, number) => {
      const input = given[number] ?? new Float32Array();
      run.held.set(number, 'kind' in input ? { tensor, source: input } : { tensor, data: input });
    });
    try {
      let next = 0;
      for (const part of this.#split.parts) {
        if (part.run === undefined) this.#onDevice(part, this.#programs[next++] as GpuProgram, run);
        else await this.#onWasm(part, part.run, run);
        for (const number of part.inputs) {
          const buffer = run.taken.get(number);
          if (!buffer || this.#lastReader.get(number) !== part) continue;
          run.taken.delete(number);
          this.#pool.give(buffer);
        }
      }
      const made = this.#split.outputs.map((number) => run.held.get(number) as Held);
      const [result] = await Promise.all([finish(made), ...run.submitted]);
      for (const buffer of run.taken.values()) this.#pool.give(buffer);
      return result;
    } catch (error) {
      // one that the device refused must not come back
      for (const buffer of run.taken.values()) buffer.destroy();
      this.#pool.clear();
      throw error;
    }
  }

  #onDevice({ inputs, outputs, outputTensors }: SplitPart, program: GpuProgram, run: Run): void {
    const asked: Promise<string | undefined>[] = [];
    const places = outputTensors.map((tensor, i): Place => {
      const number = outputs[i] ?? -1;
      const index = this.#outputOf.get(number) ?? -1;
      let buffer = run.outputs?.buffers[index];
      if (buffer && run.outputs) asked.push(run.outputs.made);
      else {
        const [taken, made] = this.#pool.take(Math.max(4, outputBytes(tensor, this.#counts[index])));
        if (made) asked.push(made);
        run.taken.set(number, taken);
        buffer = taken;
      }
      run.held.set(number, { tensor, source: { kind: 'buffer', source: buffer, offset: 0 } });
      return { buffer, offset: 0 };
    });
    const read = inputs.map((number) => {
      const one = run.held.get(number) as Held;
      return 'data' in one ? one.data : one.source;
    });
    const made =
      asked.length > 0 ? Promise.all(asked).then((all) => all.find((one) => one !== undefined)) : undefined;
    const submitted = program.submit(program.readInputs(read, 'value'), places, made);
    submitted.catch(() => {});
    run.submitted.push(submitted);
  }

  /** Between writing the inputs and copying the outputs nothing is awaited. */
  async #onWasm(part: SplitPart, name: string, { held }: Run): Promise<void> {
    const arrays = await Promise.all(
      part.inputs.map(async (number) => {
        const one = held.get(number) as Held;
        if ('data' in one) return one.data;
        one.copy ??= this.#read(one);
        return (await one.copy).data;
      }),
    );
    part.inputTensors.forEach((tensor, i) => {
      view(this.#wasm, tensor).set(arrays[i] as never);
    });
    (this.#wasm.exports[name] as () => void)();
    part.outputTensors.forEach((tensor, i) => {
      const data = view(this.#wasm, tensor).slice();
      held.set(part.outputs[i] ?? -1, { tensor, data, count: countOf(this.#wasm, tensor) });
    });
  }

  #read({ source, tensor }: OnDevice, count: GpuCount | null = null): Promise<ShapedOutput> {
    if (source.kind !== 'buffer' || source.offset !== 0) {
      const what = source.kind === 'buffer' ? 'a buffer from its beginning' : 'data';
      throw new Error(
        `input ${JSON.stringify(tensor.name)}: a layer on WebAssembly reads it, which takes ${what}`,
      );
    }
    return deviceTensor(this.device, tensor, count, source.source).read();
  }

  dispose(): void {
    for (const program of this.#programs) program.dispose();
    this.#pool.dispose();
  }
}
