import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseExpr } from '#ir/expr.ts';
import { Graph, type Node, type Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { parseGraph } from '#ir/text.ts';
import { verifyGraph } from '#ir/verify.ts';
import { graphArbitrary } from '../support/graphs.ts';

/** A sound graph with a node of every interest: x and r are inputs, c and w constants. */
const sound = () =>
  parseGraph(`graph "g" {
    input %x: f32[1,2,4,4]
    input %r: f32[1,3,4,4]
    const %w: f32[3,2,1,1] = splat 0.5
    const %c: f32[] = [2]
    %y: f32[1,3,4,4] = Conv(%x, %w) {strides=[1,1], dilations=[1,1], pads=[0,0,0,0], group=1} -> add(x0, x1) with (%r)
    %z: f32[1,3,4,4] = Mul(%y, %c)
    %p: f32[1,3,1,1] = GlobalAveragePool(%z)
    output "z" = %z
    output "p" = %p
  }`);

type Loose<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] };
/** Types say readonly, and the verifier must not believe it. */
const loose = <T>(x: T | undefined): Loose<T> => {
  if (!x) throw new Error('nothing to break');
  return x as Loose<T>;
};
const node = (g: Graph, name: string) => loose<Node>(g.nodes.find((n) => n.name === name));
const value = (g: Graph, name: string) => loose<Value>(g.values.find((v) => v.name === name));

test('sound graphs pass', () => {
  expect(verifyGraph(sound())).toEqual([]);
  fc.assert(
    fc.property(graphArbitrary(), (graph) => {
      expect(verifyGraph(graph)).toEqual([]);
    }),
    { numRuns: 30 },
  );
});

const breaks: [string, (g: Graph) => void, string | RegExp][] = [
  ['a name is empty', (g) => (value(g, 'y').name = ''), 'a value has no name'],
  ['a name is taken', (g) => (value(g, 'y').name = 'x'), 'two values have this name'],
  [
    'an output’s name is taken',
    (g) => g.addOutput('z', value(g, 'z') as Value),
    'two outputs have this name',
  ],
  ['an output’s name is empty', (g) => g.addOutput('', value(g, 'z') as Value), 'an output has no name'],
  [
    'an output reads a removed node',
    (g) => {
      const other = g.addNode('Relu', [value(g, 'z') as Value], {});
      g.removeNode(other as Node);
      g.addOutput('gone', other.outputs[0] as Value);
    },
    'this output reads a node that was removed',
  ],
  [
    'an output reads an input of another graph',
    (g) => g.addOutput('other', new Graph('other').addInput('a', { dtype: 'f32', shape: [1] })),
    'this output reads an input of another graph',
  ],
  [
    'an output does not point back',
    (g) => (value(g, 'y').source = { kind: 'node', node: node(g, 'z') as Node, index: 0 }),
    /does not point back/,
  ],
  [
    'an input is no input',
    (g) => (value(g, 'r').source = value(g, 'w').source),
    'a graph input has another source',
  ],
  [
    'an operand is an input of another graph',
    (g) =>
      g.setOperand(node(g, 'z') as Node, 1, new Graph('other').addInput('a', { dtype: 'f32', shape: [] })),
    '"a" is not an input of this graph',
  ],
  [
    'an operand comes from a removed node',
    (g) => {
      const other = g.addNode('Abs', [value(g, 'c') as Value], {});
      g.removeNode(other as Node);
      g.setOperand(node(g, 'z') as Node, 1, other.outputs[0]);
    },
    'it was removed, but its result is read',
  ],
  ['a use is not listed', (g) => (value(g, 'c').uses = []), 'slot 1 reads "c", which does not list the use'],
  [
    'a use is listed twice',
    (g) => value(g, 'c').uses.push({ node: node(g, 'z') as Node, slot: 1 }),
    /listed twice among its uses/,
  ],
  [
    'a use reads something else',
    (g) => value(g, 'c').uses.push({ node: node(g, 'z') as Node, slot: 0 }),
    'slot 0 of "z" does not read it',
  ],
  [
    'a use is not in the graph',
    (g) => {
      const user = new Graph('other').addNode('Relu', [value(g, 'x') as Value], {});
      void user;
    },
    /reads it but is not in the graph/,
  ],
  [
    'there is a cycle',
    (g) => g.setOperand(node(g, 'y') as Node, 0, value(g, 'p') as Value),
    'this node depends on its own result',
  ],
  ['an input is absent', (g) => g.setOperand(node(g, 'z') as Node, 1, undefined), 'input "y" is absent'],
  ['there are too many inputs', (g) => (node(g, 'y').arity = 4), /Conv takes 3 inputs, not 4/],
  [
    'an attribute is unknown',
    (g) => (node(g, 'z').attrs = { alpha: 1 } as never),
    'unknown attribute "alpha"',
  ],
  [
    'an attribute is absent',
    (g) => (node(g, 'y').attrs = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] } as never),
    'attribute "group" is absent',
  ],
  [
    'an attribute is of the wrong type',
    (g) => (node(g, 'y').attrs = { ...node(g, 'y').attrs, group: 1.5 } as never),
    'attribute "group" must be int',
  ],
  [
    'attributes do not fit the inputs',
    (g) => (node(g, 'y').attrs = { ...node(g, 'y').attrs, group: 2 } as never),
    /takes 4 input channels; the input has 2/,
  ],
  [
    'a type is not what the op gives',
    (g) => (value(g, 'p').type = { dtype: 'f32', shape: [1, 3, 2, 2] }),
    'output 0 is f32[1,3,2,2]; GlobalAveragePool gives f32[1,3,1,1]',
  ],
  [
    'an output is missing',
    (g) => node(g, 'p').outputs.push(value(g, 'c') as Value),
    /it has 2 outputs, not 1/,
  ],
  [
    'the op takes no epilogue',
    (g) => (node(g, 'p').epilogue = parseExpr('neg(x0)')),
    'GlobalAveragePool takes no epilogue',
  ],
  [
    'an epilogue reads what it lacks',
    (g) => (node(g, 'y').epilogue = parseExpr('add(x0, x2)')),
    'its epilogue reads an operand that it lacks',
  ],
  [
    'operands without an epilogue',
    (g) => (node(g, 'y').epilogue = undefined),
    'it has operands of an epilogue, but no epilogue',
  ],
  [
    'an operand of an epilogue is absent',
    (g) => g.setOperand(node(g, 'y') as Node, 2, undefined),
    'an operand of its epilogue is absent',
  ],
  [
    'an operand of an epilogue enlarges the result',
    (g) => g.setOperand(node(g, 'y') as Node, 2, g.addInput('big', { dtype: 'f32', shape: [2, 3, 4, 4] })),
    /does not broadcast to the result's shape/,
  ],
  [
    'an operand of an epilogue is not f32',
    (g) => g.setOperand(node(g, 'y') as Node, 2, g.addInput('i', { dtype: 'i32', shape: [] })),
    /is i32, not f32/,
  ],
  [
    'an epilogue on integers',
    (g) => {
      const i = g.addInput('i', { dtype: 'i32', shape: [2] });
      g.addOutput(
        'n',
        g.addNode('Neg', [i], {}, { epilogue: { expr: parseExpr('abs(x0)'), operands: [] } })
          .outputs[0] as Value,
      );
    },
    'an epilogue needs an f32 result, not i32',
  ],
  [
    'a constant has too few elements',
    (g) =>
      (value(g, 'w').source = {
        kind: 'constant',
        constant: { type: value(g, 'w').type, data: new Float32Array(5) },
      }),
    'the constant has 5 elements, its type 6',
  ],
  [
    'a constant has another array',
    (g) =>
      (value(g, 'w').source = {
        kind: 'constant',
        constant: { type: value(g, 'w').type, data: new Int32Array(6) },
      }),
    "the constant's array does not hold f32",
  ],
  [
    'a constant has another type than its value',
    (g) => (value(g, 'c').source = { kind: 'constant', constant: f32([1], [1]) }),
    'the constant has another type than its value',
  ],
  [
    'a constant is missing without a reason',
    (g) =>
      (value(g, 'c').source = {
        kind: 'constant',
        constant: { type: value(g, 'c').type, data: null, missing: '' },
      }),
    'the constant has neither data nor a reason',
  ],
  [
    'a size is negative',
    (g) => (value(g, 'r').type = { dtype: 'f32', shape: [-1] }),
    /not all whole and ≥ 0/,
  ],
  [
    'an element type is unknown',
    (g) => (value(g, 'r').type = { dtype: 'f16' as never, shape: [1] }),
    /"f16" is no element type/,
  ],
];

test.each(breaks)('found: %s', (_, breakIt, message) => {
  const graph = sound();
  breakIt(graph);
  const found = verifyGraph(graph);
  expect(found.every((d) => d.code === 'graph-invalid')).toBe(true);
  expect(found.map((d) => d.message)).toContainEqual(
    typeof message === 'string' ? message : expect.stringMatching(message),
  );
});

test('found: there is no output', () => {
  const graph = new Graph('g');
  graph.addNode('Relu', [graph.addInput('x', { dtype: 'f32', shape: [1] })], {});
  expect(verifyGraph(graph).map((d) => d.message)).toEqual(['the graph has no output']);
});
