import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { repositoryFolder } from './collection.ts';

/** Compares a text with `test/golden/<name>`; with CONVOLITH_BLESS=1 writes it there instead. */
export function expectGolden(name: string, text: string): void {
  const file = join(repositoryFolder, 'test/golden', name);
  if (process.env.CONVOLITH_BLESS === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return;
  }
  const bless = `if the change is meant: CONVOLITH_BLESS=1 npx vitest run (test/golden/${name})`;
  expect(existsSync(file), `there is no golden file yet; ${bless}`).toBe(true);
  expect(text, bless).toBe(readFileSync(file, 'utf8'));
}
