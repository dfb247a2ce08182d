/** A bundle on WebGPU beside onnxruntime-web's WebGPU provider, both in Chromium on its software adapter. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withBrowser } from '../support/browser.ts';
import { withModels } from '../support/collection.ts';
import { NetworkPages, type PageRun } from '../support/webgpu-page.ts';

/** How often both sides run, in turn, in pages of their own. */
const NETWORKS = [
  ['squeezenet1_1', 3],
  ['mobilenet_v2', 1],
  ['resnet50', 1],
] as const;
const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
const raise = (what: string): never => {
  throw new Error(`there should be ${what}`);
};

withModels.describe('beside onnxruntime-web', () => {
  withBrowser.describe('in Chromium', () => {
    let pages: NetworkPages;
    beforeAll(async () => {
      pages = await NetworkPages.open();
    });
    afterAll(() => pages?.close());

    test.each(NETWORKS)('%s takes fewer dispatches and gives the same', async (name, rounds) => {
      const network = await pages.add(name);
      const runs: (readonly [PageRun, PageRun])[] = [];
      for (let i = 0; i < rounds; i++)
        runs.push([await pages.convolith(network), await pages.onnxruntime(network)]);
      const [ours, other] = runs[0] ?? raise('a run');
      const first = (side: 0 | 1) => `${median(runs.map((run) => run[side].firstResultMs)).toFixed(0)} ms`;
      console.log(`${name}: ${ours.dispatches} dispatches, onnxruntime-web ${other.dispatches}`);
      console.log(`${name}: first result after ${first(0)}, onnxruntime-web after ${first(1)}`);
      expect(ours.dispatches).toBeLessThan(other.dispatches);
      const scale = Math.max(...other.output.map(Math.abs));
      const worst = Math.max(...ours.output.map((x, i) => Math.abs(x - (other.output[i] ?? Number.NaN))));
      expect(worst / scale).toBeLessThan(1e-4);
    });
  });
});
