/** A whole network, run a thousand times: the same bits, and no more memory. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileFile, temporaryFolder, write } from '../support/bundles.ts';
import { withModels, zooModel } from '../support/collection.ts';

withModels.describe('mobilenet_v2', () => {
  test.each([1, 2])(
    'a thousand runs on %d threads',
    async (threads) => {
      const folder = await write(await compileFile((await zooModel('mobilenet_v2')).model, { threads: 2 }));
      const script = join(await temporaryFolder(), 'runs.mjs');
      writeFileSync(
        script,
        `import { load } from ${JSON.stringify(join(folder, 'index.js'))};
const model = await load({ threads: ${threads}, warmup: false });
const [{ name, shape }] = model.info.inputs;
const input = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i));
const resident = () => { gc(); gc(); return process.memoryUsage().rss; };
const bits = async () => Buffer.from(Object.values(await model.run({ [name]: input }))[0].buffer).toString('base64');
const first = await bits();
let other = 0;
let before = 0;
for (let i = 1; i < 1000; i++) {
  if (i === 100) before = resident();
  if ((await bits()) !== first) other++;
}
console.log(JSON.stringify({ other, grown: resident() - before, threads: model.info.threads }));
model.dispose();`,
      );
      const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', script], { encoding: 'utf8' });
      expect(stderr).toBe('');
      const { other, grown, threads: used } = JSON.parse(stdout) as Record<string, number>;
      expect({ other, used }).toEqual({ other: 0, used: threads });
      // what the engine itself keeps varies by megabytes; a leak of one output a run would be 3.6 MB, of an input 540 MB
      expect(grown).toBeLessThan(16 * 2 ** 20);
    },
    300_000,
  );
});
