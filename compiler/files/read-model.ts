import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import { type ImportedModel, type ImportOptions, importOnnx } from '../import/onnx/index.ts';
import { readFileOnce } from './read-file.ts';

export interface ReadModelOptions extends Omit<ImportOptions, 'externalData'> {
  /** Is a file with weights that is not there an error? Audits do without; compiling does not. */
  readonly requireWeights?: boolean;
}

/**
 * Reads an ONNX model, and its external data from the folder of the model only.
 * @throws CompileError as `importOnnx`, and `file-unreadable`, `external-outside`, `external-missing`
 */
export async function readModel(path: string, options: ReadModelOptions = {}): Promise<ImportedModel> {
  const { requireWeights = false, ...rest } = options;
  const bytes = await readFile(path).catch((error: unknown) =>
    fail('file-unreadable', path, error instanceof Error ? error.message : String(error)),
  );
  const folder = realpathSync(dirname(path));
  const name = rest.name ?? basename(path).replace(/\.onnx$/i, '');
  const model = importOnnx(bytes, {
    ...rest,
    name,
    externalData: (location) => readInside(folder, location),
  });
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
