import { expect, test } from 'vitest';
import { compareStacks, shortfalls } from '../support/stack-agreement.ts';

test('two thousand stacks of convolutions give what the reference and onnxruntime give', async () => {
  const tally = await compareStacks(2026, 2000);
  const { features, refused, ...totals } = tally;
  console.info({ ...totals, refused: Object.fromEntries(refused), features: Object.fromEntries(features) });
  expect(shortfalls(tally, 0.05)).toEqual([]);
});
