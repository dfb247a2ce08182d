/** Kernels that keep floats in half precision: accepted where a device has it, and the same arithmetic where it has not. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emitProgram, type GpuPrecision, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { Builder } from '#ir/builder.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { halved } from '../../support/gpu-agreement.ts';
import { graphArbitrary, Random, randomInputs } from '../../support/graphs.ts';
import { complaintsOf, optimisedForGpu, refusalsOf, runOnGpu, withAdapter } from '../../support/webgpu.ts';

/** The same arithmetic, which compilers may order in other ways. */
const BOUND = 1e-5;

type Outputs = readonly (readonly number[])[];

/** The outputs on a device without halves. */
async function outputsOn(graph: Graph, precision: GpuPrecision): Promise<Outputs> {
  const inputs = randomInputs(graph, SEED);
  const given = graph.inputs.flatMap(({ name }) => inputs.get(name) ?? []);
  return (await runOnGpu(graph, given, precision)).map(({ data }) => [...data].map(Number));
}

const SEED = 3;

/** The largest difference of any output, relative to its largest magnitude; of what is not finite, whether it is the same. */
function difference(want: Outputs, got: Outputs): number {
  expect(got.map(({ length }) => length)).toEqual(want.map(({ length }) => length));
  const worst = want.map((output, i) => {
    const scale = Math.max(1e-3, ...output.filter(Number.isFinite).map(Math.abs));
    return output.reduce((most, x, k) => {
      const other = got[i]?.[k] ?? Number.NaN;
      return Object.is(x, other) ? most : Math.max(most, Math.abs(x - other) / scale);
    }, 0);
  });
  return Math.max(0, ...worst);
}

const complaints = (graph: Graph) => complaintsOf(emitProgram(lowerGraph(graph, 'f16')), ['shader-f16']);

test('random networks pass the checks of a device with shader-f16', async () => {
  await fc.assert(
    fc.asyncProperty(graphArbitrary(), async (random) => {
      const graph = halved(random);
      if (refusalsOf(graph).length > 0) return;
      expect(await complaints(graph)).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

withAdapter.test('random networks give what f32 gives on a device without', async () => {
  await fc.assert(
    fc.asyncProperty(graphArbitrary(), async (random) => {
      const graph = halved(random);
      if (refusalsOf(graph).length > 0) return;
      expect(difference(await outputsOn(graph, 'f32'), await outputsOn(graph, 'f16'))).toBeLessThan(BOUND);
    }),
    { numRuns: 20 },
  );
});

/** Integers from floats, floats from integers, and both in one kernel, all computed. */
function mixed(): Graph {
  const random = new Random(4);
  const b = new Builder('mixed');
  const x = b.conv(b.input('x', [1, 4, 5, 5]), b.constant('w', random.tensor([6, 4, 2, 2])), {});
  const best = b.op('ArgMax', [x], { axis: 1, keepDims: true, selectLast: false });
  const rows = b.op('ArgMin', [x], { axis: 2, keepDims: true, selectLast: true });
  const table = b.constant('table', random.tensor([6, 3]));
  b.output('best', best);
  b.output('named', b.op('Gather', [table, best], { axis: 0 }));
  const picked = b.op('GatherElements', [x, rows], { axis: 2 });
  const cast = b.op('Cast', [rows], { to: 'f32' });
  const where = b.op('Where', [b.op('Less', [picked, cast], {}), picked, cast], {});
  const update = b.op('ScatterElements', [x, rows, where], { axis: 2, reduction: 'add' });
  b.output('sums', b.op('CumSum', [update], { axis: 3, exclusive: false, reverse: false }));
  const places = b.constant('places', tensor('i64', [3], [2, 0, 1]));
  b.output('order', b.op('Gather', [b.op('Exp', [update], {}), places], { axis: 1 }));
  return b.graph;
}

test('kernels of integers and halves pass the checks', async () => {
  expect(await complaints(halved(mixed()))).toEqual([]);
});

withAdapter.test('kernels of integers and halves give what the reference gives', async () => {
  const graph = halved(mixed());
  const values = evaluateGraph(graph, randomInputs(graph, SEED));
  const want = graph.outputs.map(({ value }) => [...(values.get(value)?.data ?? [])].map(Number));
  expect(difference(want, await outputsOn(graph, 'f16'))).toBeLessThan(BOUND);
});

test('halves take half the memory, and no dispatch more', () => {
  const random = new Random(7);
  const b = new Builder('chain');
  let x = b.input('x', [1, 8, 16, 16]);
  for (const k of [0, 1, 2]) {
    const w = b.constant(`w${k}`, random.tensor([8, 8, 3, 3]));
    x = b.relu(b.conv(x, w, { pads: [1, 1, 1, 1] }));
  }
  b.output('y', x);
  const graph = optimisedForGpu(b.graph);
  const [whole, half] = [emitProgram(lowerGraph(graph)).plan, emitProgram(lowerGraph(graph, 'f16')).plan];
  expect(half.calls).toHaveLength(whole.calls.length);
  expect(half.banks[0]).toBe((whole.banks[0] ?? 0) / 2);
  // of three results no more than two live at a time; the output is a row-major copy of the last, where the input was
  const result = 8 * 16 * 16;
  expect(half.halves).toBe(2 * result);
  expect(half.arenaBytes).toBe(4 * result);
});

test('a constant that half precision lacks is named', () => {
  const b = new Builder('large');
  b.output('y', b.op('Mul', [b.input('x', [4]), b.constant('c', tensor('f32', [4], [1, 2, 3, 1e6]))], {}));
  const graph = optimisedForGpu(b.graph);
  expect(refusalsOf(graph, 'f16').join()).toContain('c: 1000000 is beyond half precision');
  expect(refusalsOf(graph)).toEqual([]);
});
