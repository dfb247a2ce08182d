/** Is a bundle whole, and does its module give on this engine what it gave when it was compiled? */
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { type Manifest, specialisationsOf, type TensorArray, type WasmManifest } from '#runtime/abi.ts';
import { supportedEngines } from '#runtime/engines.ts';
import { expandWeights } from '#runtime/stored-weights.ts';
import { RunnableModule } from '../check/run-module.ts';
import { sha256 } from './digest.ts';
import { MANIFEST_FILE, openManifest } from './manifest.ts';
import { requiredFiles, WEIGHTS_FILE } from './required-files.ts';
import { compareSelfTest } from './self-test.ts';

/** The bytes of a file of the bundle; undefined where there is none. */
export type BundleReader = (name: string) => Promise<Uint8Array | undefined> | Uint8Array | undefined;

const corrupt = (file: string, message: string): Diagnostic => diagnostic('bundle-corrupt', file, message);

/**
 * Checks the manifest, the size and SHA-256 of every file, and the self-test vector where there is a module to run.
 * @returns every problem found; none for a sound bundle
 */
export async function verifyBundle(read: BundleReader): Promise<Diagnostic[]> {
  const bytes = await read(MANIFEST_FILE);
  if (!bytes) return [corrupt(MANIFEST_FILE, 'this file is missing: it is no bundle, or not all of one')];
  const manifest = await openManifest(decode(bytes));
  if ('problem' in manifest) return [corrupt(MANIFEST_FILE, manifest.problem)];
  const files = new Map<string, Uint8Array>();
  const problems: Diagnostic[] = [];
  for (const [name, entry] of requiredFiles(manifest)) {
    const listed = manifest.files[name];
    if (!listed) problems.push(corrupt(MANIFEST_FILE, `it does not list ${name}, which the bundle needs`));
    else if (entry && (entry.bytes !== listed.bytes || entry.sha256 !== listed.sha256))
      problems.push(corrupt(MANIFEST_FILE, `it says two things of ${name}`));
  }
  for (const [name, entry] of Object.entries(manifest.files)) {
    const content = await read(name);
    if (!content) problems.push(corrupt(name, 'this file is missing'));
    else if (content.length !== entry.bytes) {
      problems.push(corrupt(name, `it has ${content.length} bytes; the manifest says ${entry.bytes}`));
    } else if ((await sha256(content)) !== entry.sha256) {
      problems.push(corrupt(name, 'its SHA-256 is not the one in the manifest'));
    } else files.set(name, content);
  }
  for (const { file } of manifest.webgpu?.split?.wasm.modules ?? []) {
    const module = files.get(file);
    if (module && !WebAssembly.validate(module as Uint8Array<ArrayBuffer>))
      problems.push(corrupt(file, 'it is no module that this engine accepts'));
  }
  if (problems.length > 0 || !manifest.wasm) return problems;
  return selfTest(manifest, manifest.wasm, files);
}

/** A byte that is not UTF-8 must not pass for another one. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return '';
  }
}

async function selfTest(
  manifest: Manifest,
  { modules, weightsAddress, memoryBytes, stored }: WasmManifest,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<Diagnostic[]> {
  const [weights, expected] = [WEIGHTS_FILE, manifest.selfTest.file].map((f) => files.get(f));
  const baseline = modules.find(({ engine, threads }) => engine === 'simd' && !threads);
  const module = files.get(baseline?.file ?? '');
  if (!module || !weights || !expected)
    return [corrupt(MANIFEST_FILE, 'it does not list all files of a bundle')];
  const weightBytes = stored?.bytes ?? weights.byteLength;
  const place = { memoryBytes, weightsAddress, weightBytes };
  try {
    const runnable = await RunnableModule.load(module as Uint8Array<ArrayBuffer>, place);
    if (stored) expandWeights(new Uint8Array(weights), stored.parts, runnable.weights);
    else runnable.weights.set(weights);
    const outputs = allOutputs(runnable, manifest);
    const problems = compareSelfTest(manifest.selfTest, expected, outputs).map(({ name, difference }) =>
      corrupt(baseline?.file ?? '', `the self-test’s output "${name}" differs: ${difference}`),
    );
    for (const { engine, threads, file } of modules) {
      const bytes = files.get(file) as Uint8Array<ArrayBuffer> | undefined;
      // the memory of this check is not shared, which modules for threads need
      if (threads || engine !== 'relaxed' || !supportedEngines().includes(engine)) continue;
      if (!bytes) return [corrupt(MANIFEST_FILE, 'it does not list all files of a bundle')];
      const relaxed = await runnable.sibling(bytes);
      problems.push(...compareRelaxed(manifest, file, outputs, allOutputs(relaxed, manifest)));
    }
    return problems;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [corrupt(baseline?.file ?? '', `it does not run on this engine: ${reason}`)];
  }
}

const allOutputs = (module: RunnableModule, manifest: Manifest): TensorArray[] =>
  specialisationsOf(manifest).flatMap((one) => module.runSeeded(one, manifest.selfTest.seed));

/**
 * The compiler has checked the code of a module for relaxed SIMD; here it is the engine that is asked. What it may do
 * changes last bits; where a network rounds to steps or takes the largest, that can change some values by much, but not
 * all. So the norm of the difference is held against that of the output.
 */
const RELAXED_TOLERANCE = 0.01;

function compareRelaxed(
  manifest: Manifest,
  file: string,
  expected: readonly TensorArray[],
  got: readonly TensorArray[],
): Diagnostic[] {
  const ports = specialisationsOf(manifest).flatMap(({ outputs }) => outputs);
  return ports.flatMap(({ name, dtype }, i) => {
    const [a, b] = [expected[i], got[i]];
    if (dtype !== 'f32' || !(a instanceof Float32Array) || !(b instanceof Float32Array)) return [];
    const norm = (of: (k: number) => number) => Math.sqrt(a.reduce((sum, _, k) => sum + of(k) ** 2, 0));
    const difference = norm((k) => (Object.is(a[k], b[k]) ? 0 : (a[k] ?? 0) - (b[k] ?? 0)));
    const whole = norm((k) => a[k] ?? 0);
    // NaN where the outputs hold some in different places
    if (difference <= RELAXED_TOLERANCE * whole || !Number.isFinite(whole)) return [];
    const part = (difference / whole).toPrecision(2);
    return [corrupt(file, `output "${name}" is ${part} of its size away from the baseline module’s`)];
  });
}
