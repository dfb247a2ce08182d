/** A model in whichever of the formats that are read. */
import { fail } from '#ir/diagnostics.ts';
import { type FileBytes, wholeFile } from './byte-source.ts';
import { formatOf } from './format.ts';
import { importJson, type JsonImportOptions } from './json/index.ts';
import { type ImportedModel, importOnnx } from './onnx/index.ts';

export { formatOf, type ModelFormat } from './format.ts';

/** Reads an ONNX model or a JSON network description. @throws CompileError with every problem found */
export function importModel(bytes: FileBytes, options: JsonImportOptions = {}): ImportedModel {
  if (formatOf(bytes) === 'json') return importJson(decode(wholeFile(bytes), options.name), options);
  const { weights, ...rest } = options;
  if (weights) fail('usage-invalid', 'weights', 'an ONNX model has weights of its own');
  return importOnnx(bytes, rest);
}

function decode(bytes: Uint8Array, name = 'the network'): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    fail('json-malformed', name, 'its text is not UTF-8');
  }
}
