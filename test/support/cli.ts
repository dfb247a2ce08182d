/** The command as a child process, bundled as the build does it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll } from 'vitest';
import { repositoryFolder } from './collection.ts';

export interface CliResult {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRunOptions {
  readonly stdin?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** Called once it runs. */
  readonly started?: (kill: (signal: NodeJS.Signals) => void) => void;
}

export interface Cli {
  /** The path of the command. */
  readonly entry: string;
  run(args: readonly string[], options?: CliRunOptions): Promise<CliResult>;
  /** A path in a folder of this test file's own, where the command runs. */
  at(path: string): string;
  /** Writes a file there; returns its path. */
  write(path: string, content: string | Uint8Array): Promise<string>;
}

/** Bundles the command before the tests of a file and removes it after; below the repository, so that packages are found. */
export function useCli(): Cli {
  const cache = join(repositoryFolder, '.cache/cli-test');
  const folder = mkdtempSync(join(tmpdir(), 'convolith-cli-'));
  const outdir = join(cache, `${process.pid}-${Math.random().toString(36).slice(2)}`);
  const entry = join(outdir, 'main.js');
  beforeAll(async () => {
    const { dependencies } = JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8'));
    await build({
      absWorkingDir: repositoryFolder,
      entryPoints: ['compiler/cli/main.ts'],
      outdir,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'neutral',
      target: 'es2022',
      external: ['node:*', ...Object.keys(dependencies)],
      logLevel: 'error',
    });
  });
  afterAll(() => {
    rmSync(outdir, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });
  const at = (path: string) => join(folder, path);
  return {
    entry,
    at,
    async write(path, content) {
      await mkdir(dirname(at(path)), { recursive: true });
      writeFileSync(at(path), content);
      return path;
    },
    run: (args, options = {}) => runProcess([entry, ...args], folder, options),
  };
}

function runProcess(args: readonly string[], cwd: string, options: CliRunOptions): Promise<CliResult> {
  const { NO_COLOR, FORCE_COLOR, CONVOLITH_DEBUG, ...rest } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, env: { ...rest, ...options.env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin);
    options.started?.((signal) => child.kill(signal));
  });
}
