/**
 * How a model is loaded and run, and what it says of itself. As it stands, this is in the types of every bundle too, where
 * `Model` is over the bundle's own Inputs, Outputs and ShapedOutputs.
 */

export interface LoadOptions {
  /**
   * Each needs a bundle that was compiled for it. `auto` takes WebGPU where the bundle has it and there is a real GPU, else
   * WebAssembly; `info.backendNote` says why. Of a bundle without WebAssembly it takes any adapter. `auto` unless said.
   */
  readonly backend?: 'auto' | 'wasm' | 'webgpu';
  /**
   * A GPUDevice to run on, which stays the caller's; one of its own unless given. With one, `auto` asks for no adapter: it
   * takes WebGPU on this device, of whatever adapter it is, and WebAssembly where that fails, with the reason.
   */
  readonly device?: Web<'GPUDevice', object>;
  /** How many threads run the network together; 1 unless said. More need a bundle that was compiled for them. */
  readonly threads?: number;
  /**
   * Take the module for relaxed SIMD where the bundle has one and the engine runs it well: faster, its sums may differ in
   * their last bits from engine to engine. With false the outputs are the same bits everywhere. True unless said.
   */
  readonly relaxed?: boolean;
  /** Run a few times before the promise resolves, so that the engine has compiled its fast code; true unless said. */
  readonly warmup?: boolean;
  /**
   * Check the SHA-256 of module and weights too, not only their sizes; on a GPU, also that the outputs on the inputs of the
   * self-test are those that are expected. False unless said.
   */
  readonly verify?: boolean;
  readonly signal?: AbortSignal;
  /** Told what is under way, and how far it is, from 0 to 1. */
  readonly onProgress?: (stage: LoadStage, fraction: number) => void;
}

export type LoadStage = 'weights' | 'warmup';

export interface TensorInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Of an input that takes a picture as bytes: what a pixel is. */
  readonly pixels?: 'rgba' | 'rgb' | 'gray';
}

/** The network at one set of input shapes. */
export interface SpecialisationInfo {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly macs: number;
}

export interface ModelInfo {
  readonly name: string;
  readonly backend: 'wasm' | 'webgpu';
  /** Why a bundle for WebGPU runs on WebAssembly, in software, or without the half precision it was compiled for, where it does. */
  readonly backendNote?: string;
  /** What the module in use was made for: baseline SIMD, or relaxed SIMD; of WebGPU, the name of the adapter. */
  readonly engine: string;
  /** How many threads run the network. */
  readonly threads: number;
  /** Why that is fewer than were asked for. */
  readonly threadsNote?: string;
  /** Of a network of which some layers have no kernel on a GPU: the values that a run copies to WebAssembly and back. */
  readonly copies?: { readonly values: number; readonly bytes: number };
  /**
   * All memory that the model uses, weights included; fixed. On a GPU, that of its buffers, without those of outputs: a run has
   * one of their size, and runs that overlap have one each, as they have of what goes between the parts of a network that is cut.
   */
  readonly memoryBytes: number;
  /** Of the first specialisation, as outputs and macs. */
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly macs: number;
  /** The sets of input shapes that the model runs at; `run` takes the one that the inputs fit. */
  readonly specialisations: readonly SpecialisationInfo[];
  readonly parameters: number;
  /** The program that made the bundle, with its version. */
  readonly generator: string;
}

/** A class of the web, where the program knows its types: those of a page, or of WebGPU. */
type Web<Name extends string, Else = never> =
  typeof globalThis extends Record<Name, { prototype: infer T }> ? T : Else;

/**
 * An input in memory of the model's device, on WebGPU: a buffer with the usage COPY_SRC of just as many words of 32 bits as
 * there are elements, or a larger one with a place in it. What `runOnDevice` gives is one.
 */
export type DeviceInput =
  | Web<'GPUBuffer'>
  | DeviceTensor<unknown>
  | {
      readonly buffer: Web<'GPUBuffer'>;
      /** In bytes; 0 unless said. */
      readonly offset?: number;
      readonly shape?: readonly number[];
    };

/** A picture of the input's own size, on WebGPU, of a network that was compiled with preprocessing. */
export type PictureSource =
  | Web<'ImageBitmap'>
  | Web<'HTMLCanvasElement'>
  | Web<'OffscreenCanvas'>
  | Web<'HTMLImageElement'>
  | Web<'HTMLVideoElement'>
  | Web<'VideoFrame'>
  | Web<'GPUTexture'>
  | Web<'GPUExternalTexture'>;

/** An output in a buffer of the device that is the caller's: later runs leave it alone, and nobody else destroys it. */
export interface DeviceTensor<Shaped> {
  /** Dense and row-major, a word of 32 bits for each element; usage STORAGE, COPY_SRC and COPY_DST. */
  readonly buffer: Web<'GPUBuffer', object>;
  /** Of the network's output. */
  readonly dtype: string;
  /** What its words are: narrower integers and booleans, and those of 64 bits, are of 32 bits there. */
  readonly word: 'f32' | 'i32' | 'u32';
  readonly shape: readonly number[];
  /** Where the size of an axis depends on data: at which byte the word is that says how many of its positions count. */
  readonly count?: { readonly axis: number; readonly offset: number };
  /** A copy in an array, as `run` gives it with its shape. */
  read(): Promise<Shaped>;
  /** Destroys the buffer. */
  destroy(): void;
}

export interface Model<Inputs, Outputs, ShapedOutputs> {
  /** Of a device that was lost, and replaced, that of the new one. */
  readonly info: ModelInfo;
  /** The GPUDevice that the model runs on; after a loss, the new one. Undefined on WebAssembly. */
  readonly device: Web<'GPUDevice', object> | undefined;
  /** Runs that overlap are done one after the other, in the order of the calls. */
  run(inputs: Inputs, options?: { readonly shapes?: false }): Promise<Outputs>;
  run(inputs: Inputs, options: { readonly shapes: true }): Promise<ShapedOutputs>;
  /**
   * Runs the network on WebGPU without reading anything back. The promise resolves when the run is submitted: what is submitted
   * to the device's queue after that finds the outputs there. On WebAssembly it is refused.
   * @param options.into buffers for outputs, by name, in place of new ones; with the usage COPY_DST
   */
  runOnDevice(
    inputs: Inputs,
    options?: { readonly into?: { readonly [Name in keyof ShapedOutputs]?: Web<'GPUBuffer', object> } },
  ): Promise<{ readonly [Name in keyof ShapedOutputs]: DeviceTensor<ShapedOutputs[Name]> }>;
  /** Gives the memory back, and a device of the model's own with all that is on it; a later run is refused. */
  dispose(): void;
}
