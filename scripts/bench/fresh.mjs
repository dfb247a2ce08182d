/**
 * One measurement of one side in a process that has run nothing before; prints it as JSON.
 *
 *   node --expose-gc scripts/bench/fresh.mjs start|warm|memory convolith|onnxruntime-web MODEL BUNDLE
 */
import { convolith, onnxruntimeWeb } from './sides.mjs';

const [what, who, model, bundle] = process.argv.slice(2);
const SIDES = { convolith, 'onnxruntime-web': onnxruntimeWeb };
const MEASURES = { start, warm, memory };

/** The first run after loading and the later ones: of so many, or of as many as there is time for. */
const RUNS = 100;
const LEAST_RUNS = 10;
const LONGEST_MS = 15_000;
const MEMORY_RUNS = 20;

console.log(JSON.stringify(await MEASURES[what]()));
process.exit();

/** To the first result, without warm-up. */
async function start() {
  const side = await SIDES[who]({ model, bundle });
  const begin = performance.now();
  const { run } = await side.load({ warmup: false });
  const ready = performance.now();
  await run();
  return { loadMs: ready - begin, firstRunMs: performance.now() - ready };
}

/** After `load()` as it is by default. */
async function warm() {
  const side = await SIDES[who]({ model, bundle });
  const { run, info } = await side.load();
  const times = [];
  const begin = performance.now();
  while (times.length < RUNS) {
    const before = performance.now();
    await run();
    times.push(performance.now() - before);
    if (times.length >= LEAST_RUNS && performance.now() - begin > LONGEST_MS) break;
  }
  const later = times.slice(Math.floor(times.length / 2) - 1).sort((a, b) => a - b);
  const laterMs = (later[(later.length - 1) >> 1] + later[later.length >> 1]) / 2;
  return { engine: info.engine, firstMs: times[0], laterMs, runs: times.length };
}

/** What import, load and some runs add to the resident memory that is left after collection. */
async function memory() {
  const before = await resident();
  const side = await SIDES[who]({ model, bundle });
  const loaded = await side.load();
  for (let i = 0; i < MEMORY_RUNS; i++) await loaded.run();
  const growth = (await resident()) - before;
  // still in use up to here
  await loaded.run();
  return { growth };
}

async function resident() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return process.memoryUsage.rss();
}
