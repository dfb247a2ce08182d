/** All that is measured of a network on one Node. */
import { join } from 'node:path';
import { benchReport, compiled, fresh, others } from './children.mjs';
import { internal } from './internal.mjs';
import { measureMemory } from './memory.mjs';

const { median, NATIVE, TFJS } = await internal('scripts/bench/results.ts');
const STARTS = 3;

/** @param tell is told each figure as it is there */
export function measure(node, network, model, { work, rounds, tell }) {
  const { name, shape, compiles = 1, tensorflow } = network;
  const folder = join(work, `${name}-bundle`);
  const tries = Array.from({ length: compiles }, () => compiled(node, model, shape, folder));
  const [{ bundle, stats }] = tries;
  const compile = { ms: tries.map(({ ms }) => ms), stats };
  tell(`compiled in ${(median(compile.ms) / 1000).toFixed(1)} s`);
  const bench = benchReport(node, model, shape, rounds);
  tell(`${bench.ours.runMs.median.toFixed(2)} ms`);
  tell(`onnxruntime-web ${bench.other ? figures(bench.other) : bench.otherMissing}`);
  const more = others(node, model, bundle, rounds, [NATIVE, ...(tensorflow ? [TFJS] : [])]);
  for (const [other, times] of Object.entries(more))
    tell(`${other} ${typeof times === 'string' ? times : figures(times)}`);
  const compared = bench.other !== null;
  const start = starts(node, model, bundle, compared);
  tell(`first result after ${sum(start.ours)}`);
  if (start.other) tell(`onnxruntime-web's after ${sum(start.other)}`);
  const warm = fresh(node, 'warm', 'convolith', model, bundle);
  tell(`first run after load() ${warm.firstMs.toFixed(2)} ms, later ${warm.laterMs.toFixed(2)} ms`);
  const memory = network.memory ? { memory: measureMemory(node, model, bundle, compared) } : {};
  return { network: name, rounds, bench, start, warm, others: more, ...memory, compile };
}

const figures = ({ runMs, ratio }) => `${runMs.median.toFixed(2)} ms, ${ratio.median.toFixed(2)}×`;

const sum = ({ loadMs, firstRunMs }) => `${(loadMs + firstRunMs).toFixed(0)} ms`;

/** Medians of some starts of each side, in turn. */
function starts(node, model, bundle, compared) {
  const tries = Array.from({ length: STARTS }, () => ({
    ours: fresh(node, 'start', 'convolith', model, bundle),
    ...(compared && { other: fresh(node, 'start', 'onnxruntime-web', model, bundle) }),
  }));
  const of = (side) => ({
    loadMs: median(tries.map((one) => one[side].loadMs)),
    firstRunMs: median(tries.map((one) => one[side].firstRunMs)),
  });
  return { ours: of('ours'), ...(compared && { other: of('other') }) };
}
