/** A model file and what lies beside it, read as it is asked for. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { fail } from '#ir/diagnostics.ts';
import { type FileBytes, wholeFile } from '../import/byte-source.ts';
import { openFile } from './file-source.ts';

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
