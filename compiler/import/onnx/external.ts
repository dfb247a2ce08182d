import { fail } from '#ir/diagnostics.ts';
import type { TensorProto } from './generated/onnx-proto.js';
import { printable } from './text.ts';

/** Where a tensor's bytes lie: in a file beside the model. */
export interface ExternalReference {
  /** A relative path with forward slashes, without `.` and `..`. */
  readonly location: string;
  readonly offset: number;
  /** Undefined means: as much as the shape needs. */
  readonly length: number | undefined;
}

/** @throws CompileError `external-outside` for a location that leaves the model's folder, `tensor-size` for bad numbers */
export function externalReference(tensor: TensorProto): ExternalReference {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location');
  if (!location) fail('graph-invalid', printable(tensor.name), 'external data without a location');
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    fail('tensor-size', printable(tensor.name), `external data has ${key} "${printable(text)}"`);
  };
  return {
    location: relativeLocation(location, tensor.name),
    offset: number('offset') ?? 0,
    length: number('length'),
  };
}

/** Normalises a path inside the model's folder; what a file system would make of it is checked by whoever reads. */
function relativeLocation(location: string, tensor: string): string {
  const refuse = (why: string): never =>
    fail('external-outside', printable(location), `external data of tensor "${printable(tensor)}" ${why}`);
  const path = location.replaceAll('\\', '/');
  if (path.includes('\0')) refuse('has a path with a NUL character');
  if (path.startsWith('/')) refuse('has an absolute path');
  // a colon also starts an alternate data stream, and a URL
  if (/^[^/]*:/.test(path)) refuse('has a path with a drive or a scheme');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) refuse('has a path that leaves the folder by ".."');
  }
  if (parts.length === 0) refuse('names a folder');
  return parts.join('/');
}
