/** Loads a model with onnxruntime-web, telling all: how many nodes its own optimisations leave is among it. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';

const [, , path = '', weights] = process.argv;
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'verbose';
await ort.InferenceSession.create(readFileSync(path), {
  executionProviders: ['wasm'],
  graphOptimizationLevel: 'all',
  logSeverityLevel: 0,
  externalData: weights ? [{ path: weights, data: readFileSync(join(dirname(path), weights)) }] : [],
});
