/** Is a bundle whole, and does its module give on this engine what it gave when it was compiled? */
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { type Manifest, specialisationsOf, type TensorArray } from '#runtime/abi.ts';
import { RunnableModule } from '../check/run-module.ts';
import { sha256 } from './digest.ts';
import { MANIFEST_FILE, openManifest } from './manifest.ts';
import { compareSelfTest } from './self-test.ts';

/** The bytes of a file of the bundle; undefined where there is none. */
export type BundleReader = (name: string) => Promise<Uint8Array | undefined> | Uint8Array | undefined;

const corrupt = (file: string, message: string): Diagnostic => diagnostic('bundle-corrupt', file, message);

/**
 * Checks the manifest, the size and SHA-256 of every file, and the self-test vector.
 * @returns every problem found; none for a sound bundle
 */
export async function verifyBundle(read: BundleReader): Promise<Diagnostic[]> {
  const bytes = await read(MANIFEST_FILE);
  if (!bytes) return [corrupt(MANIFEST_FILE, 'this file is missing: it is no bundle, or not all of one')];
  const manifest = await openManifest(decode(bytes));
  if ('problem' in manifest) return [corrupt(MANIFEST_FILE, manifest.problem)];
  const files = new Map<string, Uint8Array>();
  const problems: Diagnostic[] = [];
  for (const [name, entry] of Object.entries(manifest.files)) {
    const content = await read(name);
    if (!content) problems.push(corrupt(name, 'this file is missing'));
    else if (content.length !== entry.bytes) {
      problems.push(corrupt(name, `it has ${content.length} bytes; the manifest says ${entry.bytes}`));
    } else if ((await sha256(content)) !== entry.sha256) {
      problems.push(corrupt(name, 'its SHA-256 is not the one in the manifest'));
    } else files.set(name, content);
  }
  return problems.length > 0 ? problems : selfTest(manifest, files);
}

/** A byte that is not UTF-8 must not pass for another one. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return '';
  }
}

async function selfTest(manifest: Manifest, files: ReadonlyMap<string, Uint8Array>): Promise<Diagnostic[]> {
  const { weightsAddress } = manifest.wasm;
  const [module, weights, expected] = ['model.wasm', 'weights.bin', manifest.selfTest.file].map((f) =>
    files.get(f),
  );
  if (!module || !weights || !expected)
    return [corrupt(MANIFEST_FILE, 'it does not list all files of a bundle')];
  try {
    const runnable = await RunnableModule.load(
      module as Uint8Array<ArrayBuffer>,
      weightsAddress,
      weights.byteLength,
    );
    runnable.weights.set(weights);
    const got: TensorArray[] = [];
    for (const specialisation of specialisationsOf(manifest)) {
      got.push(...runnable.runSeeded(specialisation, manifest.selfTest.seed));
    }
    return compareSelfTest(manifest.selfTest, expected, got).map(({ name, difference }) =>
      corrupt('model.wasm', `the self-test’s output "${name}" differs: ${difference}`),
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [corrupt('model.wasm', `it does not run on this engine: ${reason}`)];
  }
}
