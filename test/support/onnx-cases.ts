/** The ONNX project's own cases of single operators: a model, and inputs and outputs as serialised tensors. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ModelProto, TensorProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { type ImportedModel, importOnnx } from '#compiler/import/onnx/index.ts';
import { RULES } from '#compiler/import/onnx/ops/index.ts';
import { importTensor } from '#compiler/import/onnx/tensors.ts';
import { CompileError, type DiagnosticCode } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Tensor } from '#ir/tensor.ts';
import { sameShape } from '#ir/types.ts';

export type CaseResult =
  | { readonly status: 'passed' }
  /** The case uses what convolith does not read at all. */
  | { readonly status: 'outside'; readonly why: string }
  | { readonly status: 'refused' | 'wrong'; readonly why: string };

/** Runs one case through the importer and the reference evaluator. */
export function runCase(folder: string): CaseResult {
  const bytes = readFileSync(join(folder, 'model.onnx'));
  const ops = operators(bytes).filter((op) => !Object.hasOwn(RULES, op));
  if (ops.length > 0) return { status: 'outside', why: `operators ${ops.join(', ')}` };
  const inputs = readTensors(folder, 'input');
  const expected = readTensors(folder, 'output');
  if (!inputs || !expected)
    return { status: 'outside', why: 'values that are not tensors of supported types' };
  const imported = importCase(bytes, inputs);
  if (imported instanceof CompileError) {
    const outside = imported.diagnostics.every((d) => d.code === 'dtype-unsupported');
    return { status: outside ? 'outside' : 'refused', why: imported.message };
  }
  const given = new Map(imported.graph.inputs.map((v) => [v.name, inputs.get(v.name)] as const));
  const feeds = new Map(
    [...given].flatMap(([name, stored]) => (stored ? [[name, stored.tensor] as const] : [])),
  );
  const values = evaluateGraph(imported.graph, feeds);
  const found = imported.graph.outputs.map((o) => values.get(o.value));
  const wrong = [...expected.values()].flatMap(({ tensor }, i) => difference(found[i], tensor) ?? []);
  return wrong.length === 0 ? { status: 'passed' } : { status: 'wrong', why: wrong.join('; ') };
}

function operators(bytes: Uint8Array): string[] {
  const nodes = ModelProto.decode(bytes).graph?.node ?? [];
  return [
    ...new Set(nodes.map((n) => (n.domain && n.domain !== 'ai.onnx' ? `${n.domain}:${n.opType}` : n.opType))),
  ];
}

interface StoredTensor {
  readonly proto: TensorProto;
  readonly tensor: Tensor;
}

/** The tensors of the first data set, by name of the graph's input or output; undefined where one is none. */
function readTensors(folder: string, kind: 'input' | 'output'): Map<string, StoredTensor> | undefined {
  const { graph } = ModelProto.decode(readFileSync(join(folder, 'model.onnx')));
  const names = (kind === 'input' ? graph?.input : graph?.output)?.map((i) => i.name) ?? [];
  const tensors = new Map<string, StoredTensor>();
  for (const [i, name] of names.entries()) {
    const file = join(folder, 'test_data_set_0', `${kind}_${i}.pb`);
    // an optional input that is left out has no file
    if (!existsSync(file)) continue;
    try {
      const proto = TensorProto.decode(readFileSync(file));
      const context = {
        externalData: () => undefined,
        missingFiles: new Set<string>(),
        converted: new Set<string>(),
      };
      const constant = importTensor(proto, context);
      if (constant.data === null) return undefined;
      tensors.set(name, { proto, tensor: constant });
    } catch {
      return undefined;
    }
  }
  return tensors;
}

const FORMS: readonly DiagnosticCode[] = ['shape-data-dependent', 'op-unsupported-form'];

/** Inputs stay inputs where they can; what decides shapes becomes a constant: small integers first, then all but one. */
function importCase(
  bytes: Uint8Array,
  inputs: ReadonlyMap<string, StoredTensor>,
): ImportedModel | CompileError {
  const names = [...inputs.keys()];
  const integers = names.slice(1).filter((name) => inputs.get(name)?.tensor.type.dtype !== 'f32');
  let failure: CompileError | undefined;
  for (const constants of [[], integers, names.slice(1), names]) {
    try {
      return importOnnx(withConstants(bytes, inputs, constants), {
        shapes: Object.fromEntries(
          names.filter((n) => !constants.includes(n)).map((n) => [n, inputs.get(n)?.tensor.type.shape ?? []]),
        ),
      });
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      failure = error;
      if (!error.diagnostics.some((d) => FORMS.includes(d.code))) return error;
    }
  }
  return failure ?? new CompileError([]);
}

function withConstants(
  bytes: Uint8Array,
  inputs: ReadonlyMap<string, StoredTensor>,
  constants: readonly string[],
): Uint8Array {
  const model = ModelProto.decode(bytes);
  const { graph } = model;
  if (!graph) return bytes;
  const added = constants.flatMap((name) => {
    const proto = inputs.get(name)?.proto;
    if (!proto) return [];
    const { dims, dataType, floatData, doubleData, int32Data, int64Data, uint64Data } = proto;
    const data = Object.hasOwn(proto, 'rawData') ? { rawData: proto.rawData } : {};
    return [{ name, dims, dataType, floatData, doubleData, int32Data, int64Data, uint64Data, ...data }];
  });
  // inputs without data are optional and left out
  const absent = new Set(graph.input.map((i) => i.name).filter((name) => !inputs.has(name)));
  const { name, node, input, output, valueInfo } = graph;
  return ModelProto.encode({
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    functions: model.functions,
    graph: {
      name,
      node,
      output,
      valueInfo,
      input: input.filter((i) => !absent.has(i.name)),
      initializer: [...graph.initializer, ...added],
    },
  });
}

const RELATIVE = 1e-3;
const ABSOLUTE = 1e-7;

/** As ONNX's own runner compares; undefined where they agree. */
function difference(found: Tensor | undefined, expected: Tensor): string | undefined {
  if (!found) return 'an output is missing';
  if (!sameShape(found.type.shape, expected.type.shape)) {
    return `shape [${found.type.shape.join(',')}], expected [${expected.type.shape.join(',')}]`;
  }
  if (found.type.dtype !== expected.type.dtype)
    return `type ${found.type.dtype}, expected ${expected.type.dtype}`;
  for (let i = 0; i < expected.data.length; i++) {
    const a = Number(found.data[i]);
    const b = Number(expected.data[i]);
    if (Object.is(a, b) || a === b) continue;
    if (!(Math.abs(a - b) <= ABSOLUTE + RELATIVE * Math.abs(b))) return `element ${i} is ${a}, expected ${b}`;
  }
  return undefined;
}

/** Folders of the cases below `folder`. */
export const caseFolders = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'model.onnx')))
    .sort();
