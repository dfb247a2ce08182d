/**
 * The invariants of a graph. A graph that the editing methods of `Graph` have built keeps most of them by itself; the
 * verifier trusts none:
 *
 *  1. Names of values are not empty and unique; so are those of the graph's outputs.
 *  2. The graph has an output, and every output reads a value of the graph; a count is an i64 scalar, of an axis it has.
 *  3. A node's outputs point back to it; graph inputs are inputs.
 *  4. Operands are graph inputs, constants or outputs of nodes of the graph.
 *  5. `uses` lists exactly the operand slots that read a value.
 *  6. The graph is acyclic, and `nodes` lists producers before users.
 *  7. A node has every required input of its op, and no more inputs than the op takes.
 *  8. Attributes fit their schema, and none is missing or unknown.
 *  9. The types of outputs are those that the op infers.
 * 10. An epilogue follows only ops that take one, on an f32 output; its operands are present, f32, and broadcast to
 *     the output's shape without enlarging it; it reads no operand it lacks, and there are no operands without one.
 * 11. A constant has as many elements as its type says, in an array of its element type, or a reason why it has none.
 * 12. Sizes are whole and not negative.
 */
import { type AttrValue, resolveAttrs, sameAttr } from './attrs.ts';
import { CompileError, type Diagnostic, diagnostic } from './diagnostics.ts';
import { arity } from './expr.ts';
import {
  epilogueOperands,
  type Graph,
  type Node,
  opDef,
  outputValues,
  ownInputs,
  tensorOf,
  type Value,
} from './graph.ts';
import { OpError } from './op.ts';
import { allocate } from './tensor.ts';
import { broadcastShapes, elementCount, formatType, isDType, sameShape, sameType } from './types.ts';

/** Every broken invariant; nothing for a sound graph. */
export function verifyGraph(graph: Graph): Diagnostic[] {
  const found: Diagnostic[] = [];
  const report: Report = (subject, message) => {
    found.push(diagnostic('graph-invalid', subject, message));
  };
  let nodes: readonly Node[];
  try {
    nodes = graph.nodes;
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    for (const { subject, message } of error.diagnostics) report(subject, message);
    return found;
  }
  const values = graph.values;
  checkNames(graph, values, report);
  checkOutputs(graph, report);
  checkStructure(graph, nodes, report);
  const reads = readsOf(nodes);
  const listed = new Set<Value>();
  for (const value of values) {
    const sound = checkUses(value, nodes, report);
    if (sound && value.uses.length === (reads.get(value) ?? 0)) listed.add(value);
    checkValue(value, report);
  }
  for (const node of nodes) checkNode(node, listed, report);
  return found;
}

/** How many operand slots read each value. */
function readsOf(nodes: readonly Node[]): ReadonlyMap<Value, number> {
  const reads = new Map<Value, number>();
  for (const node of nodes)
    for (const value of node.operands) if (value) reads.set(value, (reads.get(value) ?? 0) + 1);
  return reads;
}

type Report = (subject: string, message: string) => void;

function checkNames(graph: Graph, values: readonly Value[], report: Report): void {
  const seen = new Set<string>();
  for (const { name } of values) {
    if (name === '') report(graph.name, 'a value has no name');
    if (seen.has(name)) report(name, 'two values have this name');
    seen.add(name);
  }
  const outputs = new Set<string>();
  for (const { name } of graph.outputs) {
    if (name === '') report(graph.name, 'an output has no name');
    if (outputs.has(name)) report(name, 'two outputs have this name');
    outputs.add(name);
  }
}

function checkOutputs(graph: Graph, report: Report): void {
  if (graph.outputs.length === 0) report(graph.name, 'the graph has no output');
  const inputs = new Set(graph.inputs);
  const nodes = new Set(graph.nodes);
  for (const output of graph.outputs) {
    const { name, value, count } = output;
    for (const read of outputValues(output)) {
      if (read.source.kind === 'node' && !nodes.has(read.source.node))
        report(name, 'this output reads a node that was removed');
      if (read.source.kind === 'input' && !inputs.has(read))
        report(name, 'this output reads an input of another graph');
    }
    if (!count) continue;
    const { dtype, shape } = count.value.type;
    if (dtype !== 'i64' || shape.length > 0)
      report(name, `its count is ${formatType(count.value.type)}, not i64[]`);
    if (value.type.shape[count.axis] === undefined)
      report(name, `its count is of axis ${count.axis}, which it lacks`);
  }
}

/** Sources, operands and order. */
function checkStructure(graph: Graph, nodes: readonly Node[], report: Report): void {
  const inputs = new Set(graph.inputs);
  for (const value of graph.inputs) {
    if (value.source.kind !== 'input') report(value.name, 'a graph input has another source');
  }
  const done = new Set<Node>();
  for (const node of nodes) {
    node.outputs.forEach((value, index) => {
      const { source } = value;
      if (source.kind !== 'node' || source.node !== node || source.index !== index) {
        report(node.name, `output ${index} does not point back to its node`);
      }
    });
    for (const value of node.operands) {
      const source = value?.source;
      if (source?.kind === 'input' && value && !inputs.has(value)) {
        report(node.name, `"${value.name}" is not an input of this graph`);
      }
      if (source?.kind !== 'node') continue;
      if (!done.has(source.node)) report(node.name, `"${value?.name}" is produced after it is read`);
      if (source.node.outputs[source.index] !== value) {
        report(node.name, `"${value?.name}" is not an output of its node`);
      }
    }
    done.add(node);
  }
}

function checkValue(value: Value, report: Report): void {
  const { dtype, shape } = value.type;
  if (!isDType(dtype)) report(value.name, `"${String(dtype)}" is no element type`);
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    report(value.name, `the sizes of ${formatType(value.type)} are not all whole and ≥ 0`);
  }
  if (value.source.kind !== 'constant') return;
  const { constant } = value.source;
  if (!sameType(constant.type, value.type))
    report(value.name, 'the constant has another type than its value');
  if (constant.data === null) {
    if (!constant.missing) report(value.name, 'the constant has neither data nor a reason');
    return;
  }
  const count = elementCount(shape);
  if (constant.data.length !== count) {
    report(value.name, `the constant has ${constant.data.length} elements, its type ${count}`);
  }
  if (isDType(dtype) && constant.data.constructor !== allocate(dtype, 0).constructor) {
    report(value.name, `the constant's array does not hold ${dtype}`);
  }
}

/** Does every use read the value where it says? That every read is a use is checked from the reader's side. */
function checkUses(value: Value, nodes: readonly Node[], report: Report): boolean {
  let sound = true;
  const say: Report = (subject, message) => {
    sound = false;
    report(subject, message);
  };
  const seen = new Set<string>();
  for (const { node, slot } of value.uses) {
    const key = `${node.id}:${slot}`;
    if (seen.has(key)) say(value.name, `slot ${slot} of "${node.name}" is listed twice among its uses`);
    seen.add(key);
    if (node.operands[slot] !== value) say(value.name, `slot ${slot} of "${node.name}" does not read it`);
    else if (!isListed(node, nodes)) say(value.name, `"${node.name}" reads it but is not in the graph`);
  }
  return sound;
}

const nodeSets = new WeakMap<readonly Node[], ReadonlySet<Node>>();
function isListed(node: Node, nodes: readonly Node[]): boolean {
  let set = nodeSets.get(nodes);
  if (!set) {
    set = new Set(nodes);
    nodeSets.set(nodes, set);
  }
  return set.has(node);
}

/** @param listed values of which every read is known to be among their uses: those of many readers are not searched again */
function checkNode(node: Node, listed: ReadonlySet<Value>, report: Report): void {
  const def = opDef(node.op);
  const inputs = ownInputs(node);
  const say = (message: string) => report(node.name, message);
  node.operands.forEach((value, slot) => {
    if (value && !listed.has(value) && !value.uses.some((use) => use.node === node && use.slot === slot)) {
      say(`slot ${slot} reads "${value.name}", which does not list the use`);
    }
  });
  // `nodes` follows operands, so a removed node shows up where somebody still reads it
  if (node.arity > node.operands.length) say('it was removed, but its result is read');
  const variadic = def.inputs.some((spec) => spec.variadic);
  if (!variadic && node.arity > def.inputs.length)
    say(`${node.op} takes ${def.inputs.length} inputs, not ${node.arity}`);
  def.inputs.forEach((spec, slot) => {
    if (!spec.optional && !inputs[slot]) say(`input "${spec.name}" is absent`);
  });
  checkInference(node, say);
  checkEpilogue(node, say);
}

function checkInference(node: Node, say: (message: string) => void): void {
  const def = opDef(node.op);
  const inputs = ownInputs(node);
  const given = node.attrs as Readonly<Record<string, AttrValue>>;
  try {
    const attrs = resolveAttrs(def.attrs, given);
    for (const [name, value] of Object.entries(attrs)) {
      if (!sameAttr(value, given[name])) say(`attribute "${name}" is absent`);
    }
    const types = def.infer({ attrs, inputs: inputs.map((v) => v?.type), constants: inputs.map(tensorOf) });
    if (types.length !== node.outputs.length)
      say(`it has ${node.outputs.length} outputs, not ${types.length}`);
    types.forEach((type, i) => {
      const own = node.outputs[i]?.type;
      if (own && !sameType(own, type))
        say(`output ${i} is ${formatType(own)}; ${node.op} gives ${formatType(type)}`);
    });
  } catch (error) {
    if (!(error instanceof OpError || error instanceof RangeError)) throw error;
    say(error.message);
  }
}

function checkEpilogue(node: Node, say: (message: string) => void): void {
  const extra = epilogueOperands(node);
  if (!node.epilogue) {
    if (extra.length > 0) say('it has operands of an epilogue, but no epilogue');
    return;
  }
  const type = node.outputs[0]?.type;
  if (!opDef(node.op).traits.epilogue) say(`${node.op} takes no epilogue`);
  if (type?.dtype !== 'f32') say(`an epilogue needs an f32 result, not ${type?.dtype}`);
  if (arity(node.epilogue) > extra.length + 1) say('its epilogue reads an operand that it lacks');
  for (const value of extra) {
    if (!value) {
      say('an operand of its epilogue is absent');
      continue;
    }
    if (value.type.dtype !== 'f32')
      say(`operand "${value.name}" of its epilogue is ${value.type.dtype}, not f32`);
    const shape = type && broadcastShapes(value.type.shape, type.shape);
    if (!shape || !sameShape(shape, type.shape)) {
      say(`operand "${value.name}" of its epilogue does not broadcast to the result's shape`);
    }
  }
}
