/** Text in, text out: what the tests of single passes share. */
import { expect } from 'vitest';
import type { Graph } from '#ir/graph.ts';
import { parseGraph, printGraph } from '#ir/text.ts';
import {
  graphTotals,
  type Pass,
  type Pipeline,
  type PipelineOptions,
  runPass,
  runPipeline,
} from '#passes/pass.ts';
import { compareGraphs } from '../support/graphs.ts';

/** The lines of a graph's body without the frame and the indentation. */
export const body = (graph: Graph): string =>
  printGraph(graph)
    .split('\n')
    .slice(1, -2)
    .map((line) => line.trim())
    .join('\n');

export const graphOf = (lines: string): Graph => parseGraph(`graph "test" {\n${lines}\n}`);

/** Attributes of a 2-D convolution that are all at their simplest but for those given. */
export const conv = (
  changes: Partial<Record<'strides' | 'dilations' | 'pads' | 'group', string>> = {},
): string => {
  const all = { strides: '[1,1]', dilations: '[1,1]', pads: '[0,0,0,0]', group: '1', ...changes };
  return `{${Object.entries(all)
    .map(([k, v]) => `${k}=${v}`)
    .join(', ')}}`;
};

/**
 * Runs a pass on a graph given by its lines and expects the lines after. The results must stay what they are, and no
 * multiply-accumulate and no other operation may be added; but for ops whose own rule counts operations in another way.
 */
export function expectRewrite(
  pass: Pass,
  before: string,
  after: string,
  { countedApart = false }: { readonly countedApart?: boolean } = {},
): void {
  const original = graphOf(before);
  const graph = graphOf(before);
  const { changes } = runPass(graph, pass);
  expect(body(graph)).toBe(body(graphOf(after)));
  expect(changes).toBeGreaterThan(0);
  expect(compareGraphs(original, graph)).toBeLessThan(1e-6);
  const [cost, newCost] = [graphTotals(original), graphTotals(graph)];
  expect(newCost.macs).toBeLessThanOrEqual(cost.macs);
  if (!countedApart) expect(newCost.otherOps).toBeLessThanOrEqual(cost.otherOps);
}

/** Runs a pass that must leave the graph alone, for the reasons given. */
export function expectRefusal(pass: Pass, lines: string, ...reasons: (string | RegExp)[]): void {
  const graph = graphOf(lines);
  const result = runPass(graph, pass);
  expect(body(graph)).toBe(body(graphOf(lines)));
  expect(result.changes).toBe(0);
  expect(result.refusals.map((r) => r.reason)).toEqual(
    reasons.map((r) => (typeof r === 'string' ? r : expect.stringMatching(r))),
  );
}

/** The lines of a graph after a whole pipeline; the results must stay what they are. */
export function afterPipeline(pipeline: Pipeline, before: string, options: PipelineOptions = {}): string {
  const graph = graphOf(before);
  runPipeline(graph, pipeline, options);
  expect(compareGraphs(graphOf(before), graph)).toBeLessThan(1e-6);
  return body(graph);
}
