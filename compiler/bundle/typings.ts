/** `index.d.ts`: the API of one bundle, with the names and types of its network. */
import { ARRAYS, type ManifestTensor, type ProgramManifest, specialisationsOf } from '#runtime/abi.ts';
import { MODEL_TYPES } from './generated/model-types.ts';

export function typings(program: ProgramManifest): string {
  const all = specialisationsOf(program);
  const shapedOutputs = all.map((one) => `{\n${members([one.outputs], shaped)}}`);
  const targets = [...(program.wasm ? ['WebAssembly'] : []), ...(program.webgpu ? ['WebGPU'] : [])];
  return `/** ${comment(program.name)}, compiled to ${targets.join(' and ')}. */

/** ${INPUTS}${all.length > 1 ? SEVERAL : ''} */
export interface Inputs {
${members(
  all.map((one) => one.inputs),
  (tensor) => [inputType(tensor), ...(program.webgpu ? deviceTypes(tensor) : [])].join(' | '),
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

/** What a model on WebGPU takes too. */
const deviceTypes = ({ picture, shape }: ManifestTensor): string[] => [
  'DeviceInput',
  ...(picture && shape[0] === 1 ? ['PictureSource'] : []),
];

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

const FIXED = `${MODEL_TYPES}
/** Loads the model from the files beside this module. */
export function load(options?: LoadOptions): Promise<Model>;
`;
