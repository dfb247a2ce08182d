/** The figures of every example, through the public API. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { audit, evaluateGraph, f32, type Graph, importJson, networkSchema } from '#compiler/index.ts';
import { repositoryFolder } from './support/collection.ts';
import { Random } from './support/graphs.ts';

const count = z.int().min(0);
const values = z.array(z.number()).min(1);
const file = z.string().regex(/^[\w-]+\.json$/);
/** With at least one of the figures, beside the keys that are none. */
const measured = <S extends z.ZodRawShape>(shape: S, others: readonly string[] = []) =>
  z
    .strictObject(shape)
    .refine((entry) => Object.keys(entry).some((key) => !others.includes(key)), 'nothing is asserted');

/** What figures.json says; every word of it is checked. */
const Figures = measured(
  {
    /** Where the figures are from, for people. */
    source: z.string().optional(),
    networks: z
      .array(
        measured(
          {
            network: file,
            source: z.string().optional(),
            macs: count.optional(),
            parameters: count.optional(),
            /** Elements of running statistics. */
            buffers: count.optional(),
            output: z.array(count).min(1).optional(),
            largestField: count.optional(),
            layers: z
              .record(
                z.string(),
                measured({ macs: count.optional(), parameters: count.optional(), field: count.optional() }),
              )
              .optional(),
          },
          ['network', 'source'],
        ),
      )
      .min(1)
      .optional(),
    runs: z
      .array(z.strictObject({ network: file, input: values, output: values }))
      .min(1)
      .optional(),
    /** Networks that compute the same. */
    equal: z
      .array(z.tuple([file, file]))
      .min(1)
      .optional(),
    cases: z
      .record(
        z.string(),
        z.strictObject({ input: z.unknown(), layers: z.array(z.unknown()), output: z.array(count).min(1) }),
      )
      .optional(),
  },
  ['source'],
);

const folder = join(repositoryFolder, 'examples');
const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'figures.json')));
const read = (...path: string[]): unknown => JSON.parse(readFileSync(join(folder, ...path), 'utf8'));
const load = (name: string, network: string): Graph => importJson(read(name, network) as object).graph;

function run(graph: Graph, values: ArrayLike<number>): number[] {
  const [input] = graph.inputs;
  const [output] = graph.outputs;
  if (!input || !output) throw new Error('the network lacks an input or an output');
  const results = evaluateGraph(graph, new Map([[input.name, f32(input.type.shape, values)]]));
  return Array.from((results.get(output.value)?.data ?? []) as ArrayLike<number>);
}

const sizeOf = (graph: Graph): number => graph.inputs[0]?.type.shape.reduce((a, b) => a * b, 1) ?? 0;

describe.each(names)('%s', (name) => {
  const figures = Figures.parse(read(name, 'figures.json'));

  test('it says what it shows', () => {
    expect(readFileSync(join(folder, name, 'README.md'), 'utf8').length).toBeGreaterThan(60);
    const files = readdirSync(join(folder, name)).filter((f) => f.endsWith('.json') && f !== 'figures.json');
    for (const file of files) expect(networkSchema.safeParse(read(name, file)).error).toBeUndefined();
    const { networks = [], runs = [], equal = [] } = figures;
    const told = new Set([...networks.map((n) => n.network), ...runs.map((r) => r.network), ...equal.flat()]);
    expect([...told].sort(), 'every network has a figure').toEqual(files.sort());
  });

  test.each(figures.networks ?? [])('$network', (want) => {
    const report = audit(load(name, want.network));
    const { macs, parameters, buffers } = report.totals;
    const output = report.outputs[0]?.shape;
    const found = { macs, parameters, buffers, output };
    const { network: _, source: __, layers, largestField, ...totals } = want;
    expect(found).toMatchObject(totals);
    const fields = report.layers.flatMap((layer) => {
      const field = layer.localReceptiveField ?? layer.receptiveField;
      return Array.isArray(field) ? field.map((f) => (typeof f === 'object' ? f.size : 0)) : [];
    });
    if (largestField !== undefined) expect(Math.max(...fields)).toBe(largestField);
    for (const [label, { field, ...costs }] of Object.entries(layers ?? {})) {
      const layer = report.layers.find((l) => l.name === label);
      expect(layer, label).toMatchObject(costs);
      if (field === undefined) continue;
      const axes = Array.isArray(layer?.receptiveField) ? layer.receptiveField : [];
      expect(
        axes.map((axis) => (typeof axis === 'object' ? axis.size : axis)),
        label,
      ).toEqual(axes.map(() => field));
      expect(axes.length, label).toBeGreaterThan(0);
    }
  });

  test.each(figures.runs ?? [])('values of $network', ({ network, input, output }) => {
    expect(run(load(name, network), input)).toEqual(output);
  });

  test.each(figures.equal ?? [])('%s and %s compute the same', (a, b) => {
    const first = load(name, a);
    const random = new Random(1);
    const values = Array.from({ length: sizeOf(first) }, () => random.integer(-9, 9));
    expect(run(load(name, b), values)).toEqual(run(first, values));
  });

  test.each(Object.entries(figures.cases ?? {}))('%s', (_, { output, ...network }) => {
    expect(importJson(network).graph.outputs[0]?.value.type.shape).toEqual(output);
  });
});

test('figures that are mistyped, or assert nothing, are refused', () => {
  const fits = (figures: object) => Figures.safeParse(figures).success;
  expect(fits({ networks: [{ network: 'a.json', macs: 1 }] })).toBe(true);
  expect(fits({ networks: [{ network: 'a.json', mcas: 1 }] })).toBe(false);
  expect(fits({ networks: [{ network: 'a.json', source: 'a paper' }] })).toBe(false);
  expect(fits({ networks: [{ network: 'a.json', layers: { conv1: { feild: 3 } } }] })).toBe(false);
  expect(fits({ networks: [{ network: 'a.json', layers: { conv1: {} } }] })).toBe(false);
  expect(fits({ source: 'a paper' })).toBe(false);
  expect(fits({ source: 'a paper', network: [] })).toBe(false);
});

/** The matrix of a network without biases, column by column. */
const matrixOf = (graph: Graph): number[][] => {
  const size = sizeOf(graph);
  return Array.from({ length: size }, (_, i) =>
    run(
      graph,
      Array.from({ length: size }, (__, k) => (k === i ? 1 : 0)),
    ),
  );
};

test('a transposed convolution is the transposed matrix, and no inverse', () => {
  // columns of C are what the convolution makes of unit vectors
  const columns = matrixOf(load('transposed', 'convolution.json'));
  const c = Array.from({ length: 4 }, (_, row) => columns.map((column) => column[row] ?? 0));
  expect(c.flat().filter((v) => v !== 0)).toHaveLength(36);
  const transposed = load('transposed', 'stride1.json');
  expect(matrixOf(transposed)).toEqual(c);
  const product = c.map((row) => c.map((other) => row.reduce((sum, v, i) => sum + v * (other[i] ?? 0), 0)));
  expect(product).not.toEqual(product.map((row, i) => row.map((_, k) => (i === k ? 1 : 0))));
  const image = Array.from({ length: 16 }, (_, i) => i);
  const back = run(transposed, run(load('transposed', 'convolution.json'), image));
  expect(back).toHaveLength(16);
  expect(back).not.toEqual(image);
});
