/** The manifest as deterministic text, and back from text that nobody vouches for. */
import {
  ABI_VERSION,
  ARRAYS,
  type FileEntry,
  type Manifest,
  type ManifestTensor,
  type ModuleEntry,
  type PictureInput,
  type SelfTest,
  type Specialisation,
  type SplitManifest,
  type SplitPart,
  sizeOf,
  specialisationsOf,
  type WasmManifest,
  type WebgpuManifest,
} from '#runtime/abi.ts';
import type { Panel, StoredPart } from '#runtime/stored-weights.ts';
import { sha256 } from './digest.ts';

export type { FileEntry, Manifest, ManifestTensor, SelfTest } from '#runtime/abi.ts';

export const MANIFEST_FILE = 'manifest.json';

export const formatManifest = (manifest: Manifest): string => `${JSON.stringify(manifest, null, 1)}\n`;

/** The manifest with the digest over its own text. */
export async function sealManifest(manifest: Omit<Manifest, 'digest'>): Promise<Manifest> {
  const open: Manifest = { ...manifest, digest: '' };
  return { ...open, digest: await sha256(new TextEncoder().encode(formatManifest(open))) };
}

/** The manifest in `text`, or what is wrong with it. */
export async function openManifest(text: string): Promise<Manifest | { readonly problem: string }> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'it is not JSON' };
  }
  if (!isObject(value) || typeof value.abi !== 'number')
    return { problem: 'it is not the manifest of a bundle' };
  if (value.abi !== ABI_VERSION) {
    return { problem: `it has version ${value.abi}; this convolith reads ${ABI_VERSION}` };
  }
  if (!isManifest(value)) return { problem: 'fields are missing or ill-typed' };
  const sealed = await sealManifest(value);
  // compared as text, so that a change that parses to the same values is found too
  return formatManifest(sealed) === text ? sealed : { problem: 'its text does not fit its own SHA-256' };
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isSizeOrAbsent = (value: unknown): value is number | undefined => value === undefined || isSize(value);
const isListOf = <T>(value: unknown, is: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.every(is);

const isFileEntry = (value: unknown): value is FileEntry =>
  isObject(value) && isSize(value.bytes) && typeof value.sha256 === 'string';

/** Parts end inside the memory; what lies between their bounds is the reader's business. */
const isStored = (value: unknown, memoryBytes: unknown): value is NonNullable<WasmManifest['stored']> =>
  isObject(value) &&
  isSize(value.bytes) &&
  value.bytes <= Number(memoryBytes) &&
  isListOf(value.parts, isStoredPart);

const STORED_KINDS: readonly unknown[] = ['f32', 'f16', 'i8'] satisfies StoredPart['kind'][];

const isStoredPart = (value: unknown): value is StoredPart => {
  if (!isObject(value) || !isSize(value.to)) return false;
  if (value.kind === 'winograd') {
    const sizes = [value.groups, value.inputChannels, value.channels, value.width];
    return sizes.every(isSize) && STORED_KINDS.includes(value.of) && isListOf(value.matrix, isNumber);
  }
  if (value.kind === 'i8')
    return isListOf(value.panels, (p): p is Panel => isObject(p) && isSize(p.rows) && isSize(p.width));
  return STORED_KINDS.includes(value.kind) && isSize(value.floats);
};

const isModuleEntry = (value: unknown): value is ModuleEntry =>
  isFileEntry(value) &&
  'file' in value &&
  typeof value.file === 'string' &&
  isFileName(value.file) &&
  'engine' in value &&
  (value.engine === 'simd' || value.engine === 'relaxed') &&
  (!('threads' in value) || value.threads === true);

const isNumber = (value: unknown): value is number => typeof value === 'number';

const isPicture = (value: unknown): value is PictureInput =>
  isObject(value) &&
  ['pixels', 'channels', 'resize'].every((key) => typeof value[key] === 'string') &&
  isNumber(value.pad) &&
  isNumber(value.scale) &&
  isListOf(value.mean, isNumber) &&
  isListOf(value.std, isNumber);

const isTensor = (value: unknown): value is ManifestTensor =>
  isObject(value) &&
  typeof value.name === 'string' &&
  typeof value.dtype === 'string' &&
  Object.hasOwn(ARRAYS, value.dtype) &&
  isListOf(value.shape, isSize) &&
  isSizeOrAbsent(value.address) &&
  (value.count === undefined ||
    (isObject(value.count) && isSize(value.count.axis) && isSizeOrAbsent(value.count.address))) &&
  (value.picture === undefined || isPicture(value.picture));

const isSelfTest = (value: unknown): value is SelfTest =>
  isObject(value) &&
  isSize(value.seed) &&
  typeof value.file === 'string' &&
  isListOf(
    value.outputs,
    (o): o is SelfTest['outputs'][number] =>
      isObject(o) && typeof o.name === 'string' && isSize(o.samples) && isSize(o.checksum),
  );

const isSpecialisation = (value: unknown): value is Specialisation =>
  isObject(value) &&
  typeof value.run === 'string' &&
  isListOf(value.inputs, isTensor) &&
  isListOf(value.outputs, isTensor) &&
  isObject(value.cost);

const isWasm = (value: unknown): value is WasmManifest =>
  isObject(value) &&
  isListOf(value.modules, isModuleEntry) &&
  value.modules.some(({ engine, threads }) => engine === 'simd' && !threads) &&
  isSize(value.mostThreads) &&
  (value.stored === undefined || isStored(value.stored, value.memoryBytes)) &&
  isFileEntry(value.weights) &&
  isSize(value.weightsAddress) &&
  isSize(value.memoryBytes) &&
  value.weightsAddress + (value.stored?.bytes ?? value.weights.bytes) <= value.memoryBytes;

const isWebgpu = (value: unknown): value is WebgpuManifest =>
  isObject(value) &&
  isFileEntry(value.kernels) &&
  isFileEntry(value.weights) &&
  isSize(value.memoryBytes) &&
  (value.split === undefined || isSplit(value.split));

function isSplit(value: unknown): value is SplitManifest {
  if (!isObject(value) || !isWasm(value.wasm)) return false;
  const { memoryBytes } = value.wasm;
  return (
    isListOf(value.parts, isSplitPart) &&
    value.parts.every(
      ({ run, inputTensors, outputTensors }) =>
        run === undefined || isPlaced({ inputs: inputTensors, outputs: outputTensors }, memoryBytes),
    ) &&
    isListOf(value.outputs, isSize) &&
    isObject(value.copies) &&
    isSize(value.copies.values) &&
    isSize(value.copies.bytes)
  );
}

const isSplitPart = (value: unknown): value is SplitPart =>
  isObject(value) &&
  isListOf(value.inputs, isSize) &&
  isListOf(value.outputs, isSize) &&
  isListOf(value.inputTensors, isTensor) &&
  isListOf(value.outputTensors, isTensor) &&
  (value.run === undefined || typeof value.run === 'string');

/** Does every tensor lie in the memory of a module? */
const isPlaced = (
  { inputs, outputs }: Pick<Specialisation, 'inputs' | 'outputs'>,
  memoryBytes: number,
): boolean => {
  const fits = (address: number | undefined, bytes: number) =>
    address !== undefined && address + bytes <= memoryBytes;
  return [...inputs, ...outputs].every(
    ({ dtype, shape, address, count }) =>
      fits(address, ARRAYS[dtype].BYTES_PER_ELEMENT * sizeOf(shape)) &&
      (!count || fits(count.address, BigInt64Array.BYTES_PER_ELEMENT)),
  );
};

/** Names inside the folder only: a manifest must not lead a reader elsewhere. */
const isFileName = (name: string): boolean => /^[\w-][\w.-]*$/.test(name);

function isManifest(value: Fields): value is Fields & Manifest {
  const { wasm, webgpu, files, cost } = value;
  return (
    typeof value.name === 'string' &&
    typeof value.generator === 'string' &&
    isListOf(value.inputs, isTensor) &&
    isListOf(value.outputs, isTensor) &&
    (value.further === undefined || isListOf(value.further, isSpecialisation)) &&
    (wasm !== undefined || webgpu !== undefined) &&
    (wasm === undefined ||
      (isWasm(wasm) && specialisationsOf(value as never).every((one) => isPlaced(one, wasm.memoryBytes)))) &&
    (webgpu === undefined || isWebgpu(webgpu)) &&
    isObject(cost) &&
    isSelfTest(value.selfTest) &&
    isObject(files) &&
    Object.entries(files).every(([name, entry]) => isFileName(name) && isFileEntry(entry))
  );
}
