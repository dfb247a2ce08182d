/**
 * Further runtimes in turn with a compiled bundle; prints their times as JSON.
 *
 *   node scripts/bench/others.mjs MODEL BUNDLE ROUNDS onnxruntime-node TensorFlow.js …
 */
import { internal } from './internal.mjs';
import { convolith, onnxruntimeNode } from './sides.mjs';

const [model, bundle, rounds, ...names] = process.argv.slice(2);
const { alternate, settle, spread } = await internal('compiler/bench/measure.ts');
const { agreement } = await internal('compiler/bench/agreement.ts');

/** How to make each, and how far its outputs may be off. */
const OTHERS = {
  'onnxruntime-node': { make: onnxruntimeNode, tolerance: 1e-3 },
  'TensorFlow.js': {
    make: async (paths) => (await import('./tfjs.mjs')).tensorflow(paths),
    tolerance: 1e-4,
  },
};
const TIMING = { clock: () => performance.now(), batchMs: 30 };
const SETTLING = { ...TIMING, within: 0.08, limitMs: 10_000 };

const ours = await (await convolith({ model, bundle })).load();
const expected = await ours.outputs();
const result = {};
try {
  for (const name of names) result[name] = await measured(name);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
console.log(JSON.stringify(result));
process.exit();

/** The times of one and of ours in turn with it; or why there are none. A difference of outputs is an error. */
async function measured(name) {
  const { make, tolerance } = OTHERS[name];
  let side;
  let loaded;
  try {
    side = await make({ model, bundle });
    loaded = await side.load();
    await loaded.run();
  } catch (error) {
    return error.code === 'MODULE_NOT_FOUND' ? 'not installed' : error.message;
  }
  agreement(['convolith', name], expected, await loaded.outputs(), tolerance);
  const sides = [ours.run, loaded.run];
  for (const run of sides) await settle(run, SETTLING);
  const [oursMs, runMs] = await alternate(sides, Number(rounds), TIMING);
  await loaded.dispose();
  return {
    version: side.version,
    oursMs: spread(oursMs),
    runMs: spread(runMs),
    ratio: spread(runMs.map((time, i) => time / oursMs[i])),
  };
}
