/** The processes that measure, each from its start to its end. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { repository } from './internal.mjs';

const CLI = join(repository, 'dist/cli.js');
const script = (name) => join(repository, 'scripts/bench', name);

/** The report of `convolith bench`. */
export const benchReport = (node, model, shape, rounds) =>
  json(node, [CLI, 'bench', model, '--format', 'json', '--quiet', '--rounds', rounds, ...shaped(shape)]);

/** Compiles into a folder. */
export function compiled(node, model, shape, bundle) {
  const options = ['-o', bundle, '--format', 'json', '--quiet', ...shaped(shape)];
  const begin = performance.now();
  const { stats } = json(node, [CLI, 'compile', model, ...options]);
  return { bundle, stats, ms: performance.now() - begin };
}

/** One measurement of `fresh.mjs`. */
export const fresh = (node, what, who, model, bundle) =>
  json(node, ['--expose-gc', script('fresh.mjs'), what, who, model, bundle], 120_000);

export const others = (node, model, bundle, rounds, names) =>
  json(node, [script('others.mjs'), model, bundle, rounds, ...names]);

/** The Node that runs a command, and the machine that it runs on. */
export const environment = (node) => json(node, ['-e', ENVIRONMENT]);

const ENVIRONMENT = `
const os = require('node:os');
const cpus = os.cpus();
console.log(JSON.stringify({
  date: new Date().toISOString(),
  node: process.versions.node,
  v8: process.versions.v8.replace(/-node.*/, ''),
  cpu: cpus[0].model.trim(),
  cpus: cpus.length,
  load: os.loadavg()[0],
}))`;

const shaped = (shape) => (shape ? ['--shape', shape] : []);

/**
 * What a process prints. One that hangs, as engines have been seen to at the end of a process, is started once more.
 * @throws Error with what it says where it fails
 */
function json(node, args, limitMs = 600_000) {
  const options = { encoding: 'utf8', maxBuffer: 2 ** 28, timeout: limitMs, killSignal: 'SIGKILL' };
  const once = () => spawnSync(node, args.map(String), options);
  const first = once();
  const late = first.error?.code === 'ETIMEDOUT';
  if (late) console.error(`no end after ${limitMs / 1000} s, tried once more: ${args.join(' ')}`);
  const { status, signal, stdout, stderr, error } = late ? once() : first;
  if (error) throw error;
  if (status !== 0) throw new Error(stderr.trim() || `ended by ${signal ?? `code ${status}`}`);
  return JSON.parse(stdout);
}
