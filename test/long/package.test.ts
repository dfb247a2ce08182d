/** The package as users get it: packed, installed in an empty folder, imported, type-checked and run. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryFolder } from '../support/collection.ts';

const folder = mkdtempSync(join(tmpdir(), 'convolith-package-'));
const run = (command: string, args: readonly string[], cwd = folder): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const node = (script: string): string => run(process.execPath, ['--input-type=module', '-e', script]);

const MODEL = join(repositoryFolder, 'examples/mnist/models/mnist-vgg.onnx');

const CONSUMER = `
import { type AuditReport, audit, auditSchema, compileGraph, parseGraph, VERSION } from 'convolith';
import { readModel } from 'convolith/files';

const version: string = VERSION;
const report: AuditReport = auditSchema.parse({});
const macs: number | null = report.totals.macs;
const bundle = compileGraph(parseGraph(''));
export { audit, bundle, macs, readModel, version };
`;

beforeAll(() => {
  run('npm', ['pack', '--silent', '--pack-destination', folder], repositoryFolder);
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const manifest = JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8'));
  // no registry is asked: what the package depends on comes from this repository
  const local = (name: string) => [name, `file:${join(repositoryFolder, 'node_modules', name)}`];
  const consumer = {
    private: true,
    type: 'module',
    dependencies: { convolith: `file:${tarball}` },
    overrides: Object.fromEntries(Object.keys(manifest.dependencies).map(local)),
  };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(consumer));
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund']);
  writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('what is installed is what users need, and no more', () => {
  const installed = join(folder, 'node_modules/convolith');
  expect(readdirSync(installed).sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'dist',
    'docs',
    'package.json',
    'schema',
  ]);
  expect(readdirSync(join(installed, 'docs'))).toEqual([
    'bundle.md',
    'counting.md',
    'json.md',
    'rewrite.md',
    'tuning.md',
    'webgpu.md',
  ]);
  expect(existsSync(join(installed, 'dist/THIRD-PARTY-NOTICES.txt'))).toBe(true);
});

test('both entries can be imported', () => {
  const printed = node(`
    import { auditSchema, AUDIT_VERSION, VERSION } from 'convolith';
    import { readModel } from 'convolith/files';
    import { audit } from 'convolith';
    const { graph } = await readModel(${JSON.stringify(MODEL)});
    console.log(VERSION, AUDIT_VERSION, typeof auditSchema.parse, typeof audit, graph.outputs.length);
  `);
  const { version } = JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8'));
  expect(printed).toBe(`${version} 1 function function 1\n`);
});

test.each([
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])('the types compile with --module %s --moduleResolution %s', (module, moduleResolution) => {
  const compilerOptions = {
    module,
    moduleResolution,
    target: 'es2022',
    lib: ['es2023', 'dom'],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
  };
  const config = join(folder, `tsconfig.${moduleResolution}.json`);
  writeFileSync(config, JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  expect(run(join(repositoryFolder, 'node_modules/.bin/tsc'), ['-p', config])).toBe('');
});

test('the command runs from node_modules/.bin', () => {
  const command = join(folder, 'node_modules/.bin/convolith');
  const report = JSON.parse(run(command, ['audit', MODEL, '--format', 'json']));
  expect(report.totals.macs).toBeGreaterThan(0);
  run(command, ['compile', MODEL, '-o', 'bundle', '--quiet']);
  expect(run(command, ['verify', 'bundle'])).toContain('sound: mnist-vgg');
});
