/** Run by Deno: `run-on-device.ts FOLDER` gives a bundle of a picture of 7×9 pixels the same bytes in every way that Deno has. */
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import type { DeviceTensor } from '../../runtime/model-types.ts';
import type { AnyModel, ShapedOutput } from '../../runtime/session.ts';

const [folder = ''] = process.argv.slice(2);
const { load } = (await import(pathToFileURL(`${folder}/index.js`).href)) as {
  load(options: object): Promise<AnyModel>;
};
const model = await load({ backend: 'webgpu', warmup: false, verify: true });
const device = model.device as GPUDevice;
const bytes = Uint8Array.from({ length: 7 * 9 * 4 }, (_, i) => (i * 7919) % 256);
const buffer = device.createBuffer({
  size: 4 * bytes.length,
  usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
device.queue.writeBuffer(buffer, 0, Int32Array.from(bytes));
const texture = device.createTexture({
  size: [7, 9],
  format: 'rgba8unorm',
  usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
});
device.queue.writeTexture({ texture }, bytes, { bytesPerRow: 28 }, [7, 9]);
const results: Record<string, number[][]> = {};
for (const [name, image] of Object.entries({ bytes, buffer, texture })) {
  results[name] = Object.values(await model.run({ image })).map((data) => [...(data as Float32Array)]);
  const tensors = Object.values(await model.runOnDevice({ image })) as DeviceTensor<ShapedOutput>[];
  results[`${name} on device`] = await Promise.all(
    tensors.map(async (tensor) => [...((await tensor.read()).data as Float32Array)]),
  );
}
buffer.destroy();
const refusal = await model.run({ image: buffer }).then(
  () => '',
  (error: Error) => error.message,
);
process.stdout.write(JSON.stringify({ results, refusal }));
