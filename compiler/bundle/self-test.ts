/** The self-test vector of a bundle: what the module gives on seeded inputs. */
import { type ARRAYS, checksum, type SelfTest, sampledIndices, type TensorArray } from '#runtime/abi.ts';

export const SELF_TEST_FILE = 'selftest.bin';
export const SELF_TEST_SEED = 1;

/** Outputs up to this size are stored whole; of larger ones, a part and a checksum. */
const MOST_STORED = 65_536;
const SAMPLES = 4096;

/** The description for the manifest and the bytes of the file, from the outputs of a run in order. */
export function makeSelfTest(
  names: readonly string[],
  outputs: readonly TensorArray[],
): { selfTest: SelfTest; bytes: Uint8Array } {
  const stored = outputs.map((data) => sample(data, data.length > MOST_STORED ? SAMPLES : data.length));
  const bytes = new Uint8Array(stored.reduce((sum, data) => sum + data.byteLength, 0));
  let offset = 0;
  for (const data of stored) {
    bytes.set(bytesOf(data), offset);
    offset += data.byteLength;
  }
  const described = outputs.map((data, i) => ({
    name: names[i] ?? '',
    samples: stored[i]?.length ?? 0,
    checksum: checksum(data),
  }));
  return { selfTest: { seed: SELF_TEST_SEED, file: SELF_TEST_FILE, outputs: described }, bytes };
}

/** How the outputs of a run differ from the stored ones, by output; empty where they are the same. */
export function compareSelfTest(
  selfTest: SelfTest,
  bytes: Uint8Array,
  outputs: readonly TensorArray[],
): { readonly name: string; readonly difference: string }[] {
  let offset = 0;
  return selfTest.outputs.flatMap(({ name, samples, checksum: sum }, i) => {
    const data = outputs[i];
    if (!data) return [{ name, difference: 'the module has no such output' }];
    const got = sample(data, samples);
    // a copy in memory of its own, aligned; slice() of a Node Buffer is none
    const part = new Uint8Array(bytes.subarray(offset, offset + got.byteLength));
    offset += got.byteLength;
    if (part.length !== got.byteLength)
      return [{ name, difference: 'its expected values are not all there' }];
    const expected = new (data.constructor as typeof Float32Array)(part.buffer) as TensorArray;
    const at = expected.findIndex((x, k) => !Object.is(Number(x), Number(got[k])));
    if (at >= 0) {
      const index = sampledIndices(data.length, samples, SELF_TEST_SEED)[at];
      return [{ name, difference: `element ${index} is ${got[at]}, expected ${expected[at]}` }];
    }
    if (checksum(data) === sum) return [];
    return [{ name, difference: `the checksum is ${checksum(data)}, expected ${sum}` }];
  });
}

function sample(data: TensorArray, samples: number): TensorArray {
  if (samples >= data.length) return data;
  const part = new (data.constructor as (typeof ARRAYS)['f32'])(samples) as TensorArray;
  sampledIndices(data.length, samples, SELF_TEST_SEED).forEach((index, i) => {
    (part as Float32Array)[i] = (data as Float32Array)[index] ?? 0;
  });
  return part;
}

const bytesOf = (data: TensorArray): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
