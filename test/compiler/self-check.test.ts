import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isClose } from '#compiler/check/compare.ts';
import { sampleElements } from '#compiler/check/samples.ts';
import { checkProgram, checkSameOutputs } from '#compiler/check/self-check.ts';
import { compileGraph } from '#compiler/compile.ts';
import { type WasmProgram, wasmTarget } from '#compiler/targets/wasm/index.ts';
import { Builder } from '#ir/builder.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import { smallNet } from '../support/bundles.ts';
import { graphArbitrary, randomGraph } from '../support/graphs.ts';

function programOf(graph: Graph): WasmProgram {
  runPipeline(graph, graphPipeline);
  runPipeline(graph, lowerPipeline);
  return wasmTarget.lower(graph);
}

const messageOf = (program: WasmProgram): Promise<string> =>
  checkProgram(program, 1).then(
    () => 'passed',
    (error: Error) => error.message,
  );

describe('a wrong program is found', () => {
  test('one weight that is off by 0.02', async () => {
    const program = programOf(smallNet());
    let found = 0;
    for (let i = 0; i < 40; i++) {
      const [first, ...rest] = program.constantParts;
      if (!first) throw new Error('there are no constants');
      const off = (target: Uint8Array): void => {
        first.write(target);
        const values = new Float32Array(target.buffer, target.byteOffset, target.byteLength / 4);
        values[i] = (values[i] ?? 0) + 0.02;
      };
      const constantParts = [{ ...first, write: off }, ...rest];
      if ((await messageOf({ ...program, constantParts })).includes('self-check-failed')) found++;
    }
    expect(found).toBe(40);
  });

  test('a call that is left out, by the name of its layer', async () => {
    const program = programOf(smallNet());
    const at = program.calls.findIndex((call) => call.node?.name === 'second');
    // the call before it once more, in its place
    const calls = program.calls.map((call, i) => (i === at ? { ...call, ...without(program, at) } : call));
    const message = await messageOf({ ...program, calls });
    expect(message).toMatch(
      /error\[self-check-failed\] second: Conv: \d+ of 96 sampled elements of "second_out"/,
    );
    expect(message).toMatch(/at \[0, \d, \d, \d\] expected -?[\d.e-]+, got -?[\d.e-]+/);
  });

  test('an argument that is one vector off', async () => {
    const program = programOf(smallNet());
    for (let at = 0; at < program.calls.length; at++) {
      // what fills a border with zeros has nothing to show for it in memory that is zero
      if (program.calls[at]?.kernel.family === 'fill') continue;
      const calls = program.calls.map((call, i) => (i === at ? shifted(call) : call));
      expect(await messageOf({ ...program, calls }), `call ${at}`).toContain('self-check-failed');
    }
  });

  test('a run that is not what its layers are', () => {
    const program = programOf(smallNet());
    const outputs = [Float32Array.of(1, 2), Float32Array.of(3)];
    expect(() => checkSameOutputs(program, outputs, outputs, 'one', 'another')).not.toThrow();
    expect(() =>
      checkSameOutputs(program, outputs, [outputs[0] ?? [], Float32Array.of(4)] as never, 'one', 'another'),
    ).toThrow('scores');
  });
});

const shifted = (call: WasmProgram['calls'][number]) => ({
  ...call,
  arguments: call.arguments.map((a, k) => (k === 0 ? { ...a, offset: a.offset + 16 } : a)),
});

/** A call like its neighbour's, so that the call at `at` does not happen. */
function without(program: WasmProgram, at: number) {
  const { kernel, arguments: args } = program.calls[at === 0 ? 1 : at - 1] ?? {};
  if (!kernel || !args) throw new Error('the program has one call');
  return { kernel, arguments: args };
}

test('a sum whose large terms cancel is not blamed on the kernel', async () => {
  const b = new Builder('cancel');
  const x = b.input('x', [1, 64, 5, 5]);
  // the exact result is 0 everywhere: every difference is infinitely large, relative to it
  const weight = Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 1000.1 : -1000.1) + Math.floor(i / 2));
  const half = b.op('Slice', [x], { starts: [0, 0, 0, 0], steps: [1, 1, 1, 1], sizes: [1, 32, 5, 5] });
  const twice = b.op('Concat', [half, half], { axis: 1 });
  const w = b.constant(
    'w',
    f32([1, 64, 1, 1], [...weight.slice(0, 32), ...weight.slice(0, 32).map((v) => -v)]),
  );
  b.output('y', b.conv(twice, w));
  expect(await messageOf(programOf(b.graph))).toBe('passed');
});

test('infinities and NaN on random input are a warning where the reference agrees', async () => {
  const b = new Builder('overflow');
  const x = b.input('x', [1, 8]);
  b.output('inf', b.op('Exp', [b.op('Mul', [b.op('Abs', [x], {}), b.scalar(1e4)], {})], {}));
  b.output('nan', b.op('Sqrt', [x], {}));
  b.output('fine', b.relu(x));
  const { diagnostics } = await compileGraph(b.graph);
  expect(diagnostics.map((d) => [d.code, d.kind, d.subject])).toEqual([
    ['output-not-finite', 'warning', 'inf'],
    ['output-not-finite', 'warning', 'nan'],
  ]);
});

test('random programs pass', async () => {
  await fc.assert(
    fc.asyncProperty(graphArbitrary(6), async (graph) => {
      expect(await messageOf(programOf(graph))).toBe('passed');
    }),
    { numRuns: 30 },
  );
  expect(await messageOf(wasmTarget.lower(randomGraph(5)))).toBe('passed');
});

describe('samples', () => {
  test('are all elements of a small tensor, and enough of a large one', () => {
    expect(sampleElements([2, 3], 96, 1)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(sampleElements([], 96, 1)).toEqual([0]);
    expect(sampleElements([3, 0], 96, 1)).toEqual([]);
    for (const shape of [[1, 64, 7, 7], [1, 1000], [97], [1, 3, 224, 224], [8, 16, 2, 3, 4]]) {
      const indices = sampleElements(shape, 96, 3);
      expect(new Set(indices).size).toBeGreaterThanOrEqual(96);
      expect(indices.every((i) => Number.isInteger(i) && i >= 0)).toBe(true);
      expect(indices.at(-1)).toBe(shape.reduce((a, b) => a * b, 1) - 1);
    }
  });

  test('keep to borders and to the first and last channels', () => {
    const [c, h, w] = [40, 30, 20];
    const at = sampleElements([1, c, h, w], 96, 7).map((i) => [
      Math.floor(i / (h * w)),
      Math.floor(i / w) % h,
      i % w,
    ]);
    const near = (axis: number, size: number) =>
      at.filter((p) => (p[axis] ?? 0) < 3 || (p[axis] ?? 0) >= size - 3).length / at.length;
    expect(near(0, c)).toBeGreaterThan(0.35);
    expect(near(1, h)).toBeGreaterThan(0.35);
    expect(near(2, w)).toBeGreaterThan(0.35);
    expect(
      at.some(([a = 0, b = 0, d = 0]) => a > 2 && a < c - 3 && b > 2 && b < h - 3 && d > 2 && d < w - 3),
    ).toBe(true);
  });
});

test('close is relative to the largest magnitude, and infinities are equal or not', () => {
  expect(isClose(1.00005, 1, 1)).toBe(true);
  expect(isClose(1.0002, 1, 1)).toBe(false);
  expect(isClose(0.0005, 0, 10)).toBe(true);
  expect(isClose(Number.POSITIVE_INFINITY, 1e39, 1)).toBe(true);
  expect(isClose(Number.POSITIVE_INFINITY, 1e30, 1e30)).toBe(false);
  expect(isClose(Number.NaN, Number.NaN, 1)).toBe(true);
  expect(isClose(Number.NaN, 0, 1)).toBe(false);
  expect(isClose(0, Number.NaN, 1)).toBe(false);
});
