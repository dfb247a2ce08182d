/** Models from files and from stdin. */
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import { type ModelFiles, openModelFiles } from '../files/model-files.ts';
import type { FileBytes } from '../import/byte-source.ts';
import { formatOf } from '../import/format.ts';
import { type ImportedModel, type ImportOptions, importOnnx } from '../import/onnx/index.ts';

/** The files of a model, with what messages call it. */
export interface NamedSource<Bytes extends FileBytes = FileBytes> extends ModelFiles<Bytes> {
  readonly path: string;
  /** What reads its format. */
  readonly importer: (bytes: FileBytes, options: ImportOptions) => ImportedModel;
}

/** Opens a model file; `-` is stdin, which has no files beside it. */
export async function openSource(path: string): Promise<NamedSource> {
  if (path !== '-') {
    const files = openModelFiles(path);
    return { ...files, path, importer: await importerFor(files.bytes) };
  }
  if (process.stdin.isTTY) fail('usage-invalid', '-', 'stdin is a terminal', 'pipe a model into it');
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  const bytes = new Uint8Array(Buffer.concat(chunks));
  const importer = await importerFor(bytes);
  return { name: 'model', path: 'stdin', bytes, importer, externalData: () => undefined };
}

/** The vocabulary of JSON descriptions takes long to load, and most models are ONNX. */
const importerFor = async (bytes: FileBytes): Promise<NamedSource['importer']> =>
  formatOf(bytes) === 'onnx' ? importOnnx : (await import('../import/index.ts')).importModel;

export type ImportSourceOptions = Pick<ImportOptions, 'dims' | 'shapes' | 'replaceSizes'> & {
  readonly requireWeights?: boolean;
};

/** @throws CompileError as `importModel`, and `external-missing` where weights are required */
export function importSource(source: NamedSource, options: ImportSourceOptions): ImportedModel {
  const { requireWeights = false, ...dimensions } = options;
  const { bytes, name, externalData, importer } = source;
  const model = namingFile(source, () => importer(bytes, { ...dimensions, name, externalData }));
  if (requireWeights && model.missingFiles.length > 0) {
    throw new CompileError(
      model.missingFiles.map((file) =>
        diagnostic(
          'external-missing',
          file,
          `this file with weights is not there; ${source.path} refers to it`,
        ),
      ),
    );
  }
  return model;
}

/** Runs `body`; problems of the file as a whole are told under its path, not under the model's name. */
export function namingFile<T>(source: NamedSource, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw underPath(source, error);
  }
}

/** The error, with problems of the file as a whole under its path. */
export function underPath(source: NamedSource, error: unknown): unknown {
  if (!(error instanceof CompileError)) return error;
  return new CompileError(
    error.diagnostics.map((d) =>
      (d.code.startsWith('onnx-') || d.code === 'json-malformed') && d.subject === source.name
        ? { ...d, subject: source.path }
        : d,
    ),
  );
}
