/** Does a device compute what the compiler expected? */
import { ARRAYS, type FileEntry, type ManifestTensor, type SelfTest, sampledIndices } from './abi.ts';
import type { ShapedOutput } from './counted.ts';

/** The self-test of a bundle, with the size and digest of its file. */
export type StoredSelfTest = SelfTest & FileEntry;

/**
 * Sums in another order differ in their last bits; where a network rounds to steps or takes the largest, some values then
 * differ by much, but not all. So the norm of the difference is held against that of the output: a wrong kernel is off by the
 * order of the output itself.
 */
const MOST_DIFFERENCE = { whole: 0.01, half: 0.1 } as const;

/** What is wrong with the outputs of floats on the seeded inputs; undefined where nothing is. */
export function selfTestProblem(
  { outputs, seed }: SelfTest,
  expected: Uint8Array<ArrayBuffer>,
  tensors: readonly ManifestTensor[],
  got: readonly ShapedOutput[],
  half: boolean,
): string | undefined {
  let at = 0;
  for (const [i, { dtype, name, count }] of tensors.entries()) {
    const { samples = 0 } = outputs[i] ?? {};
    const bytes = samples * ARRAYS[dtype].BYTES_PER_ELEMENT;
    const part = expected.slice(at, at + bytes);
    at += bytes;
    const data = got[i]?.data;
    if (dtype !== 'f32' || count || !data) continue;
    const want = new Float32Array(part.buffer);
    const indices = sampledIndices(data.length, samples, seed);
    const norm = (of: (k: number) => number) => Math.sqrt(indices.reduce((sum, _, k) => sum + of(k) ** 2, 0));
    const whole = norm((k) => want[k] ?? 0);
    const difference = norm((k) => (want[k] ?? 0) - Number(data[indices[k] ?? 0]));
    // NaN where the device gives some
    if (!Number.isFinite(whole) || difference <= MOST_DIFFERENCE[half ? 'half' : 'whole'] * whole) continue;
    return `output ${JSON.stringify(name)} is ${(difference / whole).toPrecision(2)} of its size away`;
  }
  return undefined;
}
