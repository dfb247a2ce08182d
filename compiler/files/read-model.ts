import { dirname } from 'node:path';
import { CompileError, diagnostic } from '#ir/diagnostics.ts';
import { importModel } from '../import/index.ts';
import type { ImportedModel, ImportOptions } from '../import/onnx/index.ts';
import { inMemory, openModelFiles } from './model-files.ts';

export interface ReadModelOptions extends Omit<ImportOptions, 'externalData'> {
  /** Is a file with weights that is not there an error? Audits do without; compiling does not. */
  readonly requireWeights?: boolean;
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
