/** IR → JSON network description, for what it can say. */
import { CompileError, type Diagnostic, diagnostic, InternalError } from '#ir/diagnostics.ts';
import { constantOf, type Graph, type Value } from '#ir/graph.ts';
import type { Constant, Tensor } from '#ir/tensor.ts';
import { elementCount, formatShape, sameShape } from '#ir/types.ts';
import { importJson } from '../../import/json/index.ts';
import { isKind, kinds, MOST_SIZE } from '../../import/json/kinds.ts';
import { Problems } from '../../import/json/problems.ts';
import { listed, printable } from '../../import/onnx/text.ts';
import { grouped } from '../../report/format.ts';
import { groupLayers, type Written } from './groups.ts';
import { Names } from './names.ts';
import type { WrittenLayer } from './rules.ts';

export interface ExportedJson {
  /** The description; `importJson` takes it as it is. */
  readonly network: Readonly<Record<string, unknown>>;
  /** Its weights by name, for `formatSafetensors`. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Notes: what the description says in another way than the graph. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface ExportJsonOptions {
  /** The name of the safetensors file that the description refers to; none where absent. */
  readonly weightsFile?: string;
}

/**
 * Writes the graph as layers. Names of layers are those of nodes, without what names may not have.
 * @throws CompileError with every `export-unsupported` (a node that is no layer) and `weights-missing` found
 */
export function exportJson(graph: Graph, { weightsFile }: ExportJsonOptions = {}): ExportedJson {
  const problems: Diagnostic[] = [];
  const refuse = (subject: string, message: string) =>
    problems.push(diagnostic('export-unsupported', printable(subject), message));
  const written = groupLayers(graph);
  const batches = new Set(graph.inputs.map((v) => v.type.shape[0]));
  for (const { name, type } of graph.inputs) {
    const { shape } = type;
    if (type.dtype !== 'f32' || shape.length < 2 || shape.length > 5)
      refuse(name, 'inputs of a description are f32, with a batch axis and one to four others');
    else if (shape.some((size) => size < 1 || size > MOST_SIZE))
      refuse(name, `it is ${formatShape(shape)}; sizes of a description are from 1 to ${MOST_SIZE}`);
  }
  if (batches.size > 1) refuse(graph.name, 'its inputs have different batches');
  for (const { name, value } of graph.outputs)
    if (constantOf(value)) refuse(name, 'this output is a constant');
  for (const one of written) {
    const [subject, why] = refusal(one);
    if (why !== undefined) refuse(subject, why);
  }

  const names = new Names(
    graph,
    written.filter((one) => 'head' in one),
  );
  const layers: Record<string, unknown>[] = [];
  const weights = new Map<string, Tensor>();
  let previous = graph.inputs[0];
  for (const one of written) {
    if (!('head' in one)) {
      const [x] = one.node.operands;
      const [y] = one.node.outputs;
      if (x && y) names.alias(y, x);
      continue;
    }
    const { head, layer, results } = one;
    const name = names.layer(one);
    for (const [key, constant] of Object.entries(layer.weights ?? {})) {
      if (isPresent(constant)) weights.set(`${name}.${key}`, constant);
      else problems.push(diagnostic('weights-missing', head.name, constant.missing));
    }
    layers.push(described(layer, name, names, previous));
    previous = results[0];
  }
  const outputs = graph.outputs.map(({ value }) => names.of(value));
  if (new Set(outputs).size < outputs.length) refuse(graph.name, 'two of its outputs are one value');
  if (problems.length > 0) throw new CompileError(problems);
  const [batch = 1] = batches;
  const network = {
    name: printable(graph.name) || 'network',
    inputs: graph.inputs.map((v) => ({ name: names.of(v), shape: v.type.shape.slice(1) })),
    ...(batch === 1 ? {} : { batch }),
    layers,
    outputs,
    ...(weightsFile === undefined || weights.size === 0 ? {} : { weights: weightsFile }),
  };
  checkReadable(graph, network, weights);
  return { network, weights, diagnostics: [...renamed(graph, names), ...sharedWeights(graph)] };
}

const isPresent = (constant: Constant): constant is Tensor => !('missing' in constant);

/** The node of what is to be written, and why it is no layer. */
function refusal(one: Written): readonly [subject: string, why: string | undefined] {
  if (!('head' in one)) {
    const { node, layer } = one;
    return [node.name, layer === undefined ? undefined : `${node.op}: ${layer}`];
  }
  const { head, layer } = one;
  if (layer.inputs.some((v) => constantOf(v))) return [head.name, `${head.op}: its input is a constant`];
  const wrong = optionProblem(layer);
  return [head.name, wrong === undefined ? undefined : `${head.op}: ${wrong}`];
}

/** Why a layer cannot have these options: the description has bounds that a graph has not. */
function optionProblem({ kind, options }: WrittenLayer): string | undefined {
  if (!isKind(kind)) return undefined;
  const { options: schema, short } = kinds()[kind];
  const problems = new Problems();
  problems.check(typeof options === 'object' || !short ? schema : short[1], options, kind);
  const [first] = problems.found;
  return first && `a layer cannot say its ${first.subject}: ${first.message}`;
}

/** What is written is read, and is the same network. @throws InternalError */
function checkReadable(graph: Graph, network: object, weights: ReadonlyMap<string, Tensor>): void {
  const wrong = (why: string): never => {
    throw new InternalError(`the description that was written is not the network: ${why}`);
  };
  const back = readAgain(network, wrong);
  const shapes = ({ inputs, outputs }: Graph) =>
    [...inputs, ...outputs.map(({ value }) => value)].map(({ type }) => formatShape(type.shape)).join(', ');
  if (shapes(back) !== shapes(graph)) wrong(`its shapes are ${shapes(back)}, not ${shapes(graph)}`);
  const read = new Map(back.values.flatMap((v) => (constantOf(v) ? [[v.name, v.type.shape] as const] : [])));
  for (const [name, { type }] of weights)
    if (!sameShape(read.get(name) ?? [-1], type.shape)) wrong(`no layer has the weights "${name}"`);
  for (const name of read.keys()) if (!weights.has(name)) wrong(`there are no weights "${name}"`);
}

function readAgain(network: object, wrong: (why: string) => never): Graph {
  try {
    return importJson(JSON.parse(JSON.stringify(network)) as object).graph;
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

/** Inputs and outputs whose names the description cannot say. */
function renamed(graph: Graph, names: Names): Diagnostic[] {
  const inputs = graph.inputs.map((v) => ['input', v.name, names.of(v)] as const);
  const outputs = graph.outputs.map(({ name, value }) => ['output', name, names.of(value)] as const);
  return [...inputs, ...outputs].flatMap(([what, before, now]) =>
    before === now
      ? []
      : [
          diagnostic(
            'export-differs',
            printable(before),
            `this ${what} is called "${now}" in the description`,
          ),
        ],
  );
}

/** Constants that several layers read; each layer of a description has weights of its own. */
function sharedWeights(graph: Graph): Diagnostic[] {
  const shared = graph.values.filter((v) => constantOf(v) && v.uses.length > 1);
  if (shared.length === 0) return [];
  const more = shared.reduce((sum, v) => sum + elementCount(v.type.shape) * (v.uses.length - 1), 0);
  const constants = shared.length === 1 ? 'one constant is' : `${shared.length} constants are`;
  return [
    diagnostic(
      'export-differs',
      printable(graph.name),
      `${constants} read more than once, and written for each layer: ${grouped(more)} parameters more (${listed(shared.map((v) => v.name))})`,
    ),
  ];
}

function described(
  { kind, options, inputs }: WrittenLayer,
  name: string,
  names: Names,
  previous: Value | undefined,
) {
  const read = inputs.map((v) => names.of(v));
  if (kind === 'add' || kind === 'mul' || kind === 'concat') return { [kind]: read, name };
  const [first] = inputs;
  const follows = first !== undefined && previous !== undefined && names.of(first) === names.of(previous);
  return { [kind]: options, name, ...(follows ? {} : { from: read[0] }) };
}
