/** Recurrent layers in WGSL against the reference: sizes around a workgroup, directions, lengths, computed weights. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emitProgram, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import { MOST_UNITS } from '#compiler/targets/webgpu/kernels/recurrent.ts';
import { Builder } from '#ir/builder.ts';
import { formatExpr } from '#ir/expr.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { RECURRENT_ACTIVATIONS } from '#ir/ops/recurrent.ts';
import { expectKernels } from '../../support/gpu-agreement.ts';
import { Random } from '../../support/graphs.ts';
import { complaintsOf, optimisedForGpu, refusalsOf, withAdapter } from '../../support/webgpu.ts';

/** Errors of each step are carried to the next, which weights of this reach do not enlarge. */
const BOUND = 1e-5;

const LAYERS = {
  LSTM: { gates: 4, activations: ['sigmoid', 'tanh', 'tanh'], own: { inputForget: false } },
  GRU: { gates: 3, activations: ['sigmoid', 'tanh'], own: { linearBeforeReset: false } },
  RNN: { gates: 1, activations: ['tanh'], own: {} },
} as const;

interface Case {
  readonly op: keyof typeof LAYERS;
  readonly steps: number;
  readonly batch: number;
  readonly input: number;
  readonly hidden: number;
  readonly direction: 'forward' | 'reverse' | 'bidirectional';
  readonly lengths: boolean;
  readonly states: boolean;
  readonly peepholes: boolean;
  /** Are weights and biases computed? */
  readonly computed: boolean;
  /** Of an LSTM that its forget gate is 1 − its input gate, of a GRU linear_before_reset. */
  readonly flag: boolean;
  readonly clip: number;
  readonly seed: number;
}

function layer(c: Case): Graph {
  const { gates, activations, own } = LAYERS[c.op];
  const random = new Random(c.seed);
  const b = new Builder('layer');
  const directions = c.direction === 'bidirectional' ? 2 : 1;
  const reach = 1 / Math.sqrt(c.input + c.hidden);
  const weight = (name: string, shape: readonly number[]): Value =>
    c.computed
      ? b.op('Mul', [b.input(name, shape), b.scalar(reach)], {})
      : b.constant(name, random.tensor(shape, -reach, reach));
  const state = [directions, c.batch, c.hidden];
  const x = b.input('x', [c.steps, c.batch, c.input]);
  const inputs: (Value | undefined)[] = [
    x,
    weight('w', [directions, gates * c.hidden, c.input]),
    weight('r', [directions, gates * c.hidden, c.hidden]),
    weight('b', [directions, 2 * gates * c.hidden]),
    c.states ? b.input('h', state) : undefined,
  ];
  if (c.op === 'LSTM') {
    inputs.push(c.states ? b.input('c', state) : undefined);
    inputs.push(c.peepholes ? weight('p', [directions, 3 * c.hidden]) : undefined);
  }
  const expressions = activations.map((name) =>
    formatExpr(RECURRENT_ACTIVATIONS[name]?.() ?? { kind: 'arg', index: 0 }),
  );
  const attrs = {
    direction: c.direction,
    activations: Array.from({ length: directions }, () => expressions.join('; ')).join('; '),
    clip: c.clip,
    lengths: c.lengths ? Array.from({ length: c.batch }, () => random.integer(0, c.steps)) : [],
    ...Object.fromEntries(Object.keys(own).map((name) => [name, c.flag])),
  };
  b.node(c.op, inputs, attrs as never).outputs.forEach((value, k) => {
    b.output(`y${k}`, value);
  });
  return b.graph;
}

withAdapter.test('layers of any size, direction, length and weights', async () => {
  const cases = fc.record({
    op: fc.constantFrom('LSTM' as const, 'GRU' as const, 'RNN' as const),
    steps: fc.integer({ min: 1, max: 4 }),
    batch: fc.integer({ min: 1, max: 3 }),
    input: fc.integer({ min: 1, max: 5 }),
    hidden: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(64, 65, 130)),
    direction: fc.constantFrom('forward' as const, 'reverse' as const, 'bidirectional' as const),
    lengths: fc.boolean(),
    states: fc.boolean(),
    peepholes: fc.boolean(),
    computed: fc.boolean(),
    flag: fc.boolean(),
    clip: fc.constantFrom(0, 0.3),
    seed: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(cases, async (c) => {
      await expectKernels(layer(c), BOUND);
    }),
    { numRuns: 12 },
  );
});

test('the largest state that a workgroup holds, and a larger one', async () => {
  const flags = { lengths: true, states: true, peepholes: true, computed: true, flag: false, clip: 0 };
  const sizes = { steps: 2, batch: 2, input: 1, direction: 'forward', seed: 1 } as const;
  for (const op of ['LSTM', 'GRU'] as const) {
    const graph = (hidden: number) => optimisedForGpu(layer({ op, ...sizes, ...flags, hidden }));
    expect(await complaintsOf(emitProgram(lowerGraph(graph(MOST_UNITS))))).toEqual([]);
    expect(refusalsOf(graph(MOST_UNITS + 1)).join()).toContain(`${op} of ${MOST_UNITS + 1} units`);
  }
});
