/** The report of a rewrite as a page: accessible, without overlaps, and on its own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderRewriteHtml } from '#compiler/report/html/rewrite.ts';
import { rewriteGraph } from '#compiler/rewrite/index.ts';
import { DEVICES } from '#compiler/roofline/devices.ts';
import { Builder } from '#ir/builder.ts';
import { launchBrowser, withBrowser } from '../support/browser.ts';
import { repositoryFolder } from '../support/collection.ts';
import { Random } from '../support/random.ts';

const AXE = readFileSync(join(repositoryFolder, 'node_modules/axe-core/axe.min.js'), 'utf8');
const HOSTILE = '"><img src=x onerror=alert(1)></title></script><script>alert(2)</script>';

async function page(): Promise<string> {
  const random = new Random(1);
  const b = new Builder(HOSTILE);
  let x = b.input('x', [1, 3, 16, 16]);
  for (const [i, [cin, cout]] of [[3, 16] as const, [16, 24] as const, [24, 24] as const].entries()) {
    const weight = b.constant(`w${i}`, random.tensor([cout, cin, 3, 3]));
    x = b.relu(b.conv(x, weight, { pads: [1, 1, 1, 1], name: i === 1 ? HOSTILE : `conv${i}` }));
  }
  b.output('y', x);
  const [device] = DEVICES;
  const { report } = await rewriteGraph(b.graph, {
    name: HOSTILE,
    factorize: {
      methods: ['depthwise', 'spatial', 'tucker', 'group'],
      limit: { quantity: 'macs', limit: { part: 0.5 } },
    },
    samples: Array.from({ length: 8 }, () => [random.tensor([1, 3, 16, 16])]),
    device: { kind: 'dataSheet', device },
  });
  return renderRewriteHtml(report);
}

withBrowser.describe('the page of a rewrite', () => {
  let browser: Browser;
  let text = '';
  beforeAll(async () => {
    browser = await launchBrowser();
    text = await page();
  }, 60_000);
  afterAll(() => browser.close());

  async function open(options: Parameters<Browser['newPage']>[0]): Promise<Page> {
    const opened = await browser.newPage(options);
    const problems: string[] = [];
    opened.on('request', (request) => problems.push(`asks for ${request.url()}`));
    opened.on('pageerror', (error) => problems.push(error.message));
    opened.on('dialog', (dialog) => problems.push(`says ${dialog.message()}`));
    await opened.setContent(text);
    expect(problems).toEqual([]);
    return opened;
  }

  test.each(['light', 'dark'] as const)('has no faults that axe finds (%s)', async (colorScheme) => {
    const opened = await open({ colorScheme });
    await opened.addScriptTag({ content: AXE });
    const violations = await opened.evaluate(async () => {
      const { axe } = globalThis as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      };
      return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 120)}`);
    });
    expect(violations).toEqual([]);
    if (process.env.CONVOLITH_SCREENSHOTS) {
      const path = join(process.env.CONVOLITH_SCREENSHOTS, `rewrite-${colorScheme}.png`);
      await opened.screenshot({ path, fullPage: true });
    }
    await opened.close();
  });

  test.each([1200, 400])('scrolls sideways in tables and charts alone (%d pixels wide)', async (width) => {
    const opened = await open({ viewport: { width, height: 900 } });
    expect(await opened.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    const overlaps = await opened.evaluate(() =>
      [...document.querySelectorAll('svg')].flatMap((svg) => {
        const texts = [...svg.querySelectorAll('text')].map((t) => t.getBoundingClientRect());
        return texts.flatMap((p, i) =>
          texts
            .slice(i + 1)
            .filter((q) => p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom),
        );
      }),
    );
    expect(overlaps).toEqual([]);
    await opened.close();
  });

  test('has the curve, every layer with its form or its reason, and takes names for text', async () => {
    const opened = await open({});
    expect(await opened.title()).toContain('onerror');
    expect(await opened.locator('img').count()).toBe(0);
    expect(await opened.locator('path.curve').count()).toBe(1);
    const told = (await opened.locator('main').textContent()) ?? '';
    for (const name of ['conv0', 'conv2', 'onerror=alert(1)']) expect(told).toContain(name);
    expect(told).toContain('NVIDIA Jetson Nano');
    await opened.close();
  });
});
