import { expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { Builder } from '#ir/builder.ts';
import { fraction, grouped } from '#passes/analysis/figures.ts';
import { absent } from './networks.ts';

test('only whole thousands are grouped, not decimals', () => {
  expect([1234, 1234567.25, 0.33333333, 12, -1000].map(grouped)).toEqual([
    '1,234',
    '1,234,567.25',
    '0.33333333',
    '12',
    '-1,000',
  ]);
});

test('parts of positions are fractions, also where sums have rounded them', () => {
  expect([1 / 3, 0.1 + 0.2, 2 / 3 - 1 / 3, 3 / 2, 0, 32, Math.PI].map(fraction)).toEqual([
    '1/3',
    '3/10',
    '1/3',
    '3/2',
    '0',
    '32',
    '3.142',
  ]);
});

test('paths that a third of a position lies between are told so', () => {
  const b = new Builder();
  const wide = b.op('ConvTranspose', [b.input('x', [1, 4, 8, 8]), b.constant('w', absent([4, 4, 3, 3]))], {
    strides: [3, 3],
    dilations: [1, 1],
    pads: [0, 0, 0, 0],
    outputPadding: [0, 0],
    group: 1,
  });
  const shifted = b.conv(wide, b.constant('w', absent([4, 4, 3, 3])), { pads: [2, 2, 0, 0] });
  b.output('y', b.add(shifted, wide));
  const found = audit(b.graph).findings.find(({ code }) => code === 'paths-misaligned');
  expect(found?.message).toContain('shifted by 1/3 of an input position, at a stride of 1/3');
});
