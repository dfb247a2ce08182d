/** Ways to run a network: a compiled bundle, and other runtimes on one thread. Each is imported only when it is asked for. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The input of every side, by name: noise from −1 to 1, the same always. */
export function inputsOf(bundle) {
  const { inputs } = JSON.parse(readFileSync(join(bundle, 'manifest.json'), 'utf8'));
  return inputs.map(({ name, dtype, shape }) => {
    if (dtype !== 'f32') throw new Error(`input ${name} is ${dtype}, not f32`);
    const count = shape.reduce((a, b) => a * b, 1);
    return { name, shape, data: noise(count) };
  });
}

/** By a linear congruential generator of 32 bits. */
function noise(count) {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/** A side is `{ name, version, load }`, and what is loaded `{ run, outputs, dispose }`. */
export async function convolith({ bundle }) {
  const { load } = await import(pathToFileURL(join(bundle, 'index.js')));
  const given = Object.fromEntries(inputsOf(bundle).map(({ name, data }) => [name, data]));
  return {
    name: 'convolith',
    version: '',
    load: async (options) => {
      const model = await load(options);
      return {
        info: model.info,
        run: () => model.run(given),
        outputs: async () => new Map(Object.entries(await model.run(given))),
        dispose: () => model.dispose(),
      };
    },
  };
}

export async function onnxruntimeWeb({ model, bundle }) {
  const ort = await import('onnxruntime-web/wasm');
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'fatal';
  const files = modelFiles(model);
  return {
    name: 'onnxruntime-web',
    version: ort.env.versions.web,
    load: () => {
      const { bytes, externalData } = files.splice(0)[0];
      return onnxSession(ort, bytes, { executionProviders: ['wasm'], externalData }, bundle);
    },
  };
}

export async function onnxruntimeNode({ model, bundle }) {
  const require = createRequire(import.meta.url);
  const ort = require('onnxruntime-node');
  const options = { executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1 };
  return {
    name: 'onnxruntime-node',
    version: ort.env.versions.node,
    load: () => onnxSession(ort, model, { ...options, logSeverityLevel: 3 }, bundle),
  };
}

/** In a list that is emptied when they are used, so that their memory is free again. */
function modelFiles(model) {
  const path = `${basename(model, '.onnx')}.weights`;
  const weights = join(dirname(model), path);
  const externalData = existsSync(weights) ? [{ path, data: new Uint8Array(readFileSync(weights)) }] : [];
  return [{ bytes: new Uint8Array(readFileSync(model)), externalData }];
}

async function onnxSession(ort, model, options, bundle) {
  const session = await ort.InferenceSession.create(model, options);
  const feeds = Object.fromEntries(
    inputsOf(bundle).map(({ name, shape, data }) => [name, new ort.Tensor('float32', data, shape)]),
  );
  return {
    run: () => session.run(feeds),
    outputs: async () =>
      new Map(Object.entries(await session.run(feeds)).map(([name, { data }]) => [name, data])),
    dispose: () => session.release(),
  };
}
