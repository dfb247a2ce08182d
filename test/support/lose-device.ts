/** Run by Deno: `lose-device.ts FOLDER` destroys the device of a bundle during runs, and says what comes of it, as JSON. */
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import type { DeviceTensor } from '../../runtime/model-types.ts';
import type { AnyModel, ShapedOutput } from '../../runtime/session.ts';

const [folder = ''] = process.argv.slice(2);
const { load } = (await import(pathToFileURL(`${folder}/index.js`).href)) as {
  load(options: object): Promise<AnyModel>;
};
const model = await load({ backend: 'webgpu', warmup: false });
const image = Float32Array.from({ length: 3 * 9 * 7 }, (_, i) => Math.sin(i));
const results: unknown[] = [];
const run = async () => results.push([...((await model.run({ image })).features as Float32Array)]);
await run();
const messages: string[] = [];
const said = (running: Promise<unknown>) =>
  running.then(
    () => 'no error',
    (error: Error) => error.message,
  );
const lose = () => (model.device as GPUDevice).destroy();
const running = model.run({ image });
lose();
messages.push(await said(running));
await run();
// wgpu tells of a loss after what was submitted meanwhile
const there = model.runOnDevice({ image });
lose();
messages.push(await said(there.then(({ features }) => (features as DeviceTensor<ShapedOutput>).read())));
await run();
process.stdout.write(JSON.stringify({ messages, results }));
