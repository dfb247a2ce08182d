/** Packages that are used where they are installed. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { importInstalled } from '#compiler/cli/installed.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'installed-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function installs(name: string, code: string): Promise<void> {
  const home = join(folder, 'node_modules', name);
  await mkdir(home, { recursive: true });
  const text = { name, version: '1.2.3', type: 'module', main: 'index.js' };
  await writeFile(join(home, 'package.json'), JSON.stringify(text));
  await writeFile(join(home, 'index.js'), code);
}

test('a package comes with its version', async () => {
  await installs('thing', 'export const answer = 42;');
  const found = await importInstalled<{ answer: number }>('thing', { folder: join(folder, 'below') });
  expect(found).toMatchObject({ module: { answer: 42 }, version: '1.2.3' });
});

test('one that is not there is undefined', async () => {
  expect(await importInstalled('there-is-no-such-package', { folder })).toBeUndefined();
});

test('one that does not load says why', async () => {
  await installs('broken', "throw new Error('libc.so.7: cannot open shared object file');");
  expect(await importInstalled('broken', { folder })).toBe(
    'broken 1.2.3 does not load: libc.so.7: cannot open shared object file',
  );
  await installs('partly', "import 'a-dependency-that-is-missing';");
  expect(await importInstalled('partly', { folder })).toContain('a-dependency-that-is-missing');
});
