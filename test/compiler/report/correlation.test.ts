/** `audit --correlation`: scores, table, JSON, and the heat map in a browser. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from 'fast-png';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CorrelationReport, correlate, correlatedLayer } from '#compiler/audit/correlation.ts';
import { correlationAsJson, renderCorrelation } from '#compiler/report/correlation.ts';
import { renderCorrelationHtml, renderCorrelationSvg } from '#compiler/report/html/correlation.ts';
import { decodeBase64 } from '#ir/base64.ts';
import { Builder } from '#ir/builder.ts';
import { f32 } from '#ir/tensor.ts';
import { launchBrowser, withBrowser } from '../../support/browser.ts';
import { repositoryFolder } from '../../support/collection.ts';

const HOSTILE = `"><img src=x onerror=alert(1)></title></script>$&$'`;

/** Channel c belongs to group c mod `groups`; outside its group a filter has weights of size `noise`. */
function report(groups: number, noise: number, [cout, cin] = [24, 16], name = 'mixed'): CorrelationReport {
  const b = new Builder('net');
  const weights = Array.from({ length: cout * cin }, (_, at) => {
    const [i, j] = [Math.floor(at / cin), at % cin];
    const size = i % groups === j % groups ? 1 : noise;
    return size * (1.5 + Math.sin(12.9898 * (at + 1) ** 2));
  });
  const w = b.constant('w', f32([cout, cin, 1, 1], weights));
  b.output('y', b.conv(b.input('x', [1, cin, 4, 4]), w, { name }));
  return correlate(correlatedLayer(b.graph, name));
}

describe('scores', () => {
  test('four groups that are there and not in order are found, and so are pairs of them', () => {
    const { scores } = report(4, 0);
    expect(scores.map(({ groups }) => groups)).toEqual([2, 4, 8]);
    const [two, four, eight] = scores;
    expect(two?.found.share).toBeCloseTo(1, 12);
    expect(four?.found.share).toBeCloseTo(1, 12);
    expect(four?.given).toBeCloseTo(1 / 4, 1);
    expect(eight?.found.share).toBeLessThan(0.7);
    expect(four?.found.ofColumns).toEqual(Array.from({ length: 16 }, (_, j) => j % 4));
    expect(four?.shuffled).toBeLessThan(0.7);
  });

  test('where there are none, a search finds as much in shuffled numbers', () => {
    const found = report(1, 1);
    for (const { found: blocks, shuffled, groups } of found.scores) {
      expect(blocks.share).toBeGreaterThan(1 / groups);
      expect(blocks.share - shuffled).toBeLessThan(0.05);
    }
    expect(renderCorrelation(found)).toContain('No order of the channels has blocks that stand out');
  });
});

test('table: what is measured, the scores, what they come to; in its width', () => {
  const text = renderCorrelation(report(4, 0.1), { width: 90 });
  const lines = text.split('\n');
  expect(lines[0]).toContain('mixed, 24 output channels of 16 input channels: norms of its kernels');
  expect(text.replaceAll('\n', ' ')).toContain('it reads an input of the network');
  expect(lines.filter((line) => /^ +[248] /.test(line)).map((line) => line.trim().split(/ {2,}/)[4])).toEqual(
    ['50.0 %', '25.0 %', '12.5 %'],
  );
  expect(text).toContain('Clearest are 4 groups: blocks hold 9');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(90);
});

test('channels that divide into no groups have a map and no scores', () => {
  const odd = report(1, 1, [5, 3]);
  expect(odd.scores).toEqual([]);
  expect(renderCorrelation(odd)).toContain('divide into none of 2, 4, 8 and 16 groups');
  expect(renderCorrelationSvg(odd).match(/<image /g)).toHaveLength(1);
  expect(renderCorrelationHtml(odd)).not.toContain('<table>');
});

test('JSON: scores with the group of each channel', () => {
  const data = JSON.parse(correlationAsJson(report(2, 0)));
  expect(data).toMatchObject({
    layer: 'mixed',
    outputChannels: 24,
    inputChannels: 16,
    basis: { kind: 'kernels' },
  });
  expect(data.scores[0]).toMatchObject({ groups: 2, found: 1, chance: 0.5 });
  expect(data.scores[0].outputGroups.slice(0, 4)).toEqual([0, 1, 0, 1]);
  expect(data.scores[0].inputGroups.slice(0, 4)).toEqual([0, 1, 0, 1]);
});

describe('heat map', () => {
  /** The brightness of each pixel of each panel. */
  const panels = (svg: string) =>
    [...svg.matchAll(/data:image\/png;base64,([^"]+)"/g)].map(([, text = '']) => {
      const { width, height, data } = decode(decodeBase64(text));
      const at = (row: number, column: number) => Number(data[3 * (row * width + column) + 1]);
      return { width, height, at };
    });

  test('has a pixel for each pair of channels, as given and in the order found', () => {
    const [given, found, ...more] = panels(renderCorrelationSvg(report(4, 0)));
    expect(more).toEqual([]);
    if (!given || !found) throw new Error('two panels are expected');
    expect([given.height, given.width, found.height, found.width]).toEqual([24, 16, 24, 16]);
    const dark = given.at(0, 1);
    for (let i = 0; i < 24; i++) {
      for (let j = 0; j < 16; j++) {
        expect(given.at(i, j) > dark).toBe(i % 4 === j % 4);
        // the clearest is 4 groups, of 6 by 4
        expect(found.at(i, j) > dark).toBe(Math.floor(i / 6) === Math.floor(j / 4));
      }
    }
  });

  test('of a large matrix has pixels that several elements share', () => {
    const [given] = panels(renderCorrelationSvg(report(2, 0.2, [900, 8])));
    expect([given?.height, given?.width]).toEqual([400, 8]);
  });
});

withBrowser.describe('in a browser', () => {
  const AXE = readFileSync(join(repositoryFolder, 'node_modules/axe-core/axe.min.js'), 'utf8');
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser.close());

  test.each(['light', 'dark'] as const)(
    'the page has no faults, overlaps or requests (%s)',
    async (colorScheme) => {
      const page = await browser.newPage({ colorScheme, viewport: { width: 500, height: 900 } });
      const problems: string[] = [];
      page.on('request', (request) => {
        if (!request.url().startsWith('data:')) problems.push(request.url());
      });
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('dialog', (dialog) => problems.push(dialog.message()));
      await page.setContent(renderCorrelationHtml(report(4, 0.1, [24, 16], HOSTILE)));
      expect(await page.title()).toBe(`${HOSTILE}: correlation of filters`);
      await page.addScriptTag({ content: AXE });
      const violations = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 120)}`);
      });
      expect(violations).toEqual([]);
      const overlaps = await page.evaluate(() => {
        const texts = [...document.querySelectorAll('svg text')].map(
          (t) => [t.textContent, t.getBoundingClientRect()] as const,
        );
        return texts.flatMap(([a, p], i) =>
          texts
            .slice(i + 1)
            .filter(([, q]) => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom)
            .map(([b]) => `${a} | ${b}`),
        );
      });
      expect(overlaps).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(500);
      expect(problems).toEqual([]);
      await page.close();
    },
  );

  test('the picture alone is well-formed, whatever the layer is called', async () => {
    const page = await browser.newPage();
    const svg = renderCorrelationSvg(report(4, 0.1, [24, 16], HOSTILE));
    const found = await page.evaluate((text) => {
      const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
      return {
        errors: parsed.querySelectorAll('parsererror').length,
        title: parsed.querySelector('title')?.textContent,
        images: parsed.querySelectorAll('image').length,
      };
    }, svg);
    expect(found).toEqual({ errors: 0, title: HOSTILE, images: 2 });
    await page.close();
  });
});
