/** IR → ONNX. */
import { CompileError, type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { type Graph, type Node, opDef, type Value } from '#ir/graph.ts';
import type { Constant, Tensor } from '#ir/tensor.ts';
import { byteSize, type TensorType } from '#ir/types.ts';
import {
  type Init,
  ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../import/onnx/generated/onnx-proto.js';
import { VERSION } from '../../version.ts';
import { irVersionOf, keptOpset, opsetOf } from './opsets.ts';
import { DATA_TYPES, ExportRefusal, type ExportRule, NodeExport, storedTensor } from './rule.ts';
import { RULES } from './rules.ts';

export interface ExportOnnxOptions {
  /** Weights of more bytes than `inlineLimit` go to a file of this name beside the model; else all are inside it. */
  readonly dataFile?: string;
  /** 1024 unless given. */
  readonly inlineLimit?: number;
  /** The operator set to keep, where nothing in the graph needs a later one; 21 unless given. */
  readonly opset?: number;
  /** Entries of the model's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface ExportedOnnx {
  readonly model: Uint8Array<ArrayBuffer>;
  /** What belongs in the data file, where one was asked for and is needed. */
  readonly data?: Uint8Array<ArrayBuffer>;
}

/** A protocol buffer is smaller than 2 GiB. */
const LARGEST_MODEL = 2 ** 31 - 2 ** 20;

/**
 * Writes the graph as an ONNX model of the opset that is asked for, or of a later one where an op needs it.
 * @throws CompileError with every `export-unsupported` and `weights-missing` found
 */
export function exportOnnx(graph: Graph, options: ExportOnnxOptions = {}): ExportedOnnx {
  const problems: Diagnostic[] = [];
  const names = new Names(graph);
  const nodes: Init<NodeProto>[] = [];
  const wanted = keptOpset(options.opset);
  let opset = wanted;
  const stores = new Stores(options);
  for (const value of graph.values) {
    if (value.source.kind !== 'constant') continue;
    const { constant } = value.source;
    if (isPresent(constant)) stores.add(names.of(value), constant);
    else problems.push(diagnostic('weights-missing', value.name, constant.missing));
  }
  for (const node of graph.nodes) {
    const refusal = refuse(node);
    if (refusal) problems.push(diagnostic('export-unsupported', node.name, refusal));
    else {
      const out = new NodeExport(
        node,
        (v) => names.of(v),
        (name) => names.fresh(name),
        wanted,
      );
      try {
        ruleOf(node)?.(node, out);
      } catch (error) {
        if (!(error instanceof ExportRefusal)) throw error;
        problems.push(diagnostic('export-unsupported', node.name, `${node.op}: ${error.message}`));
      }
      opset = Math.max(opset, out.opset, ...out.nodes.map(opsetOf));
      nodes.push(...out.nodes);
      for (const [name, tensor] of out.constants) stores.add(name, tensor);
    }
  }
  nodes.push(...names.copies);
  if (problems.length === 0 && stores.inlineBytes > LARGEST_MODEL) {
    problems.push(
      diagnostic(
        'export-unsupported',
        graph.name,
        'its weights do not fit into one file of ONNX, which is at most 2 GiB',
        'name a file for them',
      ),
    );
  }
  if (problems.length > 0) throw new CompileError(problems);
  const model = ModelProto.encode({
    irVersion: irVersionOf(opset),
    opsetImport: [{ domain: '', version: opset }],
    producerName: 'convolith',
    producerVersion: VERSION,
    metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: nodes,
      initializer: stores.tensors,
      input: graph.inputs.map((v) => info(names.of(v), v.type)),
      output: graph.outputs.map((o) => info(o.name, o.value.type)),
    },
  });
  const data = stores.data();
  return data ? { model, data } : { model };
}

const isPresent = (constant: Constant): constant is Tensor => !('missing' in constant);

function refuse(node: Node): string | undefined {
  if (node.epilogue)
    return `${node.op} has an epilogue, which ONNX cannot express; export the graph before it is lowered`;
  return ruleOf(node) ? undefined : `there is no rule yet for writing ${node.op} as ONNX`;
}

/** The rule of a node's op; an op without attributes is ONNX's own. */
function ruleOf(node: Node): ExportRule | undefined {
  const rule = (RULES as Readonly<Record<string, ExportRule | undefined>>)[node.op];
  if (rule || Object.keys(opDef(node.op).attrs).length > 0) return rule;
  return ({ op }, out) => out.emit(op);
}

const info = (name: string, { dtype, shape }: TensorType): Init<ValueInfoProto> => ({
  name,
  type: {
    tensorType: { elemType: DATA_TYPES[dtype], shape: { dim: shape.map((dimValue) => ({ dimValue })) } },
  },
});

/** Names of values: those of inputs and outputs are the graph's, the others give way. */
class Names {
  readonly #names = new Map<Value, string>();
  readonly #taken: Set<string>;
  /** Outputs that are inputs, constants, or another output too. */
  readonly copies: Init<NodeProto>[] = [];

  constructor(graph: Graph) {
    this.#taken = new Set([...graph.inputs.map((v) => v.name), ...graph.outputs.map((o) => o.name)]);
    for (const input of graph.inputs) this.#names.set(input, input.name);
    for (const { name, value } of graph.outputs) {
      const own = value.source.kind === 'node' && !this.#names.has(value);
      if (own) this.#names.set(value, name);
      else
        this.copies.push({
          opType: 'Identity',
          name: `${name}/copy`,
          input: [this.of(value)],
          output: [name],
        });
    }
  }

  of(value: Value): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const name = this.fresh(value.name);
    this.#names.set(value, name);
    return name;
  }

  fresh(wanted: string): string {
    let name = wanted;
    for (let i = 1; this.#taken.has(name); i++) name = `${wanted}_${i}`;
    this.#taken.add(name);
    return name;
  }
}

/** Tensors inside the model, or in the file beside it, each aligned to 64 bytes there. */
class Stores {
  readonly tensors: Init<TensorProto>[] = [];
  readonly #options: ExportOnnxOptions;
  readonly #outside: Uint8Array[] = [];
  #end = 0;
  inlineBytes = 0;

  constructor(options: ExportOnnxOptions) {
    this.#options = options;
  }

  add(name: string, tensor: Tensor): void {
    const { dataFile, inlineLimit = 1024 } = this.#options;
    const length = byteSize(tensor.type);
    if (dataFile === undefined || length <= inlineLimit) {
      this.inlineBytes += length;
      // beyond the limit nothing is written, and reading large weights would be for nothing
      if (this.inlineBytes <= LARGEST_MODEL) this.tensors.push(storedTensor(name, tensor));
      return;
    }
    const { rawData, ...rest } = storedTensor(name, tensor);
    const offset = Math.ceil(this.#end / 64) * 64;
    const entries = { location: dataFile, offset, length };
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value: String(value) }));
    this.tensors.push({ ...rest, dataLocation: 1, externalData });
    if (rawData) this.#outside.push(rawData);
    this.#end = offset + length;
  }

  data(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#outside.length === 0) return undefined;
    const data = new Uint8Array(this.#end);
    let end = 0;
    for (const bytes of this.#outside) {
      const offset = Math.ceil(end / 64) * 64;
      data.set(bytes, offset);
      end = offset + bytes.length;
    }
    return data;
  }
}
