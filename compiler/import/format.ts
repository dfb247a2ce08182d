/** Which format a model file is in; apart from what reads them, for whoever loads only one. */
import { bytesAt, type FileBytes } from './byte-source.ts';

export type ModelFormat = 'onnx' | 'json';

/** Of the bytes of a model file; anything that is no JSON description counts as ONNX. */
export const formatOf = (bytes: FileBytes): ModelFormat =>
  looksLikeJson(bytesAt(bytes, 0, 257)) ? 'json' : 'onnx';

/** Is this JSON, right or wrong? An ONNX file begins neither with a bracket nor is it a JSON value. */
function looksLikeJson(bytes: Uint8Array): boolean {
  const head = new TextDecoder().decode(bytes.subarray(0, 256), { stream: true }).replace(/\s/g, ' ');
  if (/^\uFEFF? *[{[][^\p{Cc}\uFFFD]*$/u.test(head)) return true;
  if (bytes.length > 256) return false;
  try {
    JSON.parse(head);
    return true;
  } catch {
    return false;
  }
}
