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
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { makeFolderAtomic, writeFileAtomic, writeFolderAtomic } from '#compiler/files/index.ts';

const root = mkdtempSync(join(tmpdir(), 'convolith-atomic-'));
afterAll(() => rmSync(root, { recursive: true }));
const at = (path: string) => join(root, path);
beforeEach(() => {
  rmSync(root, { recursive: true });
  mkdirSync(root);
});

describe('files', () => {
  test('are written and replaced in a folder that is there', async () => {
    await expect(writeFileAtomic(at('a/b.txt'), 'one')).rejects.toThrow('file-unreadable');
    expect(readdirSync(root)).toEqual([]);
    mkdirSync(at('a'));
    await writeFileAtomic(at('a/b.txt'), 'one');
    await writeFileAtomic(at('a/b.txt'), new TextEncoder().encode('two'));
    expect(readFileSync(at('a/b.txt'), 'utf8')).toBe('two');
    expect(readdirSync(at('a'))).toEqual(['b.txt']);
  });

  test('do not replace a folder', async () => {
    mkdirSync(at('a'));
    await expect(writeFileAtomic(at('a'), 'one')).rejects.toThrow('file-unreadable');
    expect(readdirSync(root)).toEqual(['a']);
  });
});

describe('folders', () => {
  const files = new Map([
    ['index.js', 'one'],
    ['sub/data.txt', 'two'],
  ]);

  test('appear with all of their files', async () => {
    await writeFolderAtomic(at('out'), files);
    expect(readFileSync(at('out/sub/data.txt'), 'utf8')).toBe('two');
    expect(readdirSync(root)).toEqual(['out']);
  });

  test('replace a folder, with what it held', async () => {
    mkdirSync(at('out'));
    writeFileSync(at('out/old.txt'), 'old');
    await writeFolderAtomic(at('out'), files);
    expect(readdirSync(at('out')).sort()).toEqual(['index.js', 'sub']);
    expect(readdirSync(root)).toEqual(['out']);
  });

  test('leave what was there where writing fails', async () => {
    mkdirSync(at('out'));
    writeFileSync(at('out/old.txt'), 'old');
    // a file and a folder of one name
    const impossible = new Map([
      ['a', 'file'],
      ['a/b', 'file'],
    ]);
    await expect(writeFolderAtomic(at('out'), impossible)).rejects.toThrow('file-unreadable');
    expect(readdirSync(at('out'))).toEqual(['old.txt']);
    expect(readdirSync(root)).toEqual(['out']);
  });

  test('are not there where what makes their files fails', async () => {
    const large = new Uint8Array(1 << 22);
    const failing = makeFolderAtomic(at('out'), async (write) => {
      write('large.bin', large);
      throw new RangeError('of the maker');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(readdirSync(root)).toEqual([]);
    mkdirSync(at('a'));
    const nested = makeFolderAtomic(at('a/b/c/out'), async (write) => {
      write('large.bin', large);
      throw new RangeError('of the maker');
    });
    await expect(nested).rejects.toThrow(RangeError);
    expect(readdirSync(at('a'))).toEqual([]);
  });

  test('replace nothing where they are refused when all is written', async () => {
    mkdirSync(at('out'));
    writeFileSync(at('out/old.txt'), 'old');
    const refused = makeFolderAtomic(
      at('out'),
      async (write) => write('new.txt', 'new'),
      () => {
        throw new RangeError('not ready');
      },
    );
    await expect(refused).rejects.toThrow(RangeError);
    expect(readdirSync(at('out'))).toEqual(['old.txt']);
    expect(readdirSync(root)).toEqual(['out']);
  });

  test('have files that are written while others are made', async () => {
    const large = Uint8Array.from({ length: 1 << 20 }, (_, i) => i * 7);
    const made = await makeFolderAtomic(at('out'), async (write) => {
      write('large.bin', large);
      await new Promise((done) => setTimeout(done, 5));
      write('late.txt', 'late');
      return 'made';
    });
    expect(made).toBe('made');
    expect(readFileSync(at('out/large.bin')).equals(large)).toBe(true);
    expect(readFileSync(at('out/late.txt'), 'utf8')).toBe('late');
  });

  test('hold no file outside themselves', async () => {
    await expect(writeFolderAtomic(at('out'), new Map([['../evil.txt', 'x']]))).rejects.toThrow(
      'leaves the folder',
    );
    expect(existsSync(at('evil.txt'))).toBe(false);
  });
});
