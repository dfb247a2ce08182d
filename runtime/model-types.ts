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
  /** A GPUDevice to run on, which stays the caller's; one of its own unless given. */
  readonly device?: object;
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
  /** All memory that the model uses, weights included; fixed. On a GPU, that of its buffers. */
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

export interface Model<Inputs, Outputs, ShapedOutputs> {
  readonly info: ModelInfo;
  /** Runs that overlap are done one after the other, in the order of the calls. */
  run(inputs: Inputs, options?: { readonly shapes?: false }): Promise<Outputs>;
  run(inputs: Inputs, options: { readonly shapes: true }): Promise<ShapedOutputs>;
  /** Gives the memory back; a later run is refused. */
  dispose(): void;
}
