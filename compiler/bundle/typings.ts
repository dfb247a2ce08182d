/** `index.d.ts`: the API of one bundle, with the names and types of its network. */
import { ARRAYS, type ManifestTensor, type ProgramManifest, specialisationsOf } from '#runtime/abi.ts';

export function typings(program: ProgramManifest): string {
  const all = specialisationsOf(program);
  const shapedOutputs = all.map((one) => `{\n${members([one.outputs], shaped)}}`);
  return `/** ${comment(program.name)}, compiled to WebAssembly. */

/** ${INPUTS}${all.length > 1 ? SEVERAL : ''} */
export interface Inputs {
${members(
  all.map((one) => one.inputs),
  inputType,
)}}

/** Flat arrays in row-major order, channels first. They are copies, and stay as they are when the model runs again. */
export interface Outputs {
${members(
  all.map((one) => one.outputs),
  (t) => (t.count ? shaped(t) : arrayName(t)),
)}}

/** What \`run\` gives with \`{ shapes: true }\`. */
${all.length > 1 ? `export type ShapedOutputs =\n  | ${shapedOutputs.join('\n  | ')};` : `export interface ShapedOutputs ${shapedOutputs[0]}`}

${FIXED}`;
}

const INPUTS =
  'Flat arrays in row-major order, channels first: the typed array, or a plain array of as many elements; or either with its shape.';
const SEVERAL = ' The model runs at each of the shapes listed.';

type Ports = readonly (readonly ManifestTensor[])[];

/** Members by name; the first list says which there are. */
function members(lists: Ports, type: (tensor: ManifestTensor) => string): string {
  const distinct = (texts: readonly string[], word: string) => [...new Set(texts)].join(word);
  return (lists[0] ?? [])
    .map(({ name }) => {
      const same = lists.flatMap((list) => list.filter((t) => t.name === name));
      return `  /** ${distinct(same.map(describe), '; or ')} */\n  readonly ${propertyName(name)}: ${distinct(same.map(type), ' | ')};\n`;
    })
    .join('');
}

/** The size of an axis that depends on data is any number. */
const shaped = (tensor: ManifestTensor): string => {
  const sizes = tensor.shape.map((size, axis) => (axis === tensor.count?.axis ? 'number' : size));
  return `{ readonly data: ${arrayName(tensor)}; readonly shape: readonly [${sizes.join(', ')}] }`;
};

function inputType(tensor: ManifestTensor): string {
  const { dtype, picture } = tensor;
  const wide = dtype === 'i64' || dtype === 'u64';
  const clamped = dtype === 'u8' ? ' | Uint8ClampedArray' : '';
  const data = `${arrayName(tensor)}${clamped} | readonly ${wide ? 'bigint' : 'number'}[]`;
  const withShape = `{ readonly data: ${data}; readonly shape: readonly number[] }`;
  // what an ImageData is
  const image = `{ readonly data: Uint8ClampedArray; readonly width: number; readonly height: number }`;
  return [data, withShape, ...(picture?.pixels === 'rgba' ? [image] : [])].join(' | ');
}

const arrayName = ({ dtype }: ManifestTensor): string => ARRAYS[dtype].name;

function describe({ dtype, shape, picture }: ManifestTensor): string {
  const sizes = shape.length > 0 ? shape.join('×') : 'a scalar';
  if (!picture) return `${dtype === 'bool' ? 'bool (0 or 1)' : dtype}, ${sizes}`;
  const [batch = 1, height, width] = shape;
  const count = batch > 1 ? `${batch} pictures` : 'a picture';
  const how = picture.pixels === 'rgba' ? ', an ImageData or its data' : '';
  return `${count} of ${width} × ${height} pixels (width × height), ${picture.pixels} bytes row by row (${sizes})${how}`;
}

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
  readonly backend: 'wasm';
  readonly threads: 1;
  /** All memory that the model uses, weights included; fixed. */
  readonly memoryBytes: number;
  /** Of the first specialisation, as outputs and macs. */
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly macs: number;
  /** The sets of input shapes that the model runs at; \`run\` takes the one that the inputs fit. */
  readonly specialisations: readonly SpecialisationInfo[];
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
