/** Modules for other engines than this one: engine flags stand in for newer engines. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { supportedEngines } from '#runtime/engines.ts';
import { bundleFolder, smallNet, temporaryFolder } from '../support/bundles.ts';

let folder: string;
beforeAll(async () => {
  folder = await bundleFolder(smallNet());
});

interface Answer {
  readonly engine: string;
  readonly scores: number[];
}

/** What a process gives that loads the bundle with `options`. */
async function inProcess(flags: readonly string[], options: object): Promise<Answer> {
  const script = join(await temporaryFolder(), 'script.mjs');
  writeFileSync(
    script,
    `import { load } from ${JSON.stringify(join(folder, 'index.js'))};
const model = await load(${JSON.stringify({ warmup: false, ...options })});
const image = Float32Array.from({ length: 1 * 3 * 9 * 7 }, (_, i) => Math.sin(i));
const { scores } = await model.run({ image });
console.log(JSON.stringify({ engine: model.info.engine, scores: [...scores] }));`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, script], { encoding: 'utf8' });
  expect(stderr.replace(/.*ExperimentalWarning.*\n.*\n/, '')).toBe('');
  return JSON.parse(stdout) as Answer;
}

const RELAXED = ['--experimental-wasm-relaxed-simd', '--experimental-wasm-memory64'];

describe('the module for relaxed SIMD', () => {
  test('is taken where the engine has it, and gives the same but for rounding', async () => {
    const relaxed = await inProcess(RELAXED, {});
    const baseline = await inProcess(RELAXED, { relaxed: false });
    expect([relaxed.engine, baseline.engine]).toEqual(['relaxed', 'simd']);
    const largest = Math.max(...baseline.scores.map(Math.abs));
    relaxed.scores.forEach((x, i) => {
      expect(Math.abs(x - (baseline.scores[i] ?? Number.NaN))).toBeLessThan(1e-6 * largest);
    });
  });

  test('is left where the engine lacks what makes it fast', async () => {
    // V8 12 has relaxed SIMD without 64-bit memories
    expect((await inProcess(RELAXED.slice(0, 1), {})).engine).toBe(
      supportedEngines().includes('relaxed') ? 'relaxed' : 'simd',
    );
  });
});
