import { expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { type ConvClass, classifyConv, convLabel } from '#ir/conv-kind.ts';
import type { Constant } from '#ir/tensor.ts';

const absent = (shape: readonly number[]): Constant => ({
  type: { dtype: 'f32', shape },
  data: null,
  missing: '',
});

interface Spec {
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly group?: number;
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  readonly pads?: readonly number[];
  readonly transposed?: boolean;
}

const told = (is: ConvClass | undefined) => is && { ...is, label: convLabel(is) };

function classify({ x, w, group = 1, transposed = false, ...given }: Spec) {
  const b = new Builder();
  const rank = x.length - 2;
  const ones = new Array<number>(rank).fill(1);
  const attrs = {
    strides: given.strides ?? ones,
    dilations: given.dilations ?? ones,
    pads: given.pads ?? [...ones, ...ones].map(() => 0),
    group,
  };
  const operands = [b.input('x', x), b.constant('w', absent(w))];
  const node = transposed
    ? b.node('ConvTranspose', operands, { ...attrs, outputPadding: ones.map(() => 0) })
    : b.node('Conv', operands, attrs);
  return told(classifyConv(node));
}

const image = (channels: number) => [1, channels, 16, 16];

test.each<[string, string, Spec]>([
  ['standard', 'standard 3×3', { x: image(8), w: [16, 8, 3, 3] }],
  ['standard', 'standard 3×3 /2', { x: image(1), w: [16, 1, 3, 3], strides: [2, 2] }],
  ['pointwise', 'pointwise 1×1', { x: image(8), w: [16, 8, 1, 1] }],
  ['pointwise-grouped', 'grouped pointwise 1×1 g4', { x: image(8), w: [16, 2, 1, 1], group: 4 }],
  ['depthwise', 'depthwise 3×3', { x: image(8), w: [8, 1, 3, 3], group: 8 }],
  ['depthwise', 'depthwise 3×3 ×2', { x: image(8), w: [16, 1, 3, 3], group: 8 }],
  ['depthwise', 'dilated depthwise 3×3 d2', { x: image(8), w: [8, 1, 3, 3], group: 8, dilations: [2, 2] }],
  ['grouped', 'grouped 3×3 g4', { x: image(8), w: [16, 2, 3, 3], group: 4 }],
  ['dilated', 'dilated 3×3 d4', { x: image(8), w: [8, 8, 3, 3], dilations: [4, 4] }],
  ['separable-half', 'separable 1×7', { x: image(8), w: [8, 8, 1, 7] }],
  ['separable-half', 'separable 3×1×1', { x: [1, 4, 8, 8, 8], w: [4, 4, 3, 1, 1] }],
  ['causal', 'causal dilated k2 d4', { x: [1, 4, 32], w: [4, 4, 2], dilations: [4], pads: [4, 0] }],
  ['transposed', 'transposed 4×4 /2', { x: image(8), w: [8, 4, 4, 4], strides: [2, 2], transposed: true }],
])('%s: %s', (kind, label, spec) => {
  expect(classify(spec)).toMatchObject({ kind, label });
});

test('a multiplier is the output channels per input channel', () => {
  expect(classify({ x: image(8), w: [24, 1, 3, 3], group: 8 })?.multiplier).toBe(3);
  expect(classify({ x: image(8), w: [16, 2, 3, 3], group: 4 })?.multiplier).toBeUndefined();
});

test('padding of its own node in front makes a conv causal', () => {
  const b = new Builder();
  const x = b.op('Pad', [b.input('x', [1, 4, 32])], { pads: [0, 0, 2, 0, 0, 0] });
  const node = b.node('Conv', [x, b.constant('w', absent([4, 4, 3]))], {
    strides: [1],
    dilations: [1],
    pads: [0, 0],
  });
  expect(told(classifyConv(node))).toMatchObject({ kind: 'causal', label: 'causal k3' });
});

test('any other op has no kind', () => {
  const b = new Builder();
  const x = b.relu(b.input('x', [1]));
  expect(x.source.kind === 'node' ? classifyConv(x.source.node) : 'no node').toBeUndefined();
});
