/** Run by Deno: `run-bundle.ts FOLDER SEED` runs a bundle on WebGPU and writes what it gave, as JSON. */
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { seededInput } from '../../runtime/abi.ts';
import type { AnyModel } from '../../runtime/session.ts';
import type { GpuAnswer } from './deno.ts';

const [folder = '', seed = '0'] = process.argv.slice(2);
const { load } = (await import(pathToFileURL(`${folder}/index.js`).href)) as {
  load(options: object): Promise<AnyModel>;
};
const model = await load({ backend: 'webgpu', warmup: false });
const { backend, engine, backendNote: note } = model.info;
const inputs = model.info.inputs.map((tensor, i) => [
  tensor.name,
  seededInput(tensor as Parameters<typeof seededInput>[0], Number(seed), i),
]);
const outputs = Object.entries(await model.run(Object.fromEntries(inputs))).map(([name, data]) => {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return [name, Buffer.from(buffer, byteOffset, byteLength).toString('base64')];
});
const answer: GpuAnswer = {
  backend,
  engine,
  ...(note === undefined ? {} : { note }),
  outputs: Object.fromEntries(outputs),
};
process.stdout.write(JSON.stringify(answer));
