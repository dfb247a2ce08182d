import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { parseExpr } from '#ir/expr.ts';
import { type Constant, f32, i64, tensor } from '#ir/tensor.ts';
import { parseGraph, printGraph } from '#ir/text.ts';
import { verifyGraph } from '#ir/verify.ts';
import { runPipeline } from '#passes/pass.ts';
import { lowerPipeline } from '#passes/pipeline.ts';
import { graphArbitrary, withoutWeights } from '../support/graphs.ts';

const roundTrip = (text: string) => printGraph(parseGraph(text));

test('a graph in its canonical form', () => {
  const b = new Builder('tiny');
  const x = b.input('image', [1, 3, 8, 8]);
  const r = b.input('r', [1, 4, 8, 8]);
  const w = b.constant('w', f32([4, 3, 1, 1], new Float32Array(12).fill(0.1)));
  const y = b.op(
    'Conv',
    [x, w, undefined],
    { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
    {
      name: 'stem',
      outputs: ['y'],
      epilogue: { expr: parseExpr('max(add(x0, x1), 0)'), operands: [r] },
    },
  );
  b.output('logits', b.op('LeakyRelu', [y], { alpha: 0.1 }, { name: 'act', origin: 'gate' }));
  expect(printGraph(b.graph)).toBe(`graph "tiny" {
  input %image: f32[1,3,8,8]
  input %r: f32[1,4,8,8]
  const %w: f32[4,3,1,1] = splat 0.1
  %y: f32[1,4,8,8] = Conv(%image, %w, _) {strides=[1,1], dilations=[1,1], pads=[0,0,0,0], group=1} -> max(add(x0, x1), 0) with (%r) name "stem"
  %act_out: f32[1,4,8,8] = LeakyRelu(%y) {alpha=0.1} origin "gate"
  output "logits" = %act_out
}
`);
  expect(roundTrip(printGraph(b.graph))).toBe(printGraph(b.graph));
});

test('printing and parsing give back random graphs, fused and not, with weights and without', () => {
  fc.assert(
    fc.property(graphArbitrary(), fc.boolean(), fc.boolean(), (graph, fused, weightless) => {
      if (fused) runPipeline(graph, lowerPipeline);
      const original = weightless ? withoutWeights(graph) : graph;
      const text = printGraph(original);
      const parsed = parseGraph(text);
      expect(printGraph(parsed)).toBe(text);
      expect(verifyGraph(parsed)).toEqual([]);
      expect(printGraph(cloneGraph(original))).toBe(text);
    }),
    { seed: 1, numRuns: 60 },
  );
});

const constants: [string, Constant, string][] = [
  ['a scalar', f32([], [1.5]), '[1.5]'],
  ['shortest decimals', f32([3], [0.1, -0, 1 / 3]), '[0.1, -0, 0.33333334]'],
  ['infinities', f32([2], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]), '[Infinity, -Infinity]'],
  ['subnormals and the largest', f32([2], [1e-45, 3.4028234663852886e38]), '[1e-45, 3.4028235e+38]'],
  ['NaN keeps its bits', f32([1], [Number.NaN]), 'data "AADAfw=="'],
  ['64-bit integers', i64([2n ** 62n, -1n]), '[4611686018427387904, -1]'],
  ['a splat of integers', i64([7, 7, 7]), 'splat 7'],
  ['booleans', tensor('bool', [2], [1, 0]), '[1, 0]'],
  ['nothing', f32([0], []), '[]'],
  [
    'long lists',
    tensor(
      'u8',
      [17],
      Array.from({ length: 17 }, (_, i) => i),
    ),
    'data "AAECAwQFBgcICQoLDA0ODxA="',
  ],
  [
    'missing',
    { type: { dtype: 'f32', shape: [2] }, data: null, missing: 'no "file"' },
    'missing "no \\"file\\""',
  ],
];

test.each(constants)('constants: %s', (_, constant, text) => {
  const b = new Builder('c');
  b.output('c', b.constant('c', constant));
  const printed = printGraph(b.graph);
  expect(printed).toContain(` = ${text}\n`);
  const source = parseGraph(printed).outputs[0]?.value.source;
  expect(source?.kind === 'constant' && source.constant).toEqual(constant);
});

test('large constants can be left out, and are missing then', () => {
  const b = new Builder('c');
  b.output('c', b.constant('c', f32([3], [1, 2, 3])));
  const printed = printGraph(b.graph, { elideAbove: 2 });
  expect(printed).toContain('const %c: f32[3] = elided');
  const source = parseGraph(printed).outputs[0]?.value.source;
  expect(source?.kind === 'constant' && source.constant.data).toBe(null);
});

test('names of any kind survive', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 3, maxLength: 3 }),
      ([a = '', c = '', d = '']) => {
        const b = new Builder(a);
        b.output(d, b.op('Relu', [b.input(a, [1])], {}, { name: c, outputs: [c] }));
        const parsed = parseGraph(printGraph(b.graph));
        expect([parsed.name, parsed.inputs[0]?.name, parsed.nodes[0]?.name, parsed.outputs[0]?.name]).toEqual(
          [a, a, c, d],
        );
      },
    ),
  );
});

test('exporters’ names need no quotes', () => {
  const text = `graph "g" {
  input %onnx::Conv_12: f32[1]
  %/layer1/Relu_output_0: f32[1] = Relu(%onnx::Conv_12)
  output "12" = %/layer1/Relu_output_0
}
`;
  expect(roundTrip(text)).toBe(text);
});

test('comments and white space are free', () => {
  const text = `graph "g" { # a graph
    input %x: f32[1] input %r: f32[1]
    # with a node
    %y: f32[1] = Relu(%x)
      -> add(x0, # here
             x1) with (%r)
    output "y" = %y }`;
  expect(roundTrip(text)).toContain('%y: f32[1] = Relu(%x) -> add(x0, x1) with (%r)\n');
});

const wrong: [string, RegExp][] = [
  ['', /line 1: expected "graph", found the end/],
  ['graph "g" {', /line 1: .*found the end/],
  ['graph "g" {\n  input %x: f16[1]\n}', /line 2: "f16" is no element type/],
  ['graph "g" {\n  input %x: f32[-1]\n}', /line 2: sizes must be whole/],
  ['graph "g" {\n  input %x: f32[1]\n  input %x: f32[1]\n}', /line 3: value "x" is defined twice/],
  ['graph "g" {\n  %y: f32[1] = Relu(%x)\n}', /line 2: value "x" is not defined above/],
  ['graph "g" {\n  input %x: f32[1]\n  %y: f32[1] = Rely(%x)\n}', /line 3: there is no op "Rely"/],
  ['graph "g" {\n  input %x: f32[1]\n  %y: f32[2] = Relu(%x)\n}', /line 3: "y" is f32\[1\], not f32\[2\]/],
  [
    'graph "g" {\n  input %x: f32[1]\n  %y: f32[1] = Relu(%x) {alpha=1}\n}',
    /line 3: unknown attribute "alpha"/,
  ],
  [
    'graph "g" {\n  input %x: f32[1]\n  %y: f32[1] = Relu(%x) -> relu(x0)\n}',
    /line 3: unknown function "relu"/,
  ],
  ['graph "g" {\n  input %x: f32[1]\n  %y: f32[1] = Relu(%x) -> add(x0, 1\n}', /line [34]: /],
  [
    'graph "g" {\n  input %x: f32[1]\n  %y: f32[1], %z: f32[1] = Relu(%x)\n}',
    /line 3: Relu has 1 outputs, not 2/,
  ],
  ['graph "g" {\n  const %c: f32[2] = [1]\n}', /line 2: 1 values for shape \[2\]/],
  ['graph "g" {\n  const %c: f32[2] = data "AAAA"\n}', /line 2: 3 bytes for f32\[2\], which has 8/],
  ['graph "g" {\n  const %c: f32[2] = data "A*=="\n}', /"\*" is not a base64 digit/],
  ['graph "g" {\n  const %c: f32[99999,99999] = splat 0\n}', /line 2: .* is too large/],
  ['graph "g" {\n  const %c: i64[1] = [1.5]\n}', /line 2: "1.5" is not a whole number/],
  ['graph "g\n', /line 1: a string does not end/],
  ['graph "g" {\n  ;\n}', /line 2: unexpected character ";"/],
  ['graph "g" {\n}\n}', /line 3: expected the end, found "}"/],
];

test.each(wrong)('wrong text: %j', (text, message) => {
  expect(() => parseGraph(text)).toThrow(SyntaxError);
  expect(() => parseGraph(text)).toThrow(message);
});

test('nesting is bounded', () => {
  const deep = `${'neg('.repeat(100_000)}x0${')'.repeat(100_000)}`;
  const text = `graph "g" {\n  input %x: f32[1]\n  %y: f32[1] = Relu(%x) -> ${deep}\n  output "y" = %y\n}`;
  expect(() => parseGraph(text)).toThrow(/line 3: expression nested too deeply/);
});

test('mutilated text gives a SyntaxError or a sound graph', () => {
  fc.assert(
    fc.property(
      graphArbitrary(4),
      fc.nat(),
      fc.nat(60),
      fc.string({ maxLength: 3 }),
      (graph, at, length, insert) => {
        const text = printGraph(graph, { elideAbove: 16 });
        const start = at % text.length;
        try {
          const parsed = parseGraph(text.slice(0, start) + insert + text.slice(start + length));
          expect(verifyGraph(parsed).filter((d) => d.message !== 'the graph has no output')).toEqual([]);
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error;
        }
      },
    ),
    { seed: 2, numRuns: 300 },
  );
});
