import type { Value } from '#ir/graph.ts';
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
} from './generated/onnx-proto.js';
import type { Body } from './order.ts';

/** A model's own functions, by `domain:name`. */
export type FunctionTable = ReadonlyMap<string, FunctionProto>;

export const functionTable = (model: ModelProto): FunctionTable =>
  new Map(model.functions.map((f) => [`${f.domain === 'ai.onnx' ? '' : f.domain}:${f.name}`, f]));

/** The body of a function with the attributes of the node that calls it, and the inputs that are present, by name. */
export function functionBody(
  called: FunctionProto,
  caller: NodeProto,
  inputs: readonly (Value | undefined)[],
): { readonly body: Body; readonly present: readonly (readonly [string, Value])[] } {
  const present = called.input.flatMap((name, i) => {
    const value = inputs[i];
    return value ? [[name, value] as const] : [];
  });
  const absent = new Set(called.input.filter((_, i) => !inputs[i]));
  const given = new Map(caller.attribute.map((a) => [a.name, a]));
  const node = called.node.map((inner) => bind(inner, given, absent));
  const outputs = called.output.filter((_, i) => caller.output[i]);
  return { body: { node, stored: [], inputs: present.map(([name]) => name), outputs }, present };
}

/** A node with references to the function's attributes replaced, and absent inputs left out. */
function bind(
  node: NodeProto,
  given: ReadonlyMap<string, AttributeProto>,
  absent: ReadonlySet<string>,
): NodeProto {
  const attribute = node.attribute.flatMap((a): AttributeProto[] => {
    if (a.refAttrName) {
      const value = given.get(a.refAttrName);
      return value ? [{ ...complete(value), name: a.name }] : [];
    }
    return a.g ? [{ ...complete(a), g: bindGraph(a.g, given, absent) }] : [a];
  });
  const input = node.input.map((name) => (absent.has(name) ? '' : name));
  const { opType, name, domain, output, docString } = node;
  return { opType, name, domain, output, docString, input, attribute };
}

const bindGraph = (
  graph: GraphProto,
  given: ReadonlyMap<string, AttributeProto>,
  absent: ReadonlySet<string>,
): GraphProto => ({
  name: graph.name,
  docString: graph.docString,
  initializer: graph.initializer,
  sparseInitializer: graph.sparseInitializer,
  input: graph.input,
  output: graph.output,
  valueInfo: graph.valueInfo,
  quantizationAnnotation: graph.quantizationAnnotation,
  node: graph.node.map((n) => bind(n, given, absent)),
});

/** A message's absent fields live on its prototype, where a spread does not see them. */
const complete = (a: AttributeProto): AttributeProto => ({
  name: a.name,
  refAttrName: '',
  docString: '',
  type: a.type,
  f: a.f,
  i: a.i,
  s: a.s,
  t: a.t,
  g: a.g,
  sparseTensor: a.sparseTensor,
  tp: a.tp,
  floats: a.floats,
  ints: a.ints,
  strings: a.strings,
  tensors: a.tensors,
  graphs: a.graphs,
  sparseTensors: a.sparseTensors,
  typeProtos: a.typeProtos,
});
