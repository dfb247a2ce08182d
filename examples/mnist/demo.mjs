#!/usr/bin/env node
/**
 * One trained network, end to end: read from ONNX, audited, compiled to WebAssembly, run on the 10,000 MNIST test images.
 *
 *   node demo.mjs [--serve]     --serve: then serve a page on which one draws a digit
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { audit, compileModel, importOnnx, renderTable } from 'convolith';
import { loadBundle, writeBundle } from 'convolith/files';
import { PIXELS, testImages } from './images.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const model = join(here, 'models', 'mnist-vgg.onnx');
const bundle = join(here, 'bundle');
const color = process.stdout.isTTY === true && !process.env.NO_COLOR;
const heading = (text) => console.log(color ? `\n\x1b[1m${text}\x1b[0m\n` : `\n${text}\n`);
const KiB = (bytes) => `${(bytes / 1024).toFixed(bytes < 10240 ? 1 : 0)} KiB`;

heading('Audit');
const bytes = await readFile(model);
const report = audit((dims) => importOnnx(bytes, { dims, name: 'mnist-vgg' }));
console.log(renderTable(report, { width: process.stdout.columns ?? 100, colour: color }));

heading('Compile');
const compiled = await compileModel(bytes, { name: 'mnist-vgg' });
await writeBundle(bundle, compiled.files, { force: true });
const size = (name) => compiled.files.get(name)?.byteLength ?? 0;
const { stats } = compiled;
console.log(`index.js      ${KiB(size('index.js')).padStart(9)}   loader, no dependencies`);
console.log(
  `model.wasm    ${KiB(size('model.wasm')).padStart(9)}   ${stats.kernels} kernels, ${stats.calls} calls`,
);
console.log(`weights.bin   ${KiB(size('weights.bin')).padStart(9)}   packed, f32`);
console.log(
  `memory        ${KiB(stats.memoryBytes).padStart(9)}   fixed; ${KiB(stats.arenaBytes)} of it activations`,
);
console.log(
  `checked       ${stats.checkedElements.toLocaleString('en')} outputs of all layers against the reference`,
);

heading('Classify the 10,000 test images');
const { images, labels, count } = await testImages();
const network = await loadBundle(bundle);
let correct = 0;
const start = performance.now();
for (let i = 0; i < count; i++) {
  const { logits } = await network.run({ image: images.subarray(i * PIXELS, (i + 1) * PIXELS) });
  if (logits.indexOf(Math.max(...logits)) === labels[i]) correct++;
}
const seconds = (performance.now() - start) / 1e3;
network.dispose();
console.log(
  `accuracy      ${((100 * correct) / count).toFixed(2)} %   ${correct.toLocaleString('en')} of ${count.toLocaleString('en')}`,
);
console.log(`speed         ${Math.round(count / seconds)} images/s on one thread`);

if (process.argv.includes('--serve')) serve();
else console.log('\nDraw a digit yourself: npm run demo -- --serve');

/** Any static file server will do; this one saves installing it. */
function serve() {
  const types = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.wasm': 'application/wasm',
    '.json': 'application/json',
  };
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    try {
      const body = await readFile(join(here, path.endsWith('/') ? `${path}index.html` : path));
      response
        .writeHead(200, { 'content-type': types[extname(path) || '.html'] ?? 'application/octet-stream' })
        .end(body);
    } catch {
      response.writeHead(404).end('not found');
    }
  });
  server.listen(8080, 'localhost', () => console.log('\nhttp://localhost:8080/page/   (Ctrl-C ends it)'));
}
