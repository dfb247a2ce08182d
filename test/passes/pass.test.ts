import { describe, expect, test } from 'vitest';
import { InternalError } from '#ir/diagnostics.ts';
import { type Node, operand, result } from '#ir/graph.ts';
import { removeDeadValues } from '#passes/canonicalize/remove-dead-values.ts';
import { redirect } from '#passes/edit.ts';
import {
  definePass,
  type Pass,
  type PassTrace,
  type Pipeline,
  passNames,
  runPass,
  runPipeline,
} from '#passes/pass.ts';
import { any, applyRules, constant, defineRule, No, no, op } from '#passes/pattern.ts';
import { PIPELINES } from '#passes/pipeline.ts';
import { noEpilogues } from '#passes/properties.ts';
import { body, conv, graphOf } from './rewriting.ts';

const twoRelus = () =>
  graphOf(`input %x: f32[2]
    %a: f32[2] = Relu(%x)
    %y: f32[2] = Relu(%a)
    output "y" = %y`);

const inner = op('Relu');
const outer = op('Relu', inner);
/** Relu(Relu(x)) is Relu(x). */
const mergeRelus = defineRule({
  name: 'mergeRelus',
  pattern: outer,
  check: (match) => ({ from: result(match.node(outer) as Node), to: result(match.node(inner) as Node) }),
  rewrite: ({ from, to }, graph) => redirect(graph, from, to),
});

const pass = (name: string, run: Pass['run'], more: Partial<Pass> = {}): Pass =>
  definePass({ name, summary: name, requires: [], ensures: [], run, ...more });
const nothing = { changes: 0, applications: [], refusals: [] };
const pipeline = (...passes: Pass[]): Pipeline => ({
  name: 'test',
  steps: passes.map((p) => ({ pass: p, because: 'test' })),
});

describe('runPipeline', () => {
  test('traces what each pass changed and cost', () => {
    const seen: PassTrace[] = [];
    const merge = pass('merge', (graph, context) => applyRules(graph, [mergeRelus], context));
    const traces = runPipeline(twoRelus(), pipeline(merge), { onPass: (trace) => seen.push(trace) });
    expect(traces).toEqual([
      {
        pass: 'merge',
        changes: 1,
        applications: [{ rule: 'mergeRelus', node: 'y' }],
        refusals: [],
        before: { nodes: 2, macs: 0, otherOps: 4 },
        after: { nodes: 1, macs: 0, otherOps: 2 },
      },
    ]);
    expect(seen).toEqual(traces);
  });

  test('each pass begins with the totals that the one before it left', () => {
    const merge = pass('merge', (graph, context) => applyRules(graph, [mergeRelus], context));
    const idle = pass('idle', () => nothing);
    const traces = runPipeline(twoRelus(), pipeline(idle, merge, idle));
    expect(traces.map(({ before, after }) => [before.nodes, after.nodes])).toEqual([
      [2, 2],
      [2, 1],
      [1, 1],
    ]);
  });

  test('a pass that breaks the graph is named', () => {
    const breaking = pass('breaking', (graph) => {
      (graph.inputs[0] as { name: string }).name = '';
      return nothing;
    });
    expect(() => runPipeline(twoRelus(), pipeline(breaking))).toThrow(InternalError);
    expect(() => runPipeline(twoRelus(), pipeline(breaking))).toThrow(
      /pass "breaking" broke the graph:\n.*no name/,
    );
    expect(() => runPipeline(twoRelus(), pipeline(breaking), { verify: false })).not.toThrow();
  });

  test('requirements and promises are checked', () => {
    const graph = () => graphOf('input %x: f32[2]\n%y: f32[2] = Relu(%x) -> neg(x0)\noutput "y" = %y');
    const asks = pass('asks', () => nothing, { requires: [noEpilogues] });
    const promises = pass('promises', () => nothing, { ensures: [noEpilogues] });
    expect(() => runPass(graph(), asks)).toThrow('pass "asks" requires no-epilogues: "y" has an epilogue');
    expect(() => runPass(graph(), promises)).toThrow(
      'pass "promises" does not ensure no-epilogues: "y" has an epilogue',
    );
  });

  test('stops after the pass that is asked for', () => {
    const ran: string[] = [];
    const note = (name: string) =>
      pass(name, () => {
        ran.push(name);
        return nothing;
      });
    runPipeline(twoRelus(), pipeline(note('a'), note('b'), note('c')), { until: 'b' });
    expect(ran).toEqual(['a', 'b']);
    expect(() => runPipeline(twoRelus(), pipeline(note('a')), { until: 'z' })).toThrow(
      /pipeline "test" has no such pass; it has a/,
    );
  });

  test('repeats a group until nothing changes, and no longer', () => {
    let left = 3;
    const counting = pass('counting', () => ({
      changes: left > 0 ? left-- : 0,
      applications: [],
      refusals: [],
    }));
    const group: Pipeline = {
      name: 'g',
      steps: [{ repeat: [{ pass: counting, because: 'x' }], because: 'x' }],
    };
    expect(runPipeline(twoRelus(), group)).toHaveLength(4);
    const endless = pass('endless', () => ({ changes: 1, applications: [], refusals: [] }));
    const bad: Pipeline = { name: 'g', steps: [{ repeat: [{ pass: endless, because: 'x' }], because: 'x' }] };
    expect(() => runPipeline(twoRelus(), bad)).toThrow('passes endless do not come to an end');
  });

  test('can be aborted', () => {
    const controller = new AbortController();
    const abort = pass('abort', () => {
      controller.abort(new Error('enough'));
      return nothing;
    });
    const never = pass('never', () => {
      throw new Error('not reached');
    });
    const run = () => runPipeline(twoRelus(), pipeline(abort, never), { signal: controller.signal });
    expect(run).toThrow('enough');
  });
});

test('the pipelines list each pass with a reason, in this order', () => {
  expect(passNames(PIPELINES.graph)).toEqual([
    'removeDeadValues',
    'foldConstants',
    'removeIdentities',
    'recogniseChannelShuffle',
    'recogniseGlobalAveragePool',
    'mergeViews',
    'mergeCommonSubexpressions',
    'recogniseActivations',
    'recogniseLayerNormalization',
    'foldPadIntoConv',
    'foldPadIntoPool',
    'fuseBatchNormIntoConv',
    'fuseBatchNormBeforeConv',
    'expandBatchNorm',
    'fuseScaleIntoConv',
    'fuseBiasIntoConv',
    'mergeParallelConvs',
    'foldChannelPermutations',
    'globalPoolBeforePointwise',
    'mergeConvPairs',
    'removeDeadChannels',
    'rankOneToSeparable',
    'joinScaleAndShift',
  ]);
  expect(passNames(PIPELINES.lower)).toEqual([
    'expandComposites',
    'expandBatchNorm',
    'removeDeadValues',
    'foldConstants',
    'fuseActivation',
    'fuseResidual',
    'fuseElementwise',
    'fuseChannelShuffle',
  ]);
  for (const { steps } of Object.values(PIPELINES)) {
    for (const step of steps) {
      const inside = 'repeat' in step ? step.repeat : [];
      for (const { because } of [step, ...inside]) expect(because).not.toBe('');
    }
  }
});

describe('patterns', () => {
  const shared = any();
  const square = op('Mul', shared, shared);
  const factor = constant();
  const scaled = any();
  const scale = op(['Mul', 'Div'], scaled, factor);
  const report = (pattern: typeof scale | typeof square, what: (text: string[]) => void, lines: string) => {
    const found: string[] = [];
    const rule = defineRule({
      name: 'report',
      pattern,
      check(match, graph) {
        void graph;
        const node = match.node(pattern) as Node;
        const extra = pattern === scale ? ` ${match.value(scaled).name} ${match.value(factor).name}` : '';
        found.push(`${node.name}${extra}`);
        return no('only looking');
      },
      rewrite() {},
    });
    const graph = graphOf(lines);
    const { refusals } = applyRules(graph, [rule], {});
    expect(refusals).toHaveLength(found.length);
    what(found);
  };

  const LINES = `input %x: f32[2]
    input %r: f32[2]
    const %c: f32[] = [2]
    %a: f32[2] = Mul(%x, %c)
    %b: f32[2] = Mul(%c, %x)
    %d: f32[2] = Div(%c, %x)
    %e: f32[2] = Mul(%x, %r)
    %f: f32[2] = Mul(%x, %x)
    output "a" = %a
    output "b" = %b
    output "d" = %d
    output "e" = %e
    output "f" = %f`;

  test('operands of commutative ops match in either order, others only in theirs', () => {
    report(scale, (found) => expect(found).toEqual(['a x c', 'b x c']), LINES);
  });

  test('a pattern that occurs twice matches one value', () => {
    report(square, (found) => expect(found).toEqual(['f']), LINES);
  });

  test('only the first output of a node matches a node', () => {
    const split = op('Split');
    const relu = op('Relu', split);
    const rule = defineRule({ name: 'r', pattern: relu, check: () => no('found'), rewrite() {} });
    const graph = graphOf(`input %x: f32[2]
      %a: f32[1], %b: f32[1] = Split(%x) {axis=0, sizes=[1,1]}
      %p: f32[1] = Relu(%a)
      %q: f32[1] = Relu(%b)
      output "p" = %p
      output "q" = %q`);
    expect(applyRules(graph, [rule], {}).refusals).toEqual([{ rule: 'r', node: 'p', reason: 'found' }]);
  });

  test('rules apply until none does, and their refusals are those of the end', () => {
    const chain = Array.from({ length: 20 }, (_, i) => `%v${i + 1}: f32[2] = Relu(%v${i})`);
    const graph = graphOf(['input %v0: f32[2]', ...chain, 'output "y" = %v20'].join('\n'));
    const relu = op('Relu');
    const refuse = defineRule({ name: 'refuse', pattern: relu, check: () => no('no'), rewrite() {} });
    const { changes, refusals } = applyRules(graph, [refuse, mergeRelus], {});
    expect(changes).toBe(19);
    expect(refusals).toEqual([{ rule: 'refuse', node: 'v1', reason: 'no' }]);
    expect(body(graph)).toBe('input %v0: f32[2]\n%v1: f32[2] = Relu(%v0)\noutput "y" = %v1');
  });

  test('rules that undo each other come to an end', () => {
    const relu = op('Relu');
    const endless = defineRule({
      name: 'endless',
      pattern: relu,
      check: (match) => ({ node: match.node(relu) as Node }),
      rewrite({ node }, graph) {
        const again = graph.addNode('Relu', [operand(node, 0)], {});
        redirect(graph, result(node), result(again as Node));
      },
    });
    expect(() => applyRules(twoRelus(), [endless], {})).toThrow('rules endless do not come to an end');
  });

  test('a refusal is not a plan', () => {
    expect(no('because')).toBeInstanceOf(No);
  });
});

test('removal of dead nodes follows chains of any length', () => {
  const chain = Array.from({ length: 5000 }, (_, i) => `%v${i + 1}: f32[1,2,1,1] = Relu(%v${i})`);
  const graph = graphOf(
    [
      'input %x: f32[1,2,1,1]',
      'const %w: f32[2,2,1,1] = splat 1',
      `%v0: f32[1,2,1,1] = Conv(%x, %w) ${conv()}`,
      ...chain,
      'output "x" = %x',
    ].join('\n'),
  );
  expect(runPass(graph, removeDeadValues).changes).toBe(5001);
});
