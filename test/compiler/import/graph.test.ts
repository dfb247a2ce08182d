import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { RULES } from '#compiler/import/onnx/ops/index.ts';
import { bodyOf, orderNodes } from '#compiler/import/onnx/order.ts';
import { REFUSED } from '#compiler/import/onnx/refused.ts';
import { constantOf, tensorOf } from '#ir/graph.ts';
import { numbers } from '#ir/tensor.ts';
import { repositoryFolder } from '../../support/collection.ts';
import { refusedPart, withPart } from '../../support/conformance-report.ts';
import {
  attribute,
  info,
  node,
  onnxModel,
  stored,
  storedInts,
  subgraph,
  type TestModel,
} from '../../support/onnx.ts';
import { codesOf, diagnosticsOf } from './codes.ts';

const run = (model: TestModel, options = {}) => importOnnx(onnxModel(model), options);
const ops = (model: TestModel) => run(model).graph.nodes.map((n) => n.op);
const scalar = (name: string, value: number) => stored(name, [], Float32Array.of(value));

describe('names', () => {
  test('a cycle is refused with the nodes in it', () => {
    const found = diagnosticsOf(() =>
      run({
        inputs: [info('x', [1])],
        nodes: [node('Add', ['x', 'b'], ['a']), node('Relu', ['a'], ['b']), node('Relu', ['b'], ['y'])],
      }),
    );
    expect(found.map((d) => d.code)).toEqual(['graph-cyclic']);
    expect(found[0]?.message).toContain('a_node, b_node');
  });

  test('a name that nothing produces is refused, once per reader', () => {
    const model = { inputs: [info('x', [1])], nodes: [node('Add', ['x', 'nowhere'], ['y'])] };
    expect(codesOf(() => run(model))).toEqual(['graph-undefined-value']);
    expect(codesOf(() => run({ ...model, nodes: [], outputs: ['gone'] }))).toEqual(['graph-undefined-value']);
  });

  test('two producers of a name are refused', () => {
    const nodes = [node('Relu', ['x'], ['y']), node('Abs', ['x'], ['y'])];
    expect(codesOf(() => run({ inputs: [info('x', [1])], nodes }))).toEqual(['graph-duplicate-value']);
    const twice = {
      inputs: [info('x', [1])],
      initializers: [scalar('w', 1), scalar('w', 2)],
      outputs: ['x'],
    };
    expect(codesOf(() => run(twice))).toEqual(['graph-duplicate-value']);
    expect(codesOf(() => run({ inputs: [info('x', [1])], outputs: ['x', 'x'] }))).toEqual([
      'graph-duplicate-value',
    ]);
  });

  test('nodes in any order are put in order', () => {
    const nodes = [node('Abs', ['a'], ['y']), node('Relu', ['x'], ['a'])];
    expect(ops({ inputs: [info('x', [1])], nodes })).toEqual(['Relu', 'Abs']);
  });

  test('a chain of 10,000 nodes does not exhaust the stack, in reverse order either', () => {
    const nodes = Array.from({ length: 10_000 }, (_, i) => node('Relu', [`v${i}`], [`v${i + 1}`])).reverse();
    const model = { inputs: [info('v0', [1])], outputs: ['v10000'], nodes };
    expect(run(model).graph.nodes).toHaveLength(10_000);
  });

  test('a node of 150,000 operands that come after it does not exhaust the stack', () => {
    const names = Array.from({ length: 150_000 }, (_, i) => `v${i}`);
    const nodes = [node('Concat', names, ['y']), ...names.map((name) => node('Relu', ['x'], [name]))];
    const { graph } = ModelProto.decode(onnxModel({ inputs: [info('x', [1])], nodes }));
    expect(graph && orderNodes(bodyOf(graph)).nodes.at(-1)?.opType).toBe('Concat');
  });

  test('nodes keep the exporter’s names, values and outputs theirs', () => {
    const { graph } = run({
      inputs: [info('x', [1, 4])],
      nodes: [
        node('Relu', ['x'], ['/a/Relu_output'], {}, { name: '/a/Relu' }),
        node('Identity', ['/a/Relu_output'], ['y']),
      ],
    });
    expect(graph.nodes[0]?.name).toBe('/a/Relu');
    expect(graph.nodes[0]?.outputs[0]?.name).toBe('/a/Relu_output');
    expect(graph.outputs.map((o) => o.name)).toEqual(['y']);
  });
});

describe('constants', () => {
  test('an initializer that is also an input (IR version 3) is a constant', () => {
    const { graph } = run({
      irVersion: 3,
      opset: 8,
      inputs: [info('x', ['N', 2]), info('w', [2])],
      initializers: [stored('w', [2], Float32Array.of(3, 4))],
      nodes: [node('Add', ['x', 'w'], ['y'])],
    });
    expect(graph.inputs.map((v) => v.name)).toEqual(['x']);
    expect(constantOf(graph.nodes[0]?.operands[1])?.data).toEqual(Float32Array.of(3, 4));
  });

  test('identities and dropouts of one initializer stay that one constant', () => {
    const { graph } = run({
      inputs: [info('x', [2])],
      initializers: [stored('w', [2], Float32Array.of(3, 4))],
      nodes: [
        node('Identity', ['w'], ['w1']),
        node('Dropout', ['w1'], ['w2']),
        node('Add', ['x', 'w'], ['a']),
        node('Add', ['a', 'w2'], ['y']),
      ],
    });
    expect(graph.nodes.map((n) => n.op)).toEqual(['Add', 'Add']);
    expect(graph.nodes[0]?.operands[1]).toBe(graph.nodes[1]?.operands[1]);
  });

  test('the shape arithmetic of a flatten folds into the attribute of one Reshape', () => {
    const { graph } = run(
      {
        inputs: [info('x', ['N', 3, 4])],
        initializers: [storedInts('zero', [0]), storedInts('minus', [-1]), storedInts('axes', [0])],
        nodes: [
          node('Shape', ['x'], ['s']),
          node('Gather', ['s', 'zero'], ['n'], { axis: 0n }),
          node('Cast', ['n'], ['n32'], { to: 6n }),
          node('Cast', ['n32'], ['n64'], { to: 7n }),
          node('Concat', ['n64', 'minus'], ['to'], { axis: 0n }),
          node('Reshape', ['x', 'to'], ['y']),
        ],
      },
      { dims: { N: 5 } },
    );
    expect(graph.nodes.map((n) => [n.op, n.attrs])).toEqual([['Reshape', { shape: [5, 12] }]]);
    expect(graph.values.map((v) => v.name)).toEqual(['x', 'y']);
  });

  test('a large constant of one value costs nothing until it is read', () => {
    const { graph } = run({
      initializers: [storedInts('shape', [4096, 4096])],
      nodes: [
        node('ConstantOfShape', ['shape'], ['y'], { value: { tensor: stored('', [1], Float32Array.of(7)) } }),
      ],
    });
    const constant = tensorOf(graph.outputs[0]?.value);
    expect(constant?.type).toEqual({ dtype: 'f32', shape: [4096, 4096] });
    expect(constant?.data[4096 * 4096 - 1]).toBe(7);
  });

  test('a shape that depends on the input is refused with a reason', () => {
    const model = {
      inputs: [info('x', [4]), info('s', [2], 7)],
      nodes: [node('Reshape', ['x', 's'], ['y'])],
    };
    expect(codesOf(() => run(model))).toEqual(['shape-data-dependent']);
  });
});

describe('control flow and functions', () => {
  const branch = (op: string) => ({
    graph: subgraph({ nodes: [node(op, ['x'], ['inner'])], outputs: ['inner'] }),
  });
  const model = (initializers: TestModel['initializers'] = []): TestModel => ({
    inputs: [info('x', [2]), ...(initializers?.length ? [] : [info('c', [], 9)])],
    initializers: initializers ?? [],
    nodes: [node('If', ['c'], ['y'], { then_branch: branch('Relu'), else_branch: branch('Abs') })],
  });

  test('If with a constant condition is the branch it takes', () => {
    expect(ops(model([stored('c', [], Uint8Array.of(1), 9)]))).toEqual(['Relu']);
    expect(ops(model([stored('c', [], Uint8Array.of(0), 9)]))).toEqual(['Abs']);
  });

  test('todo: If that depends on the input is refused', () => {
    expect(codesOf(() => run(model()))).toEqual(['op-unsupported-form']);
  });

  test('an If earlier in the file than what its branch reads is put after it', () => {
    const { nodes = [], ...rest } = model([stored('c', [], Uint8Array.of(1), 9)]);
    const late = [...nodes, node('Abs', ['z'], ['x'])];
    expect(ops({ ...rest, inputs: [info('z', [2])], nodes: late })).toEqual(['Abs', 'Relu']);
  });

  test('the model’s own functions are inlined, with attributes and absent inputs', () => {
    const leaky = node('LeakyRelu', ['a'], ['b']);
    const { graph } = run({
      inputs: [info('x', [2])],
      domains: { mine: 1 },
      functions: [
        {
          name: 'Twice',
          domain: 'mine',
          input: ['a', 'missing'],
          output: ['c'],
          attribute: ['slope'],
          opsetImport: [{ domain: '', version: 17 }],
          node: [
            { ...leaky, attribute: [{ name: 'alpha', refAttrName: 'slope', type: 1 }] },
            node('Clip', ['b', 'missing'], ['c']),
          ],
        },
      ],
      nodes: [
        { ...node('Twice', ['x'], ['y'], {}, { domain: 'mine' }), attribute: [attribute('slope', 0.5)] },
      ],
    });
    expect(graph.nodes.map((n) => [n.op, n.attrs])).toEqual([
      ['LeakyRelu', { alpha: 0.5 }],
      ['Clip', { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY }],
    ]);
  });

  test('a function that calls itself is refused', () => {
    const self = {
      name: 'F',
      domain: 'mine',
      input: ['a'],
      output: ['b'],
      attribute: [],
      opsetImport: [
        { domain: '', version: 17 },
        { domain: 'mine', version: 1 },
      ],
      node: [node('F', ['a'], ['b'], {}, { domain: 'mine' })],
    };
    const model = {
      inputs: [info('x', [2])],
      functions: [self],
      nodes: [node('F', ['x'], ['y'], {}, { domain: 'mine' })],
    };
    expect(codesOf(() => run(model))).toEqual(['graph-invalid']);
  });
});

describe('operators that are not read', () => {
  test('all of them are told at once, by operator and domain, with what to do', () => {
    const found = diagnosticsOf(() =>
      run({
        inputs: [info('x', [2])],
        domains: { 'com.microsoft': 1 },
        nodes: [
          node('Loop', ['x'], ['a']),
          node('FusedConv', ['a'], ['b'], {}, { domain: 'com.microsoft' }),
          node('Relu', ['b'], ['c']),
          node('FusedConv', ['c'], ['d'], {}, { domain: 'com.microsoft' }),
          node('Reshape', ['x', 'x'], ['y']),
        ],
      }),
    );
    expect(found.map((d) => d.code)).toEqual(['op-refused', 'op-unknown', 'shape-data-dependent']);
    expect(found[0]?.message).toBe('operator Loop (ai.onnx 17) is refused, as all that is for loops');
    expect(found[1]?.message).toContain('FusedConv (com.microsoft 1) is not known; 2 nodes: b_node, d_node');
    expect(found[1]?.hint).toContain('before optimising it with onnxruntime');
  });

  test('every operator of the standard is read, or refused with advice', () => {
    const refused = REFUSED.flatMap((group) => group.ops);
    // all that ONNX 1.23 defines in its default domain, in any version
    expect(new Set([...Object.keys(RULES), ...refused]).size).toBe(203);
    expect(Object.keys(RULES).length + refused.length).toBe(203);
    const found = diagnosticsOf(() =>
      run({
        inputs: [info('x', [2])],
        nodes: refused.map((op, i) => node(op, ['x'], [`y${i}`])),
        outputs: ['y0'],
      }),
    );
    expect(found.map((d) => d.code)).toEqual(refused.map(() => 'op-refused'));
    expect(found.map((d) => d.hint)).toEqual(REFUSED.flatMap(({ ops, instead }) => ops.map(() => instead)));
  });

  test('README.md lists the operators that are refused', () => {
    const readme = readFileSync(join(repositoryFolder, 'README.md'), 'utf8');
    expect(readme, 'to write it anew: npm run conformance -- --readme').toBe(
      withPart(readme, 'refused', refusedPart()),
    );
  });

  test('an output that is declared with another shape is a warning, however many axes it has', () => {
    const warnings = (x: readonly (number | string)[], y: readonly (number | string)[]) =>
      importOnnx(
        onnxModel({
          inputs: [info('x', x)],
          nodes: [node('Relu', ['x'], ['y'])],
          outputs: [info('y', y)],
        }),
      ).diagnostics.filter((d) => d.code !== 'batch-assumed');
    expect(warnings([2, 3], [2, 3])).toEqual([]);
    expect(warnings(['n', 3], ['m', 3])).toEqual([]);
    expect(warnings([2, 3], [])).toEqual([]);
    const [found, ...more] = warnings([2, 3], ['batch', 4]);
    expect(more).toEqual([]);
    expect(found).toMatchObject({
      code: 'output-shape-differs',
      kind: 'warning',
      subject: 'y',
      message: 'the model declares ?×4 for this output; its nodes give 2×3',
    });
    expect(warnings([2, 3], [6])[0]?.message).toContain('declares 6 for this output');
  });

  test('shapes that do not fit name the node and the shapes', () => {
    const model = {
      inputs: [info('x', [2]), info('z', [3])],
      nodes: [node('Add', ['x', 'z'], ['y'], {}, { name: 'sum' })],
    };
    const [found] = diagnosticsOf(() => run(model));
    expect(found).toMatchObject({ code: 'shape-mismatch', subject: 'sum' });
    expect(found?.message).toContain('Add(f32[2], f32[3])');
  });

  test('an output that is not supported is refused only where it is read', () => {
    const norm = node('BatchNormalization', ['x', 's', 's', 's', 's'], ['y', 'mean']);
    const model = { inputs: [info('x', [1, 2, 4, 4]), info('s', [2])], nodes: [norm] };
    expect(ops(model)).toEqual(['BatchNormalization']);
    expect(codesOf(() => run({ ...model, outputs: ['y', 'mean'] }))).toEqual(['op-unsupported-form']);
  });

  test('control characters in names do not reach messages', () => {
    const [found] = diagnosticsOf(() =>
      run({ inputs: [info('x', [2])], nodes: [node('Evil\u001b[2J', ['x'], ['y'])] }),
    );
    expect(found?.message).not.toContain('\u001b');
  });
});

test('reading a folded list as numbers gives what the model computes', () => {
  const { graph } = run({
    initializers: [storedInts('a', [6, 7]), storedInts('b', [2, 2])],
    nodes: [node('Div', ['a', 'b'], ['y'])],
  });
  const found = tensorOf(graph.outputs[0]?.value);
  expect(found && numbers(found)).toEqual([3, 3]);
});
