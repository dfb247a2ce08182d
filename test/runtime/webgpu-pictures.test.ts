/** Pictures that a kernel reads, in headless Chromium on its software adapter, against the same pixels as an ImageData. */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileGraph } from '#compiler/compile.ts';
import { writeBundle } from '#compiler/files/index.ts';
import { MODULE_BREAK } from '#runtime/gpu-plan.ts';
import { launchBrowser, type StaticServer, serve, withBrowser } from '../support/browser.ts';
import { smallNet, temporaryFolder } from '../support/bundles.ts';
import { deviceOf, withAdapter } from '../support/webgpu.ts';

const PIXELS = ['rgba', 'rgb', 'gray'] as const;
/** With the rest of the page on the same software adapter, frames of videos can be shared with it. */
const VIDEO = [
  '--enable-unsafe-webgpu',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
  '--use-angle=vulkan',
  '--enable-unsafe-swiftshader',
];
const SIZE = { width: 7, height: 9 };

const bundle = (
  pixels: (typeof PIXELS)[number],
  target: readonly ('wasm' | 'webgpu')[] = ['wasm', 'webgpu'],
) => compileGraph(smallNet(), { target, preprocess: { pixels } });

/** Of the page: a canvas of random colours, and what each kind of source gives. */
const SETUP = `
  const { load } = await import('/rgba/index.js');
  const model = await load({ backend: 'webgpu', warmup: false });
  const canvas = Object.assign(document.createElement('canvas'), ${JSON.stringify(SIZE)});
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const image = context.createImageData(7, 9);
  image.data.forEach((_, i) => { image.data[i] = i % 4 === 3 ? 255 : (i * 7919) % 256; });
  context.putImageData(image, 0, 0);
  const list = (outputs) => Object.fromEntries(Object.entries(outputs).map(([name, data]) => [name, [...data]]));
  const from = async (source) => list(await model.run({ image: source }));
  const refused = (source) => model.run({ image: source }).then(() => '', (error) => error.message);
`;

withBrowser.describe('pictures on WebGPU', () => {
  let server: StaticServer;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    const root = await temporaryFolder();
    for (const pixels of PIXELS) await writeBundle(join(root, pixels), (await bundle(pixels)).files);
    server = await serve(root, { files: { '/index.html': '<!doctype html><title>pictures</title>' } });
    browser = await launchBrowser({ args: VIDEO });
    page = await browser.newPage();
    await page.goto(`${server.url}/`);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  const inPage = <T>(code: string) => page.evaluate(`(async () => {${SETUP}${code}})()`) as Promise<T>;

  type Outputs = Readonly<Record<string, readonly number[]>>;

  test('canvas, bitmap, element and texture give what their ImageData gives', async () => {
    const got = await inPage<Readonly<Record<string, Outputs>>>(`
      const offscreen = new OffscreenCanvas(7, 9);
      offscreen.getContext('2d').drawImage(canvas, 0, 0);
      const element = new Image();
      element.src = canvas.toDataURL();
      await element.decode();
      const texture = model.device.createTexture({
        size: [7, 9],
        format: 'rgba8unorm',
        usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
      });
      model.device.queue.writeTexture({ texture }, image.data, { bytesPerRow: 28 }, [7, 9]);
      const sources = { image, canvas, offscreen, element, texture, bitmap: await createImageBitmap(canvas) };
      const results = {};
      for (const [name, source] of Object.entries(sources)) results[name] = await from(source);
      const onDevice = await model.runOnDevice({ image: canvas });
      results.onDevice = list(Object.fromEntries(await Promise.all(
        Object.entries(onDevice).map(async ([name, tensor]) => [name, (await tensor.read()).data]))));
      // the other way of the bundle, and pixels in an array
      const { load: again } = await import('/rgba/index.js');
      results.wasm = list(await (await again({ backend: 'wasm', warmup: false })).run({ image }));
      return results;`);
    const { image, wasm, ...others } = got;
    expect(Object.keys(others)).toHaveLength(6);
    for (const [name, outputs] of Object.entries(others)) expect(outputs, name).toEqual(image);
    expectNear(image, wasm, 1e-5);
  });

  test('pixels that are partly transparent are as getImageData has them', async () => {
    const { image, canvas } = await inPage<Readonly<Record<string, Outputs>>>(`
      context.clearRect(0, 0, 7, 9);
      context.fillStyle = 'rgba(200, 100, 50, 0.5)';
      context.fillRect(0, 0, 4, 9);
      return { image: await from(context.getImageData(0, 0, 7, 9)), canvas: await from(canvas) };`);
    expectNear(canvas, image, 0.02);
  });

  test('frames of videos, and external textures made from them, are read where they are', async () => {
    const { image, frame, external } = await inPage<Readonly<Record<string, Outputs>>>(`
      const frame = new VideoFrame(canvas, { timestamp: 0 });
      const results = { image: await from(image) };
      // closed as soon as the run is submitted
      const running = from(frame);
      const external = from(model.device.importExternalTexture({ source: frame }));
      frame.close();
      return { ...results, frame: await running, external: await external };`);
    // colours go through the colour space of videos
    expectNear(frame, image, 0.02);
    expectNear(external, image, 0.02);
  });

  test('other layouts of pixels take the channels that they have', async () => {
    for (const pixels of ['rgb', 'gray'] as const) {
      const { canvas, bytes } = await inPage<Readonly<Record<string, Outputs>>>(`
        const { load: other } = await import('/${pixels}/index.js');
        const another = await other({ backend: 'webgpu', warmup: false });
        const bytes = Array.from({ length: 63 }, (_, i) => [...image.data.slice(4 * i, 4 * i + 3)]).flatMap((rgb) =>
          '${pixels}' === 'rgb' ? rgb : Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]));
        return { canvas: list(await another.run({ image: canvas })), bytes: list(await another.run({ image: bytes })) };`);
      expect(canvas, pixels).toEqual(bytes);
    }
  });

  test('other sizes, textures that cannot be read so, and closed pictures are refused', async () => {
    const messages = await inPage<readonly string[]>(`
      const wide = await createImageBitmap(canvas, { resizeWidth: 14, resizeHeight: 9 });
      const texture = (format, usage, device = model.device) =>
        device.createTexture({ size: [7, 9], format, usage: GPUTextureUsage[usage] });
      const closed = await createImageBitmap(canvas);
      closed.close();
      const another = await (await navigator.gpu.requestAdapter()).requestDevice();
      return [
        await refused(wide),
        await refused(texture('rgba8unorm-srgb', 'TEXTURE_BINDING')),
        await refused(texture('rgba8unorm', 'COPY_DST')),
        await refused(closed),
        await refused(texture('rgba8unorm', 'TEXTURE_BINDING', another)),
        await refused(document.createElement('p')),
      ];`);
    expect(messages).toEqual([
      expect.stringContaining(
        'got ImageBitmap of 14 × 9 pixels (width × height), not 7 × 9: resize it (createImageBitmap does), or compile',
      ),
      expect.stringContaining('got a GPUTexture of rgba8unorm-srgb; its values have to be from 0 to 1'),
      expect.stringContaining('got a GPUTexture without TEXTURE_BINDING'),
      expect.stringContaining('got ImageBitmap of 0 × 0 pixels'),
      expect.stringContaining('the device refuses this run, which reads "image" on the device'),
      expect.stringContaining('got HTMLParagraphElement'),
    ]);
  });
});

function expectNear(
  got: Readonly<Record<string, readonly number[]>> | undefined,
  want: Readonly<Record<string, readonly number[]>> | undefined,
  bound: number,
): void {
  for (const [name, list] of Object.entries(want ?? {})) {
    const scale = Math.max(...list.map(Math.abs));
    list.forEach((x, i) => {
      expect(Math.abs(x - (got?.[name]?.[i] ?? Number.NaN)) / scale).toBeLessThan(bound);
    });
  }
}

withAdapter.test('the modules that read pictures pass the checks of a device', async () => {
  const device = await deviceOf('null');
  for (const pixels of PIXELS) {
    const { files } = await bundle(pixels, ['webgpu']);
    const modules = new TextDecoder().decode(files.get('kernels.wgsl')).split(MODULE_BREAK);
    expect(modules).toHaveLength(3);
    device.pushErrorScope('validation');
    for (const code of modules.slice(1))
      device.createComputePipeline({
        layout: 'auto',
        compute: { module: device.createShaderModule({ code }) },
      });
    expect(await device.popErrorScope()).toBeNull();
  }
});
