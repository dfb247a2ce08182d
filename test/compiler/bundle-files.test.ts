import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyBundle } from '#compiler/bundle/verify.ts';
import { compileGraph } from '#compiler/compile.ts';
import {
  folderReader,
  isBundle,
  loadBundle,
  makeBundleFolder,
  readBundle,
  writeBundle,
} from '#compiler/files/index.ts';
import { bundleFolder, smallNet, temporaryFolder } from '../support/bundles.ts';

test('a bundle is read as it was written', async () => {
  const { files } = await compileGraph(smallNet());
  const folder = join(await temporaryFolder(), 'a', 'bundle');
  await writeBundle(folder, files);
  expect(await isBundle(folder)).toBe(true);
  const back = await readBundle(folder);
  expect([...back.keys()]).toEqual([...files.keys()]);
  for (const [name, bytes] of files) expect(new Uint8Array(back.get(name) ?? [])).toEqual(bytes);
  expect(await verifyBundle(folderReader(folder))).toEqual([]);
});

test('a bundle is replaced, and loaded as it is now', async () => {
  const folder = await bundleFolder(smallNet());
  const image = new Float32Array(189).fill(0.5);
  const before = await (await loadBundle(folder)).run({ image });
  await writeBundle(folder, (await compileGraph(smallNet({ seed: 2 }))).files);
  const after = await (await loadBundle(folder)).run({ image });
  expect(after).not.toEqual(before);
});

test('a folder that holds something else is left as it is, unless forced', async () => {
  const { files } = await compileGraph(smallNet());
  const folder = await temporaryFolder();
  const precious = join(folder, 'thesis.txt');
  await writeBundle(folder, files);
  writeFileSync(precious, 'text');
  await expect(writeBundle(folder, files)).rejects.toThrow('file-unreadable');
  expect(readFileSync(precious, 'utf8')).toBe('text');
  await writeBundle(folder, files, { force: true });
  expect(readdirSync(folder).sort()).toEqual([...files.keys()].sort());
  const file = join(dirname(folder), 'file-in-the-way');
  writeFileSync(precious, 'text');
  await expect(writeBundle(precious, files, { force: true })).rejects.toThrow('file-unreadable');
  expect(readFileSync(precious, 'utf8')).toBe('text');
  expect(existsSync(file)).toBe(false);
});

test('a write that fails leaves nothing, and what was there', async () => {
  const { files } = await compileGraph(smallNet());
  const parent = await temporaryFolder();
  const broken = new Map([...files, ['z\0', new Uint8Array(1)]]);
  await expect(writeBundle(join(parent, 'bundle'), broken)).rejects.toThrow('file-unreadable');
  expect(readdirSync(parent)).toEqual([]);
  await writeBundle(join(parent, 'bundle'), files);
  await expect(writeBundle(join(parent, 'bundle'), broken)).rejects.toThrow('file-unreadable');
  expect(readdirSync(parent)).toEqual(['bundle']);
  expect(await verifyBundle(folderReader(join(parent, 'bundle')))).toEqual([]);
});

test('a folder without a manifest is no bundle', async () => {
  const folder = join(await temporaryFolder(), 'empty');
  mkdirSync(folder);
  expect(await isBundle(folder)).toBe(false);
  await expect(readBundle(folder)).rejects.toThrow('bundle-corrupt');
  await expect(loadBundle(folder)).rejects.toThrow('bundle-corrupt');
});

test('a folder that came to be there while a bundle was compiled is left alone', async () => {
  const folder = join(await temporaryFolder(), 'bundle');
  const making = makeBundleFolder(folder, async (write) => {
    write('index.js', new Uint8Array(1));
    mkdirSync(folder);
    writeFileSync(join(folder, 'thesis.txt'), 'years');
  });
  await expect(making).rejects.toThrow('file-unreadable');
  expect(readdirSync(folder)).toEqual(['thesis.txt']);
});
