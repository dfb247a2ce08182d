#!/usr/bin/env node
/**
 * Times compiled networks against other runtimes, each network in processes of its own, and writes bench/RESULTS.md and the
 * table in README.md.
 *
 *   npm run bench                       all networks of scripts/bench/networks.mjs, on this Node
 *   npm run bench -- --node26           each on Node 26 too (`npx node@26`)
 *   npm run bench -- --only vgg16,unet  some of them; --render then writes the pages
 *   npm run bench -- --rounds 15        how often each side is timed, in turn (9 unless said)
 *   npm run bench -- --render           write the pages anew from what was measured
 *   npm run bench -- MODEL.onnx[@INPUT=1x3x224x224] …   the same for any model; writes no page
 *
 * What was measured is in bench/raw, a file for each network and Node. A column for native onnxruntime appears where
 * onnxruntime-node is installed: ONNXRUNTIME_NODE_INSTALL=skip npm install --no-save onnxruntime-node
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { environment } from './bench/children.mjs';
import { internal, repository } from './bench/internal.mjs';
import { measure } from './bench/measure.mjs';
import { given, NETWORKS, pathOf } from './bench/networks.mjs';

const { resultsPage, tablePart, withResults } = await internal('scripts/bench/results.ts');
const raw = join(repository, 'bench/raw');
const names = NETWORKS.map(({ name }) => name);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
    node26: { type: 'boolean', default: false },
    render: { type: 'boolean', default: false },
  },
});
if (!/^[1-9]\d*$/.test(values.rounds)) usage(`--rounds ${values.rounds}: a number of rounds is expected`);
const only = values.only?.split(',') ?? names;
const unknown = only.filter((name) => !names.includes(name));
if (unknown.length > 0) usage(`--only ${unknown.join(',')}: there is ${names.join(', ')}`);

if (positionals.length > 0) {
  const networks = positionals.map(given);
  const found = measureAll(networks);
  if (found.length > 0)
    console.log(
      `\n${tablePart(
        found,
        networks.map(({ name }) => name),
      )}`,
    );
} else if (values.render) {
  render();
} else {
  const found = measureAll(
    NETWORKS.filter(({ name }) => only.includes(name)),
    save,
  );
  if (found.length > 0) console.log(`\n${tablePart(found, names)}\n`);
  if (values.only === undefined && process.exitCode === undefined) render();
  else console.log('bench/RESULTS.md and README.md are as before; --render writes them');
}

function usage(message) {
  console.error(message);
  process.exit(2);
}

/** Each network on each Node in turn; one that fails is told, and the others go on. */
function measureAll(networks, keep = () => {}) {
  const nodes = [process.execPath, ...(values.node26 ? [node26()] : [])];
  const since = performance.now();
  const tell = (text) => {
    const seconds = ((performance.now() - since) / 1000).toFixed(0);
    console.log(`${seconds.padStart(5)} s  ${text}`);
  };
  const found = [];
  for (const [i, network] of networks.entries()) {
    const work = mkdtempSync(join(tmpdir(), 'convolith-bench-'));
    try {
      for (const node of nodes) {
        const on = environment(node);
        tell(`${i + 1} of ${networks.length}: ${network.name} on Node ${on.node}`);
        const options = { work, rounds: Number(values.rounds), tell };
        const one = { on, ...measure(node, network, pathOf(network, work), options) };
        keep(one);
        found.push(one);
      }
    } catch (error) {
      process.exitCode = 1;
      tell(`failed: ${error.message}`);
    } finally {
      rmSync(work, { recursive: true });
    }
  }
  return found;
}

/** The program of Node 26, from the npm registry. */
function node26() {
  const printed = execFileSync('npx', ['--yes', 'node@26', '-p', 'process.execPath'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return printed.trim().split('\n').at(-1);
}

function save(one) {
  mkdirSync(raw, { recursive: true });
  const file = `${one.network}.node${Number.parseInt(one.on.node, 10)}.json`;
  writeFileSync(join(raw, file), `${JSON.stringify(one, null, 1)}\n`);
}

/** What was measured, now and before. */
function measured() {
  const files = existsSync(raw) ? readdirSync(raw).filter((file) => file.endsWith('.json')) : [];
  return files.map((file) => JSON.parse(readFileSync(join(raw, file), 'utf8')));
}

function render() {
  const all = measured();
  if (all.length === 0) usage('nothing was measured yet');
  const readme = join(repository, 'README.md');
  writeFileSync(join(repository, 'bench/RESULTS.md'), resultsPage(all, names));
  writeFileSync(readme, withResults(readFileSync(readme, 'utf8'), all, names));
  console.log('bench/RESULTS.md and README.md are written');
}
