/** IR → JSON network description, for what it can say. */
import { CompileError, type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { type Graph, type Node, producer, type Value } from '#ir/graph.ts';
import type { Constant, Tensor } from '#ir/tensor.ts';
import { printable } from '../../import/onnx/text.ts';
import { groupLayers } from './groups.ts';
import type { WrittenLayer } from './rules.ts';

export interface ExportedJson {
  /** The description; `importJson` takes it as it is. */
  readonly network: Readonly<Record<string, unknown>>;
  /** Its weights by name, for `formatSafetensors`. */
  readonly weights: ReadonlyMap<string, Tensor>;
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
  const batches = new Set(graph.inputs.map((v) => v.type.shape[0]));
  for (const { name, type } of graph.inputs) {
    if (type.dtype !== 'f32' || type.shape.length < 2)
      refuse(name, 'inputs of a description are f32, with a batch axis');
  }
  if (batches.size > 1) refuse(graph.name, 'its inputs have different batches');

  const names = new LayerNames(graph);
  const layers: Record<string, unknown>[] = [];
  const weights = new Map<string, Tensor>();
  let previous = graph.inputs[0];
  for (const written of groupLayers(graph)) {
    if (!('head' in written)) {
      const { node, layer } = written;
      const [x] = node.operands;
      if (layer !== undefined) refuse(node.name, `${node.op}: ${layer}`);
      else if (x && node.outputs[0]) names.alias(node.outputs[0], x);
      continue;
    }
    const { head, layer, results } = written;
    const name = names.take(head, results);
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
    inputs: graph.inputs.map((v) => ({ name: v.name, shape: v.type.shape.slice(1) })),
    ...(batch === 1 ? {} : { batch }),
    layers,
    outputs,
    ...(weightsFile === undefined || weights.size === 0 ? {} : { weights: weightsFile }),
  };
  return { network, weights };
}

const isPresent = (constant: Constant): constant is Tensor => !('missing' in constant);

function described(
  { kind, options, inputs }: WrittenLayer,
  name: string,
  names: LayerNames,
  previous: Value | undefined,
) {
  const read = inputs.map((v) => names.of(v));
  if (kind === 'add' || kind === 'mul' || kind === 'concat') return { [kind]: read, name };
  const [first] = inputs;
  const follows = first !== undefined && previous !== undefined && names.of(first) === names.of(previous);
  return { [kind]: options, name, ...(follows ? {} : { from: read[0] }) };
}

/** What layers and their results are called. */
class LayerNames {
  readonly #names = new Map<Value, string>();
  readonly #taken = new Set(['previous', 'input']);

  constructor(graph: Graph) {
    for (const input of graph.inputs) {
      this.#taken.add(input.name);
      this.#names.set(input, input.name);
    }
    // the last layer of an output is called as the output is, so that the name survives
    for (const { name, value } of graph.outputs) {
      if (producer(value)?.outputs.length === 1 && !this.#taken.has(name) && !this.#names.has(value)) {
        this.#names.set(value, this.#free(name));
      }
    }
  }

  /** The name of the layer that begins with `node` and has these results. */
  take(node: Node, results: readonly Value[]): string {
    const [first] = results;
    const known = first && this.#names.get(first);
    // several nodes of one layer are called so when they are read: stem/conv
    const whole = first === node.outputs[0] ? node.name : node.name.replace(/\/(conv|dense)$/, '');
    const name = known ?? this.#free(whole);
    results.forEach((v, i) => {
      this.#names.set(v, results.length > 1 ? `${name}.${i}` : name);
    });
    return name;
  }

  alias(value: Value, of: Value): void {
    this.#names.set(value, this.of(of));
  }

  of(value: Value): string {
    return this.#names.get(value) ?? value.name;
  }

  #free(wanted: string): string {
    const clean =
      wanted
        .replace(/^\/+/, '')
        .replace(/[/$\s]+/g, '.')
        .slice(0, 180) || 'layer';
    let name = clean;
    for (let i = 1; this.#taken.has(name); i++) name = `${clean}_${i}`;
    this.#taken.add(name);
    return name;
  }
}
