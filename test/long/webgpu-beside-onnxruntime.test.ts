/** A bundle on WebGPU beside onnxruntime-web's WebGPU provider, both in Chromium on its software adapter. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withBrowser } from '../support/browser.ts';
import { withModels } from '../support/collection.ts';
import { NetworkPages } from '../support/webgpu-page.ts';

withModels.describe('beside onnxruntime-web', () => {
  withBrowser.describe('in Chromium', () => {
    let pages: NetworkPages;
    beforeAll(async () => {
      pages = await NetworkPages.open();
    });
    afterAll(() => pages?.close());

    test.each(['squeezenet1_1', 'mobilenet_v2', 'resnet50'])(
      '%s takes fewer dispatches and gives the same',
      async (name) => {
        const network = await pages.add(name);
        const ours = await pages.convolith(network);
        const other = await pages.onnxruntime(network);
        console.log(`${name}: ${ours.dispatches} dispatches, onnxruntime-web ${other.dispatches}`);
        expect(ours.dispatches).toBeLessThan(other.dispatches);
        const scale = Math.max(...other.output.map(Math.abs));
        const worst = Math.max(...ours.output.map((x, i) => Math.abs(x - (other.output[i] ?? Number.NaN))));
        expect(worst / scale).toBeLessThan(1e-4);
      },
    );
  });
});
