/**
 * The peak memory of a whole compile: below three times the weights and 200 MB. The weights are there once as the file has
 * them and once packed, which for filters of Winograd kernels is up to four times as much; 200 MB is Node, the compiler and
 * the activations.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { useCli } from '../support/cli.ts';
import { withModels, zooModel } from '../support/collection.ts';

const MB = 1e6;

withModels.describe('peak memory', () => {
  const cli = useCli();
  // the largest, the smallest that are in use, and those that come closest
  test.each(['vgg16', 'mobilenet_v2', 'squeezenet1_1', 'resnet18', 'resnet50', 'unet', 'convnext_tiny'])(
    'compiling %s',
    async (name) => {
      const { model, weights } = await zooModel(name);
      const { size } = await stat(weights);
      const folder = await mkdtemp(join(tmpdir(), 'convolith-memory-'));
      try {
        const peak = await peakOfCompile(cli.entry, model, join(folder, 'bundle'));
        expect(peak / MB).toBeLessThan((3 * size) / MB + 200);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    300_000,
  );
});

/** Largest resident set of `convolith compile` in a process of its own, in bytes. */
async function peakOfCompile(command: string, model: string, out: string): Promise<number> {
  const report = "process.on('exit', () => console.error('peak', process.resourceUsage().maxRSS));";
  const { stderr } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    `${report} await import(process.argv[1]);`,
    pathToFileURL(command).href,
    'compile',
    model,
    '-o',
    out,
  ]);
  const [, kibibytes] = /^peak (\d+)$/m.exec(stderr) ?? [];
  if (!kibibytes) throw new Error(`the compile did not report its memory: ${stderr}`);
  return Number(kibibytes) * 1024;
}
