/** `index.d.ts`: the API of one bundle, with the names and types of its network. */
import { ARRAYS, type ManifestTensor, type ProgramManifest } from '#runtime/abi.ts';

export function typings({ name, inputs, outputs }: ProgramManifest): string {
  const members = (tensors: readonly ManifestTensor[], type: (tensor: ManifestTensor) => string): string =>
    tensors.map((t) => `  /** ${describe(t)} */\n  readonly ${propertyName(t.name)}: ${type(t)};\n`).join('');
  return `/** ${comment(name)}, compiled to WebAssembly. */

/** Flat arrays in row-major order, channels first: the typed array, or a plain array of as many elements. */
export interface Inputs {
${members(inputs, inputType)}}

/** Flat arrays in row-major order, channels first. They are copies, and stay as they are when the model runs again. */
export interface Outputs {
${members(outputs, (t) => (t.count ? shaped(t) : arrayName(t)))}}

/** What \`run\` gives with \`{ shapes: true }\`. */
export interface ShapedOutputs {
${members(outputs, shaped)}}

${FIXED}`;
}

/** The size of an axis that depends on data is any number. */
const shaped = (tensor: ManifestTensor): string => {
  const sizes = tensor.shape.map((size, axis) => (axis === tensor.count?.axis ? 'number' : size));
  return `{ readonly data: ${arrayName(tensor)}; readonly shape: readonly [${sizes.join(', ')}] }`;
};

const inputType = (tensor: ManifestTensor): string =>
  `${arrayName(tensor)} | readonly ${tensor.dtype === 'i64' || tensor.dtype === 'u64' ? 'bigint' : 'number'}[]`;

const arrayName = ({ dtype }: ManifestTensor): string => ARRAYS[dtype].name;

const describe = ({ dtype, shape }: ManifestTensor): string =>
  `${dtype === 'bool' ? 'bool (0 or 1)' : dtype}, ${shape.length > 0 ? shape.join('×') : 'a scalar'}`;

/** A name as a property: quoted unless it is an identifier. */
export const propertyName = (name: string): string =>
  /^[A-Za-z_$][\w$]*$/.test(name) ? name : asciiJson(name);

/** A string literal without characters that end a line somewhere. */
const asciiJson = (text: string): string =>
  JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Text that cannot end the comment that it stands in. */
const comment = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').replaceAll('*/', '* /');

const FIXED = `export interface LoadOptions {
  /** \`auto\` takes the fastest that the bundle has and the engine runs. */
  readonly backend?: 'auto' | 'wasm';
  readonly threads?: 1;
  /** Run a few times before the promise resolves, so that the engine has compiled its fast code; true unless said. */
  readonly warmup?: boolean;
  /** Check the SHA-256 of module and weights too, not only their sizes; false unless said. */
  readonly verify?: boolean;
  readonly signal?: AbortSignal;
  /** Told what is under way, and how far it is, from 0 to 1. */
  readonly onProgress?: (stage: 'weights' | 'warmup', fraction: number) => void;
}

export interface TensorInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface ModelInfo {
  readonly name: string;
  readonly backend: 'wasm';
  readonly threads: 1;
  /** All memory that the model uses, weights included; fixed. */
  readonly memoryBytes: number;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly macs: number;
  readonly parameters: number;
  /** The program that made the bundle, with its version. */
  readonly generator: string;
}

export interface Model {
  readonly info: ModelInfo;
  /** Runs that overlap are done one after the other, in the order of the calls. */
  run(inputs: Inputs, options?: { readonly shapes?: false }): Promise<Outputs>;
  run(inputs: Inputs, options: { readonly shapes: true }): Promise<ShapedOutputs>;
  /** Gives the memory back; a later run is refused. */
  dispose(): void;
}

/** Loads the model from the files beside this module. */
export function load(options?: LoadOptions): Promise<Model>;
`;
