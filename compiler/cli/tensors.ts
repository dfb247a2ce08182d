/** Input tensors from files or at random; outputs to files. */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '#ir/diagnostics.ts';
import type { Tensor } from '#ir/tensor.ts';
import { formatType, type Shape, sameType, type TensorType } from '#ir/types.ts';
import { seededInput } from '#runtime/abi.ts';
import { arrayConversion, arrayHint } from '../files/array-hint.ts';
import { formatJsonTensor, type JsonNumbers, parseJsonTensor } from '../files/json-tensor.ts';
import { formatNpy, parseNpy } from '../files/npy.ts';
import { systemReason } from '../files/read-file.ts';
import type { Backend } from './backends.ts';
import { assignment } from './options.ts';
import { writeResult } from './output.ts';
import { isImageFile, type PictureTexts, pictureInput, pictureOptions } from './pictures.ts';
import type { CommandContext } from './program.ts';
import { didYouMean } from './suggest.ts';

/** A tensor from a file, before the type that the network asks for is known. */
export interface GivenInput {
  readonly name: string;
  /** Undefined for a flat list, which takes the network's shape. */
  readonly shape: Shape | undefined;
  /** What the file has, in few words. */
  readonly found: string;
  fits(type: TensorType): boolean;
  /** What to do to the file so that it fits; undefined where another is needed. */
  toFit(type: TensorType): string | undefined;
  /** @throws CompileError `input-invalid` where it does not fit */
  as(type: TensorType): Tensor;
}

/** Reads `NAME=FILE` options. @throws CompileError, also where a name is given twice */
export async function readInputs(
  options: readonly string[],
  pictures: PictureTexts = {},
): Promise<GivenInput[]> {
  const files = new Map<string, string>();
  for (const option of options) {
    const [name, file] = assignment(option, '--input', 'image=cat.npy');
    const before = files.get(name);
    if (before !== undefined) {
      const hint = `keep --input ${name}=${before} or --input ${option}; an input has one value`;
      fail('usage-invalid', `--input ${option}`, `"${name}" is given twice`, hint);
    }
    files.set(name, file);
  }
  const inputs: GivenInput[] = [];
  for (const [name, file] of files) inputs.push(await readInput(name, file, pictures));
  return inputs;
}

async function readInput(name: string, file: string, pictures: PictureTexts): Promise<GivenInput> {
  const bytes = await readFile(file).catch((error: unknown) =>
    fail('file-unreadable', file, systemReason(error)),
  );
  const extension = /\.(\w+)$/.exec(file)?.[1]?.toLowerCase();
  if (extension === 'json') return jsonInput(name, parseJsonTensor(bytes.toString('utf8'), file));
  if (extension === 'npy') return typedInput(name, parseNpy(bytes, file));
  if (extension === 'pb') return typedInput(name, await parseTensorProto(bytes, file));
  if (isImageFile(file)) return pictureInput(name, file, bytes, await pictureOptions(pictures));
  const kinds = '.npy, .json, .pb, .png, .jpg';
  return fail(
    'usage-invalid',
    `--input ${name}=${file}`,
    `the file is none of ${kinds}`,
    'save an array as .npy, with numpy.save(file, array)',
  );
}

const jsonInput = (name: string, given: JsonNumbers): GivenInput => ({
  name,
  shape: given.shape,
  found: given.found,
  fits: given.fits,
  toFit: given.toFit,
  as: (type) => given.as(type, name),
});

function typedInput(name: string, given: Tensor): GivenInput {
  const found = formatType(given.type);
  return {
    name,
    shape: given.type.shape,
    found,
    fits: (type) => sameType(given.type, type),
    toFit: (type) =>
      arrayConversion(given.type, type) === undefined ? undefined : arrayHint(given.type, type),
    as(type) {
      if (sameType(given.type, type)) return given;
      const message = `the file has ${found}, the model asks for ${formatType(type)}`;
      return fail('input-invalid', name, message, arrayHint(given.type, type));
    },
  };
}

async function parseTensorProto(bytes: Uint8Array, file: string): Promise<Tensor> {
  const { ProtobufError, TensorProto } = await import('../import/onnx/generated/onnx-proto.js');
  const { importTensor } = await import('../import/onnx/tensors.ts');
  const context = {
    model: bytes,
    externalData: () => undefined,
    missingFiles: new Set<string>(),
    converted: new Set<string>(),
  };
  try {
    const constant = importTensor(TensorProto.decode(bytes), context);
    if (constant.data) return constant;
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
  }
  return fail(
    'input-invalid',
    file,
    'this is not an ONNX TensorProto with its data',
    'write numpy_helper.from_array(array).SerializeToString(), or save the array as .npy',
  );
}

/** A tensor for each input: the given one, else a random one if there is a seed. @throws CompileError `input-invalid` */
export function bindInputs(
  wanted: Backend['inputs'],
  given: readonly GivenInput[],
  seed: number | undefined,
): Map<string, Tensor> {
  const names = wanted.map(({ name }) => name);
  for (const { name } of given) {
    if (!names.includes(name)) {
      const hint = didYouMean(name, names);
      fail('input-invalid', name, `there is no input of this name; there is ${names.join(', ')}`, hint);
    }
  }
  const tensors = wanted.map(({ name, type }, index): [string, Tensor] => {
    const input = given.find((g) => g.name === name);
    if (input) return [name, input.as(type)];
    if (seed === undefined) {
      const hint = `give it with --input ${name}=FILE.npy, or random values with --random 1`;
      fail('input-invalid', name, `no value was given for this input (${formatType(type)})`, hint);
    }
    return [name, { type, data: seededInput(type, seed, index) }];
  });
  return new Map(tensors);
}

/** Writes outputs as `-o` asks: one to a file, all to a folder, or each `NAME=FILE`. @throws CompileError */
export async function writeOutputs(
  outputs: ReadonlyMap<string, Tensor>,
  options: readonly string[],
  context: CommandContext,
): Promise<void> {
  for (const option of options) {
    const [name, file] = outputs.has(option.slice(0, option.lastIndexOf('=')))
      ? assignment(option, '-o', '')
      : ['', option];
    const tensor = outputs.get(name);
    if (tensor) await writeTensor(tensor, file, context);
    else if (/[^/\\]=/.test(option)) {
      const wrong = option.slice(0, option.lastIndexOf('='));
      const hint = didYouMean(wrong, [...outputs.keys()]) ?? `there is ${[...outputs.keys()].join(', ')}`;
      fail('usage-invalid', `-o ${option}`, `there is no output "${wrong}"`, hint);
    } else await writeUnnamed(outputs, file, context);
  }
}

async function writeUnnamed(
  outputs: ReadonlyMap<string, Tensor>,
  file: string,
  context: CommandContext,
): Promise<void> {
  const folder = /[/\\]$/.test(file) || (await isFolder(file));
  const [only] = outputs.values();
  if (outputs.size === 1 && only && !folder) return writeTensor(only, file, context);
  if (!folder && /\.(npy|json)$/i.test(file)) {
    fail(
      'usage-invalid',
      `-o ${file}`,
      `there are ${outputs.size} outputs`,
      'give a folder, or -o NAME=FILE for each',
    );
  }
  if (!(await isFolder(file))) {
    await mkdir(file).catch((error: unknown) => fail('file-unreadable', file, systemReason(error)));
  }
  for (const [name, tensor] of outputs) {
    await writeTensor(
      tensor,
      join(
        file,
        `${name.replace(/^\W+|[^\w.-]+/g, (s, at: number) => (at === 0 && s ? '' : '_')) || 'output'}.npy`,
      ),
      context,
    );
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );

function writeTensor({ type, data }: Tensor, file: string, context: CommandContext): Promise<void> {
  const extension = /\.(\w+)$/.exec(file)?.[1]?.toLowerCase() ?? 'npy';
  if (extension === 'npy') return writeResult(formatNpy({ type, data }), file, context);
  if (extension !== 'json') {
    fail(
      'usage-invalid',
      `-o ${file}`,
      `no format goes with .${extension}`,
      'tensors are written as .npy or .json',
    );
  }
  return writeResult(`${formatJsonTensor({ type, data })}\n`, file, context);
}
