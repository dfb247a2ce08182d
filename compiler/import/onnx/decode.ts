import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import { bytesAt, type FileBytes, isInMemory, sizeOf } from '../byte-source.ts';
import { type GraphProto, ModelProto, ProtobufError } from './generated/onnx-proto.js';

export interface DecodedModel {
  readonly model: ModelProto;
  readonly graph: GraphProto;
}

/**
 * Decodes an ONNX file. Weights stay views of what is in memory; the others stay where they are, as ranges.
 * @throws CompileError `onnx-truncated` for a file that ends too early, `onnx-malformed` for one that is not ONNX
 */
export function decodeModel(bytes: FileBytes, subject: string): DecodedModel {
  const framing = checkFraming(bytes);
  if (framing !== 'whole') throw notAModel(framing, bytes, subject);
  const model = decodeProto(bytes, subject);
  // the graph precedes the operator sets in the file, so a cut between two fields loses them
  if (model.graph && model.opsetImport.length === 0 && model.irVersion >= 3) {
    fail('onnx-truncated', subject, 'the file ends after its graph; the operator set versions are missing');
  }
  if (!model.graph) {
    const cut = Object.hasOwn(model, 'irVersion');
    fail(
      cut ? 'onnx-truncated' : 'onnx-malformed',
      subject,
      cut ? 'the file ends before its graph' : 'the model has no graph',
    );
  }
  return { model, graph: model.graph };
}

function decodeProto(bytes: FileBytes, subject: string): ModelProto {
  try {
    return isInMemory(bytes) ? ModelProto.decode(bytes) : ModelProto.decodeFrom(bytes);
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    fail('onnx-malformed', subject, `the bytes do not decode: ${error.message}`);
  }
}

type Framing = 'whole' | 'truncated' | 'malformed';

/** Wire type of each field of ModelProto: 0 is a varint, 2 a length and so many bytes. */
const MODEL_FIELDS: Readonly<Record<number, number>> = {
  1: 0, // ir_version
  2: 2, // producer_name
  3: 2, // producer_version
  4: 2, // domain
  5: 0, // model_version
  6: 2, // doc_string
  7: 2, // graph
  8: 2, // opset_import
  14: 2, // metadata_props
  20: 2, // training_info
  25: 2, // functions
  26: 2, // configuration
};

/** Walks the outermost fields only: that tells a file cut short from one that never was a model. */
function checkFraming(bytes: FileBytes): Framing {
  const length = sizeOf(bytes);
  let at = 0;
  while (at < length) {
    const tag = varint(bytes, at);
    if (!tag) return at === 0 ? 'malformed' : 'truncated';
    const wire = tag.value % 8;
    if (MODEL_FIELDS[Math.floor(tag.value / 8)] !== wire) return 'malformed';
    const size = varint(bytes, tag.end);
    if (!size) return length - tag.end < 10 ? 'truncated' : 'malformed';
    at = size.end + (wire === 2 ? size.value : 0);
  }
  return at === length && at > 0 ? 'whole' : 'truncated';
}

/** A base-128 integer; its value is inexact beyond 2^53, where only the end matters. */
function varint(file: FileBytes, start: number): { value: number; end: number } | undefined {
  const bytes = bytesAt(file, start, start + 10);
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[i];
    if (byte === undefined) return undefined;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value, end: start + i + 1 };
  }
  return undefined;
}

function notAModel(framing: 'truncated' | 'malformed', file: FileBytes, subject: string): CompileError {
  const length = sizeOf(file);
  if (length === 0) return new CompileError([diagnostic('onnx-truncated', subject, 'the file is empty')]);
  if (framing === 'truncated') {
    const message = `the file ends after ${length} bytes, inside a field`;
    return new CompileError([diagnostic('onnx-truncated', subject, message)]);
  }
  const bytes = bytesAt(file, 0, 256);
  const hint = isText(bytes)
    ? 'give an ONNX file, or a network description, which is JSON and begins with "{": { "input": [3, 224, 224], "layers": [ … ] }'
    : undefined;
  return new CompileError([diagnostic('onnx-malformed', subject, looksLike(bytes), hint)]);
}

function looksLike(bytes: Uint8Array): string {
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  if (head.startsWith('version https://git-lfs')) return 'this is a Git LFS pointer, not the model itself';
  if (/^\s*(<!doctype|<html|<\?xml|<head)/i.test(head)) return 'this is an HTML or XML page, not a model';
  if (head.startsWith('PK')) return 'this is a zip archive';
  if (head.slice(4, 8) === 'TFL3') return 'this is a TensorFlow Lite model';
  if (head.startsWith('ORTM') || head.slice(4, 8) === 'ORTM')
    return 'this is a model in the ORT format; give the ONNX file';
  return isText(bytes)
    ? 'this is text, neither an ONNX model nor a network description'
    : 'the bytes are not those of an ONNX model';
}

/** Text that is no web page and no pointer to a file. */
function isText(bytes: Uint8Array): boolean {
  const head = new TextDecoder().decode(bytes.subarray(0, 256), { stream: true });
  return /^(?!\s*<|version https)[^\p{Cc}\uFFFD]+$/u.test(head.replace(/\s/g, ' '));
}
