import { Graph, type Value } from './graph.ts';
import type { Constant } from './tensor.ts';

/**
 * A graph equal to `graph` that shares nothing with it but what never changes: types, attributes, constants.
 * @param replace gives the constants of the copy; they must be of the same type
 * @param input makes what stands for an input in the copy; it must be of the same type
 */
export function cloneGraph(
  graph: Graph,
  replace: (constant: Constant) => Constant = (c) => c,
  input: (value: Value, copy: Graph) => Value = ({ name, type }, copy) => copy.addInput(name, type),
): Graph {
  const copy = new Graph(graph.name);
  const copies = new Map<Value, Value>();
  for (const value of graph.inputs) copies.set(value, input(value, copy));
  for (const value of graph.values) {
    if (value.source.kind !== 'constant') continue;
    copies.set(value, copy.addConstant(value.name, replace(value.source.constant)));
  }
  for (const node of graph.nodes) {
    const operands = node.operands.map((v) => v && copies.get(v));
    const made = copy.addCopy(node, operands);
    node.outputs.forEach((value, i) => {
      const output = made.outputs[i];
      if (output) copies.set(value, output);
    });
  }
  for (const { name, value, count } of graph.outputs) {
    const output = copies.get(value);
    const counted = count && copies.get(count.value);
    if (output) copy.addOutput(name, output, counted && { axis: count.axis, value: counted });
  }
  return copy;
}
