import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';

/** A tensor as onnxruntime takes and gives it: float16 as Uint16Array, bool as Uint8Array, int64 as BigInt64Array. */
export interface OrtTensor {
  readonly data: ort.Tensor.DataType;
  readonly shape: readonly number[];
  /** Needed only where `data` does not tell: 'float16', 'bool'. */
  readonly type?: ort.Tensor.Type;
}

export interface OrtOptions {
  /** The outputs wanted; all where left out. */
  readonly outputs?: readonly string[];
  /** Where the external data of a model given as bytes lies. */
  readonly folder?: string;
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** It writes nothing about what it refuses. */
  readonly quiet?: boolean;
}

/**
 * Runs a model by onnxruntime-web on one thread: the second opinion of the tests of whole networks.
 *
 * @param model a path, whose external data is looked for beside it, or the bytes of a model without external data
 */
export async function runOnnxruntime(
  model: string | Uint8Array,
  feeds: Readonly<Record<string, OrtTensor>>,
  options: OrtOptions = {},
): Promise<Record<string, Required<OrtTensor>>> {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const bytes = typeof model === 'string' ? await readFile(model) : model;
  const folder = typeof model === 'string' ? dirname(model) : options.folder;
  const severity = options.quiet ? ({ logSeverityLevel: 4 } as const) : {};
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: options.optimization ?? 'all',
    ...severity,
    externalData: folder === undefined ? [] : await externalData(bytes, folder),
  });
  try {
    const inputs = Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)] as const);
    const results = await session.run(
      Object.fromEntries(inputs),
      options.outputs ?? session.outputNames,
      severity,
    );
    const tensors: Record<string, Required<OrtTensor>> = {};
    for (const [name, { data, dims, type }] of Object.entries(results)) {
      tensors[name] = { data, shape: dims, type };
    }
    return tensors;
  } finally {
    await session.release();
  }
}

function toOrt({ data, shape, type }: OrtTensor): ort.Tensor {
  const elementType = type ?? typeByConstructor.get(data.constructor);
  if (elementType === undefined)
    throw new Error(`onnxruntime has no tensor type for ${data.constructor.name}`);
  return new ort.Tensor(elementType, data, shape);
}

const typeByConstructor = new Map<unknown, ort.Tensor.Type>([
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Int32Array, 'int32'],
  [Uint32Array, 'uint32'],
  [BigInt64Array, 'int64'],
  [BigUint64Array, 'uint64'],
  [Array, 'string'],
]);

async function externalData(
  model: Uint8Array,
  folder: string,
): Promise<{ path: string; data: Uint8Array }[]> {
  const tensors = ModelProto.decode(model).graph?.initializer ?? [];
  const locations = new Set(
    tensors.flatMap(({ externalData }) =>
      externalData.flatMap(({ key, value }) => (key === 'location' ? [value] : [])),
    ),
  );
  const files = [...locations].filter((path) => existsSync(join(folder, path)));
  return Promise.all(files.map(async (path) => ({ path, data: await readFile(join(folder, path)) })));
}
