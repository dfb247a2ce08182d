import { CompileError, type Diagnostic, diagnostic, fail } from '#ir/diagnostics.ts';
import { Graph, type GraphOutput, type OpAttrsInput, type OpName, type Value } from '#ir/graph.ts';
import { OpError } from '#ir/op.ts';
import type { Tensor } from '#ir/tensor.ts';
import { type DType, formatShape, formatType, type Shape } from '#ir/types.ts';
import { Attributes } from './attributes.ts';
import { COUNT_HINT, Counts } from './counts.ts';
import type { BoundInputs } from './dimensions.ts';
import { elementType, shapeProblem } from './element-types.ts';
import { Folder } from './fold.ts';
import { type FunctionTable, functionBody } from './functions.ts';
import type {
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from './generated/onnx-proto.js';
import { RULES } from './ops/index.ts';
import { isReplaced, oldOpset } from './opsets.ts';
import { type Body, bodyOf, nodeLabel, orderNodes } from './order.ts';
import { type ImportRule, type ImportServices, NodeImport } from './rule.ts';
import { importTensor, type TensorContext } from './tensors.ts';
import { listed, printable } from './text.ts';
import { type UnknownOp, unknownOps } from './unknown-ops.ts';

/** A value, or a mark that computing it failed and was told. */
type Entry = Value | 'failed';

/** The names that the nodes of one graph, branch or function see. */
interface Scope {
  readonly outer: Scope | undefined;
  readonly values: Map<string, Entry>;
  readonly initializers: ReadonlyMap<string, TensorProto>;
  readonly opsets: ReadonlyMap<string, number>;
  read: ReadonlySet<string>;
  readonly depth: number;
  /** What the rules may ask in this scope. */
  readonly services: ImportServices;
}

/** More than any network has; functions that call functions multiply. */
const MAX_NODES = 500_000;
const MAX_DEPTH = 64;
const MAX_PROBLEMS = 100;

export const operatorSets = (model: Pick<ModelProto, 'opsetImport'>): Map<string, number> =>
  new Map(model.opsetImport.map(({ domain, version }) => [domain === 'ai.onnx' ? '' : domain, version]));

/** Builds the graph of a model, node by node; collects every problem. */
export class Importer {
  readonly graph: Graph;
  readonly #tensors: TensorContext;
  readonly #functions: FunctionTable;
  readonly #problems: Diagnostic[] = [];
  readonly #unknown: UnknownOp[] = [];
  /** Operators in a form that is too old to be read. */
  readonly #old: string[] = [];
  readonly #folder = new Folder();
  readonly #counts = new Counts();
  readonly #names = new Map<string, number>();
  #nodes = 0;

  constructor(name: string, tensors: TensorContext, functions: FunctionTable) {
    this.graph = new Graph(name);
    this.#tensors = tensors;
    this.#functions = functions;
  }

  /** Warnings about the graph that was built. @throws CompileError with everything that was found */
  run(proto: GraphProto, inputs: BoundInputs, opsets: ReadonlyMap<string, number>): readonly Diagnostic[] {
    if (proto.sparseInitializer.length > 0) {
      this.#problem(
        diagnostic('dtype-unsupported', printable(proto.name), 'sparse initializers are not supported'),
      );
    }
    const values = new Map<string, Entry>();
    for (const { name, type } of inputs.inputs) values.set(name, this.graph.addInput(name, type));
    const scope = this.#scope(undefined, values, proto.initializer, opsets);
    const outputs = this.#body(bodyOf(proto), scope);
    outputs.forEach((entry, i) => {
      if (entry !== 'failed')
        this.graph.addOutput(proto.output[i]?.name ?? '', entry, this.#counts.of(entry));
    });
    const taken = new Set<string>();
    for (const { name } of proto.output) {
      if (taken.has(name)) {
        this.#problem(
          diagnostic('graph-duplicate-value', printable(name), 'two outputs of the graph have this name'),
        );
      }
      taken.add(name);
    }
    if (proto.output.length === 0)
      this.#problem(diagnostic('graph-invalid', printable(proto.name), 'the graph has no outputs'));
    const old = oldOpset(this.#old, opsets.get('') ?? 1);
    const problems = [...old, ...unknownOps(this.#unknown), ...this.#problems];
    if (problems.length > 0) throw new CompileError(problems.slice(0, MAX_PROBLEMS));
    return this.graph.outputs.flatMap((output, i) => differingShape(output, proto.output[i]));
  }

  #scope(
    outer: Scope | undefined,
    values: Map<string, Entry>,
    initializers: readonly TensorProto[],
    opsets: ReadonlyMap<string, number>,
    depth = (outer?.depth ?? 0) + 1,
  ): Scope {
    const scope: Scope = {
      outer,
      values,
      initializers: new Map(initializers.map((t) => [t.name, t])),
      opsets,
      read: new Set(),
      depth,
      services: {
        emit: (op, operands, attrs, name, labels) => this.#emit(op, operands, attrs, name, labels),
        constant: (name, tensor) => this.graph.addConstant(name, tensor),
        filled: (name, dtype, shape, value) => this.#filled(name, dtype, shape, value),
        tensor: (name, tensor) => this.#stored(name, tensor),
        element: (code, subject) => {
          const type = elementType(code, subject);
          if (type.converted) this.#tensors.converted.add(type.name);
          return type.dtype;
        },
        subgraph: (graph, label) => this.#subgraph(graph, label, scope),
        isRead: (name) => scope.read.has(name),
      },
    };
    return scope;
  }

  /** Imports the nodes of a graph; returns the entries of its outputs. */
  #body(body: Body, scope: Scope): Entry[] {
    const { nodes, read, problems } = orderNodes(body);
    scope.read = read;
    for (const problem of problems) this.#problem(problem);
    if (problems.length > 0) return body.outputs.map(() => 'failed');
    for (const node of nodes) this.#node(node, scope);
    return body.outputs.map(
      (name) => this.#lookup(name, scope) ?? this.#undefinedName(name, 'the graph’s outputs read'),
    );
  }

  #lookup(name: string, scope: Scope): Entry | undefined {
    for (let s: Scope | undefined = scope; s; s = s.outer) {
      const found = s.values.get(name);
      if (found) return found;
      const stored = s.initializers.get(name);
      if (stored) {
        const entry = this.#guard(printable(name), () => this.#stored(name, stored));
        s.values.set(name, entry);
        return entry;
      }
    }
    return undefined;
  }

  #undefinedName(name: string, use: string): 'failed' {
    this.#problem(
      diagnostic('graph-undefined-value', printable(name), `nothing produces this value, which ${use}`),
    );
    return 'failed';
  }

  #stored(label: string, proto: TensorProto): Value {
    return this.graph.addConstant(label, importTensor(proto, this.#tensors));
  }

  #node(proto: NodeProto, scope: Scope): void {
    const label = nodeLabel(proto);
    const results = this.#guard(label, () => {
      if (++this.#nodes > MAX_NODES)
        fail('graph-invalid', label, `the model has more than ${MAX_NODES} nodes`);
      const entries = proto.input.map((name) =>
        name === ''
          ? undefined
          : (this.#lookup(name, scope) ?? this.#undefinedName(name, `node "${label}" reads`)),
      );
      const run = this.#runner(proto, scope);
      if (!run) return 'failed';
      const inputs = entries.filter((entry) => entry !== 'failed');
      if (inputs.length < entries.length) return 'failed';
      const results = run(inputs);
      if (results !== 'failed') this.#checkCounts(proto, inputs, results);
      return results;
    });
    proto.output.forEach((name, i) => {
      if (name === '') return;
      const value =
        results === 'failed' ? 'failed' : (results[i] ?? this.#missingOutput(label, proto, i, name, scope));
      if (value) scope.values.set(name, value);
    });
  }

  /** A result that knows nothing of its operand's count has taken the room for the size. */
  #checkCounts(proto: NodeProto, inputs: readonly (Value | undefined)[], results: readonly Value[]): void {
    if (!inputs.some((v) => this.#counts.has(v)) || results.every((v) => this.#counts.has(v))) return;
    const message = `${printable(proto.opType)} of a value whose size depends on data is not supported`;
    fail('shape-data-dependent', nodeLabel(proto), message, COUNT_HINT);
  }

  /** How to import a node: by a rule, or as the body of one of the model's own functions. */
  #runner(
    proto: NodeProto,
    scope: Scope,
  ): ((inputs: readonly (Value | undefined)[]) => readonly Value[] | 'failed') | undefined {
    const domain = proto.domain === 'ai.onnx' ? '' : proto.domain;
    const rule: ImportRule | undefined =
      domain === '' && Object.hasOwn(RULES, proto.opType)
        ? RULES[proto.opType as keyof typeof RULES]
        : undefined;
    if (rule && isReplaced(proto.opType, scope.opsets.get('') ?? 1)) {
      this.#old.push(proto.opType);
      return undefined;
    }
    if (rule) {
      return (inputs) => {
        const result = rule(this.#context(proto, scope, inputs));
        return Array.isArray(result) ? (result as readonly Value[]) : [result as Value];
      };
    }
    const found = this.#functions.get(`${domain}:${proto.opType}`);
    if (found) return (inputs) => this.#call(found, proto, scope, inputs);
    this.#unknown.push({ op: proto.opType, domain, opset: scope.opsets.get(domain), node: nodeLabel(proto) });
    return undefined;
  }

  #call(
    called: Parameters<typeof functionBody>[0],
    proto: NodeProto,
    scope: Scope,
    inputs: readonly (Value | undefined)[],
  ): readonly Value[] | 'failed' {
    if (scope.depth >= MAX_DEPTH) fail('graph-invalid', nodeLabel(proto), 'functions are nested too deeply');
    const { body, present } = functionBody(called, proto, inputs);
    const opsets = called.opsetImport.length > 0 ? operatorSets(called) : scope.opsets;
    const inner = this.#scope(undefined, new Map(present), [], opsets, scope.depth + 1);
    const outputs = this.#body(body, inner).filter((entry) => entry !== 'failed');
    return outputs.length < body.outputs.length ? 'failed' : outputs;
  }

  #missingOutput(
    label: string,
    proto: NodeProto,
    i: number,
    name: string,
    scope: Scope,
  ): 'failed' | undefined {
    if (!scope.read.has(name)) return undefined;
    const message = `output ${i} ("${printable(name)}") of ${printable(proto.opType)} is read, and not supported`;
    this.#problem(diagnostic('op-unsupported-form', label, message));
    return 'failed';
  }

  #context(proto: NodeProto, scope: Scope, inputs: readonly (Value | undefined)[]): NodeImport {
    const label = nodeLabel(proto);
    const facts = {
      op: proto.opType,
      label,
      name: proto.name || `${proto.opType}_${this.#nodes}`,
      opset: scope.opsets.get('') ?? 1,
      attrs: new Attributes(proto.attribute, label),
      inputs,
      outputs: proto.output,
    };
    return new NodeImport(facts, scope.services);
  }

  #subgraph(graph: GraphProto, label: string, outer: Scope): readonly Value[] {
    if (outer.depth >= MAX_DEPTH) fail('graph-invalid', label, 'subgraphs are nested too deeply');
    const scope = this.#scope(outer, new Map(), graph.initializer, outer.opsets);
    const outputs = this.#body(bodyOf(graph), scope).filter((entry) => entry !== 'failed');
    // what failed inside has been told; this only stops whoever reads the node
    if (outputs.length < graph.output.length) throw new CompileError([]);
    return outputs;
  }

  #emit<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
    name: string,
    labels: readonly string[],
  ): readonly Value[] {
    const operands = inputs.slice(0, inputs.findLastIndex((v) => v !== undefined) + 1);
    try {
      const label = (i: number) => labels[i] || `${name}_out${i || ''}`;
      const folded = this.#folder.fold(op, operands, attrs);
      if (folded) return folded.map((tensor, i) => this.graph.addConstant(label(i), tensor));
      const node = this.graph.addNode(op, operands, attrs, {
        name: this.#freshName(name),
        outputs: labels.map((_, i) => label(i)),
      });
      this.#counts.add(node);
      const { outputs } = node;
      for (const { type } of outputs) {
        const problem = shapeProblem(type.shape);
        if (problem) throw new OpError(problem);
      }
      return outputs;
    } catch (error) {
      if (!(error instanceof OpError || error instanceof RangeError)) throw error;
      const types = operands.map((v) => (v ? formatType(v.type) : '–')).join(', ');
      const hint = error instanceof OpError ? error.hint : undefined;
      fail('shape-mismatch', printable(name), `${op}(${types}): ${error.message}`, hint);
    }
  }

  /** Names of nodes need not differ in a file; reports tell layers apart by them. */
  #freshName(name: string): string {
    const times = (this.#names.get(name) ?? 0) + 1;
    this.#names.set(name, times);
    return times === 1 ? name : this.#freshName(`${name}_${times}`);
  }

  #filled(label: string, dtype: DType, shape: Shape, value: number | bigint): Value | undefined {
    const tensor: Tensor | undefined = this.#folder.filled(dtype, shape, value);
    return tensor && this.graph.addConstant(label, tensor);
  }

  #problem(problem: Diagnostic): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
  }

  /** Runs one step; its failure is noted, and what depends on it is skipped. */
  #guard<T>(subject: string, step: () => T): T | 'failed' {
    try {
      return step();
    } catch (error) {
      if (error instanceof CompileError) for (const problem of error.diagnostics) this.#problem(problem);
      else if (error instanceof OpError || error instanceof RangeError) {
        this.#problem(diagnostic('shape-mismatch', subject, error.message));
      } else throw error;
      return 'failed';
    }
  }
}

/** Where an output has another shape than is declared; symbols, and axes whose size depends on data, fit any size. */
function differingShape(
  { name, value, count }: GraphOutput,
  declared: ValueInfoProto | undefined,
): Diagnostic[] {
  const dims = declared?.type?.tensorType?.shape?.dim ?? [];
  const sizes = dims.map(({ dimValue }) => (dimValue !== null && dimValue >= 0 ? dimValue : undefined));
  const { shape } = value.type;
  const fits = (size: number | undefined, axis: number) =>
    size === undefined || axis === count?.axis || size === shape[axis];
  // exporters that do not know a shape declare one without axes
  if (sizes.length === 0 || (sizes.length === shape.length && sizes.every(fits))) return [];
  const written = sizes.map((size) => size ?? '?').join('×');
  const message = `the model declares ${written} for this output; its nodes give ${formatShape(shape) || 'a scalar'}`;
  return [diagnostic('output-shape-differs', printable(name), message)];
}

export const describeProducer = (model: ModelProto): string =>
  listed([`${model.producerName} ${model.producerVersion}`.trim()]);
