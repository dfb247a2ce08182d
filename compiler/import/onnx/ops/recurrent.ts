/** Recurrent layers: activations become expressions, and the layout with the batch first is transposed away. */
import { formatExpr } from '#ir/expr.ts';
import type { Value } from '#ir/graph.ts';
import { RECURRENT_ACTIVATIONS } from '#ir/ops/recurrent.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

const DIRECTIONS = ['forward', 'reverse', 'bidirectional'] as const;
type Direction = (typeof DIRECTIONS)[number];

/** Activations that have an alpha and a beta; of the lists of these, each takes its own in turn. */
const PARAMETERS: Readonly<Record<string, number>> = {
  affine: 2,
  leakyrelu: 1,
  thresholdedrelu: 1,
  scaledtanh: 2,
  hardsigmoid: 2,
  elu: 1,
};

/** The activations of all directions, as expressions. */
function activations(node: NodeImport, direction: Direction, defaults: readonly string[]): string {
  const count = direction === 'bidirectional' ? 2 : 1;
  const names = node.attrs.strings('activations') ?? Array.from({ length: count }, () => defaults).flat();
  if (names.length !== count * defaults.length)
    node.refuse(
      `${node.op} has ${names.length} activations, not ${count * defaults.length}`,
      'graph-invalid',
    );
  const alphas = [...(node.attrs.floats('activation_alpha') ?? [])];
  const betas = [...(node.attrs.floats('activation_beta') ?? [])];
  return names
    .map((name) => {
      const key = name.toLowerCase();
      const make = Object.hasOwn(RECURRENT_ACTIVATIONS, key) ? RECURRENT_ACTIVATIONS[key] : undefined;
      if (!make) return node.refuse(`activation "${name}" is not known`);
      const parameters = PARAMETERS[key] ?? 0;
      const alpha = parameters > 0 ? alphas.shift() : undefined;
      const beta = parameters > 1 ? betas.shift() : undefined;
      return formatExpr(make(alpha, beta));
    })
    .join('; ');
}

/** Emits a layer and, where the batch comes first, brings its inputs and outputs into that order. */
function layer(
  node: NodeImport,
  defaults: readonly string[],
  emit: (attrs: {
    readonly direction: Direction;
    readonly activations: string;
    readonly clip: number;
    readonly lengths: readonly number[];
  }) => (inputs: readonly (Value | undefined)[]) => readonly Value[],
): readonly Value[] {
  const word = node.attrs.string('direction', 'forward');
  const direction = DIRECTIONS.find((d) => d === word) ?? node.refuse(`direction "${word}" is not known`);
  const batchFirst = node.attrs.flag('layout');
  const swap = (value: Value | undefined): Value | undefined =>
    value && batchFirst ? node.step('Transpose', [value], { perm: [1, 0, 2] }) : value;
  const [x, w, r, b, , h, c, p] = Array.from({ length: 8 }, (_, i) => node.inputs[i]);
  const steps = node.shape(0)[batchFirst ? 1 : 0] ?? 0;
  const known = node.knownNumbers(4, 'sequence_lens') ?? [];
  const lengths = known.every((length) => length === steps) ? [] : known;
  const attrs = {
    direction,
    activations: activations(node, direction, defaults),
    clip: node.attrs.float('clip', 0),
    lengths,
  };
  const outputs = emit(attrs)([swap(x), w, r, b, swap(h), swap(c), p]);
  if (!batchFirst) return outputs;
  return outputs.map((value) =>
    node.step('Transpose', [value], { perm: value.type.shape.length === 4 ? [2, 0, 1, 3] : [1, 0, 2] }),
  );
}

const lstm: ImportRule = (node) =>
  layer(
    node,
    ['Sigmoid', 'Tanh', 'Tanh'],
    (attrs) => (inputs) =>
      node.emit('LSTM', inputs, { ...attrs, inputForget: node.attrs.flag('input_forget') }),
  );

const gru: ImportRule = (node) =>
  layer(
    node,
    ['Sigmoid', 'Tanh'],
    (attrs) => (inputs) =>
      node.emit('GRU', inputs.slice(0, 5), {
        ...attrs,
        linearBeforeReset: node.attrs.flag('linear_before_reset'),
      }),
  );

const rnn: ImportRule = (node) =>
  layer(node, ['Tanh'], (attrs) => (inputs) => node.emit('RNN', inputs.slice(0, 5), attrs));

export const RECURRENT = { LSTM: lstm, GRU: gru, RNN: rnn } satisfies Record<string, ImportRule>;
