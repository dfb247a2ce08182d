import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { collectionFile, withModels } from '../../support/collection.ts';

/** Uniform numbers in [0, 1), the same on every machine (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Cut short, or with a few bytes changed; those of the structure more often than those of the weights. */
function mutate(original: Uint8Array, random: () => number): Uint8Array {
  if (random() < 0.1) return original.slice(0, Math.floor(random() * original.length));
  const bytes = original.slice();
  const isText = (b: number | undefined) => b !== undefined && (b < 16 || (b >= 32 && b < 127));
  for (let edits = 1 + Math.floor(random() * 4); edits > 0; edits--) {
    let at = Math.floor(random() * bytes.length);
    for (let tries = 0; tries < 8 && !isText(bytes[at]); tries++) at = Math.floor(random() * bytes.length);
    bytes[at] = Math.floor(random() * 256);
  }
  return bytes;
}

withModels.test(
  '2,000 damaged models import or are refused, and nothing else happens',
  () => {
    const original = new Uint8Array(readFileSync(collectionFile('models/mnist-shufflenet.onnx')));
    const random = generator(1);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < 2000; i++) {
      let outcome = 'imported';
      try {
        importOnnx(mutate(original, random));
      } catch (error) {
        if (!(error instanceof CompileError)) throw error;
        expect(error.diagnostics.length).toBeGreaterThan(0);
        outcome = error.diagnostics[0]?.code ?? '';
      }
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // damage of many kinds got through to where it is told apart
    expect(outcomes.size).toBeGreaterThan(5);
  },
  120_000,
);
