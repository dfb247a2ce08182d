/** Limits on totals: what they may say, and when they are met. */
import { describe, expect, test } from 'vitest';
import { checkBudget, parseBudget } from '#compiler/audit/budget.ts';
import { audit } from '#compiler/audit/index.ts';
import { budgetErrors, renderBudget } from '#compiler/report/budget.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { Random } from '../support/graphs.ts';

/** 1×1 of 8 to `channels` on 10×10: 800·channels MACs. */
function model(channels = 4) {
  const b = new Builder('net');
  const weights = b.constant('w', new Random(1).tensor([channels, 8, 1, 1]));
  b.output('y', b.conv(b.input('x', [1, 8, 10, 10]), weights));
  return audit(b.graph);
}

describe('a limit', () => {
  test.each([
    ['macs<=3200', true],
    ['macs<=3.2k', true],
    ['macs<3.2k', false],
    ['macs==3200', true],
    ['macs>3199', true],
    ['macs>=3.3k', false],
    [' flops <= 6.4K ', true],
    ['params<=32', true],
    ['weights<=128B', true],
    ['weights<128', false],
    ['peak<=4.6875KiB', true],
    ['peak<=4.8kB', true],
    ['peak<4.6875Ki', false],
    ['traffic<=1MiB', true],
    ['layers==1', true],
  ])('%s is met: %s', (text, met) => {
    const [result] = checkBudget(parseBudget(text), model());
    expect(result).toMatchObject({ text: text.trim(), met });
  });

  test('may be relative to another model', () => {
    const results = (text: string) => checkBudget(parseBudget(text, { relative: true }), model(5), model(4));
    expect(results('macs<=+25%,macs<+25%,macs<=130%,params>=-10%').map(({ met }) => met)).toEqual([
      true,
      false,
      true,
      true,
    ]);
    expect(results('macs<=+25%')[0]).toMatchObject({ actual: 4000, limit: 4000 });
  });

  test('on what is not known is not met, and says why', () => {
    const results = checkBudget(parseBudget('time<=3ms,memory<=1MiB,code<=9k'), model());
    expect(results.map(({ met, actual, reason }) => [met, actual, reason])).toEqual([
      [false, null, 'it needs --device'],
      [false, null, 'it needs --footprint'],
      [false, null, 'it needs --compile'],
    ]);
  });

  test.each([
    ['macs', 'this is no limit', 'write limits like'],
    ['macs=3', 'this is no limit', 'write limits like'],
    ['mac<=3', '"mac" is no total', 'did you mean macs?'],
    ['zzz<=3', '"zzz" is no total', 'there are macs, flops'],
    ['macs<=', '"" is no amount', 'write limits like'],
    ['macs<=many', '"many" is no amount', 'write limits like'],
    ['macs<=3kB', '"kB" does not go with MACs', 'write limits like'],
    ['time<=3k', '"k" does not go with µs', 'like time<=20ms'],
    ['peak<=3ms', '"ms" does not go with bytes', 'write limits like'],
    ['macs<=+5%', 'there is one alone', 'convolith diff'],
    ['macs<=-5', '- stands before percentages only', 'write limits like'],
    ['macs<=3,', 'this is no limit', 'write limits like'],
  ])('%s is refused', (text, message, hint) => {
    try {
      parseBudget(text);
      expect.unreachable();
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      expect(error.diagnostics[0]).toMatchObject({ code: 'usage-invalid' });
      expect(error.diagnostics[0]?.message).toContain(message);
      expect(error.diagnostics[0]?.hint).toContain(hint);
    }
  });
});

test('what is exceeded is an error each, by how much, and exact where rounded figures are alike', () => {
  const results = checkBudget(parseBudget('macs<=3k,params<=40,flops<=6399'), model());
  expect(budgetErrors(results).map(({ subject, message }) => `${subject}: ${message}`)).toEqual([
    'macs<=3k: 3.20 k, 6.7 % over',
    'flops<=6399: 6,400, <0.1 % over',
  ]);
  expect(renderBudget(results, 80)).toMatch(/^params<=40 +40 +32 +met$/m);
});
