import { realpathSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import { type FileBytes, wholeFile } from '../import/byte-source.ts';
import { importModel } from '../import/index.ts';
import type { ImportedModel, ImportOptions } from '../import/onnx/index.ts';
import { openFile } from './file-source.ts';

export interface ReadModelOptions extends Omit<ImportOptions, 'externalData'> {
  /** Is a file with weights that is not there an error? Audits do without; compiling does not. */
  readonly requireWeights?: boolean;
}

/** A model file, and how to get at the files beside it. */
export interface ModelFiles<Bytes extends FileBytes = FileBytes> {
  /** The name of the file without its extension. */
  readonly name: string;
  readonly bytes: Bytes;
  readonly externalData: (location: string) => Bytes | undefined;
}

/** Files that are in memory. */
export type ModelSource = ModelFiles<Uint8Array>;

/** Reads a model file; its external data is read from its folder only. @throws CompileError `file-unreadable` */
export async function openModel(path: string): Promise<ModelSource> {
  return inMemory(openModelFiles(path));
}

/** The same, of which is read what is asked for. @throws CompileError `file-unreadable` */
export function openModelFiles(path: string): ModelFiles {
  const bytes = openFile(path);
  const folder = realpathSync(dirname(path));
  return {
    name: basename(path).replace(/\.(onnx|json)$/i, ''),
    bytes,
    externalData: (location) => openInside(folder, location),
  };
}

/** For those who need the weights anyway: each file is read whole, and may change afterwards. */
export function inMemory<Files extends ModelFiles>(files: Files): Files & ModelSource {
  return {
    ...files,
    bytes: wholeFile(files.bytes),
    externalData: (location) => {
      const file = files.externalData(location);
      return file && wholeFile(file);
    },
  };
}

/**
 * Reads an ONNX model or a JSON network description, and its weights from the folder of the model only. Where they are not
 * required, weights stay in the files until their data is asked for.
 * @throws CompileError as `importModel`, and `file-unreadable`, `external-outside`, `external-missing`
 */
export async function readModel(path: string, options: ReadModelOptions = {}): Promise<ImportedModel> {
  const { requireWeights = false, ...rest } = options;
  const files = openModelFiles(path);
  const { name, bytes, externalData } = requireWeights ? inMemory(files) : files;
  const model = importModel(bytes, { name, ...rest, externalData });
  if (requireWeights && model.missingFiles.length > 0) {
    throw new CompileError(
      model.missingFiles.map((file) => diagnostic('external-missing', file, `not found in ${dirname(path)}`)),
    );
  }
  return model;
}

/** A file in `folder` or below it, links followed; undefined if there is none. */
function openInside(folder: string, location: string): FileBytes | undefined {
  let real: string;
  try {
    real = realpathSync(join(folder, location));
  } catch {
    return undefined;
  }
  const root = folder.endsWith(sep) ? folder : folder + sep;
  if (!real.startsWith(root))
    fail('external-outside', location, `this is a link to ${real}, outside the model’s folder`);
  return openFile(real);
}
