#!/usr/bin/env node
/**
 * What a second thread gives: the time of a bundle on one thread by that on two, beside what two processes at once reach of
 * twice the speed of one in a loop that only multiplies and adds. Alternating in one process; medians of rounds.
 *
 *   node scripts/bench/threads.mjs BUNDLE …      bundles that were compiled with --threads 2 or more
 */
import { fork } from 'node:child_process';
import { basename, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { internal } from './internal.mjs';

const ROUNDS = 15;
const PROBE_MS = 60;

if (process.send) probe();
else await main();

/** In a process of its own: answers each message with how many passes it made in the time given. */
function probe() {
  process.on('message', (ms) => {
    const end = performance.now() + ms;
    let passes = 0;
    let x = 1;
    while (performance.now() < end) {
      for (let i = 0; i < 100_000; i++) x = x * 0.999_999 + 1e-6;
      passes++;
    }
    process.send([passes, x]);
  });
}

async function main() {
  const { positionals } = parseArgs({ allowPositionals: true });
  const probes = [0, 1].map(() => fork(fileURLToPath(import.meta.url)));
  const passesOf = (child) =>
    new Promise((done) => {
      child.once('message', ([passes]) => done(passes));
      child.send(PROBE_MS);
    });
  console.log('network              1 thread   2 threads   speed-up   two probes   share');
  try {
    for (const folder of positionals) {
      const row = await measure(resolve(folder), async () => {
        const alone = await passesOf(probes[0]);
        const both = await Promise.all(probes.map(passesOf));
        return (both[0] + both[1]) / alone;
      });
      const { one, two, speedUp, ideal } = row;
      const ms = (x) => `${x.toFixed(2)} ms`.padStart(10);
      console.log(
        `${basename(folder).padEnd(19)} ${ms(one)}  ${ms(two)}   ${speedUp.toFixed(2).padStart(8)}   ${ideal.toFixed(2).padStart(10)}   ${(speedUp / ideal).toFixed(2)}`,
      );
    }
  } finally {
    for (const child of probes) child.kill();
  }
}

async function measure(folder, idealNow) {
  const { median, timeBatch } = await internal('compiler/bench/measure.ts');
  const { load } = await import(pathToFileURL(`${folder}/index.js`).href);
  const models = [];
  for (const threads of [1, 2]) models.push(await load({ threads, warmup: false }));
  const given = Object.fromEntries(
    models[0].info.inputs.map(({ name, shape }) => [
      name,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
    ]),
  );
  const timing = { clock: () => performance.now(), batchMs: PROBE_MS };
  const time = (model) => timeBatch(() => model.run(given), timing);
  for (let i = 0; i < 5; i++) for (const model of models) await time(model);
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) {
    const [one, two] = [await time(models[0]), await time(models[1])];
    rounds.push({ one, two, speedUp: one / two, ideal: await idealNow() });
  }
  for (const model of models) model.dispose();
  const of = (key) => median(rounds.map((round) => round[key]));
  return { one: of('one'), two: of('two'), speedUp: of('speedUp'), ideal: of('ideal') };
}
