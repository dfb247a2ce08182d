import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import { importModel } from '../import/index.ts';
import type { ImportedModel, ImportOptions } from '../import/onnx/index.ts';
import { readFileOnce, systemReason } from './read-file.ts';

export interface ReadModelOptions extends Omit<ImportOptions, 'externalData'> {
  /** Is a file with weights that is not there an error? Audits do without; compiling does not. */
  readonly requireWeights?: boolean;
}

/** The bytes of a model file, and how to get at the files beside it. */
export interface ModelSource {
  /** The name of the file without its extension. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly externalData: (location: string) => Uint8Array | undefined;
}

/** Opens a model file; its external data is read from its folder only. @throws CompileError `file-unreadable` */
export async function openModel(path: string): Promise<ModelSource> {
  const bytes = await readFile(path).catch((error: unknown) =>
    fail('file-unreadable', path, systemReason(error)),
  );
  const folder = realpathSync(dirname(path));
  return {
    name: basename(path).replace(/\.(onnx|json)$/i, ''),
    bytes,
    externalData: (location) => readInside(folder, location),
  };
}

/**
 * Reads an ONNX model or a JSON network description, and its weights from the folder of the model only.
 * @throws CompileError as `importModel`, and `file-unreadable`, `external-outside`, `external-missing`
 */
export async function readModel(path: string, options: ReadModelOptions = {}): Promise<ImportedModel> {
  const { requireWeights = false, ...rest } = options;
  const { name, bytes, externalData } = await openModel(path);
  const model = importModel(bytes, { name, ...rest, externalData });
  if (requireWeights && model.missingFiles.length > 0) {
    throw new CompileError(
      model.missingFiles.map((file) => diagnostic('external-missing', file, `not found in ${dirname(path)}`)),
    );
  }
  return model;
}

/** The bytes of a file in `folder` or below it, links followed; undefined if there is none. */
function readInside(folder: string, location: string): Uint8Array | undefined {
  let real: string;
  try {
    real = realpathSync(join(folder, location));
  } catch {
    return undefined;
  }
  const root = folder.endsWith(sep) ? folder : folder + sep;
  if (!real.startsWith(root))
    fail('external-outside', location, `this is a link to ${real}, outside the model’s folder`);
  return readFileOnce(real);
}
