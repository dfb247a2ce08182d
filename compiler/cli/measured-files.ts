/** Files of measured figures: the options --tune, --tuning and --profile. */
import { readFile } from 'node:fs/promises';
import { fail } from '#ir/diagnostics.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { systemReason } from '../files/read-file.ts';
import { parseJson } from '../tune/measured.ts';
import { PROFILE_HINT, type Profile, parseProfile, parseProfileOf } from '../tune/profile.ts';
import { formatTuning, NO_TUNING, parseTuning, TUNING_HINT, type Tuning } from '../tune/tuning.ts';

/** @throws CompileError `file-unreadable`, `usage-invalid` */
export async function readProfile(path: string): Promise<Profile> {
  return parseProfile(parseJson(await text(path), path, PROFILE_HINT), path);
}

/** @throws CompileError `file-unreadable`, `usage-invalid` also for a profile of something else */
export async function readProfileOf<K extends Profile['kind']>(
  kind: K,
  path: string,
): Promise<Extract<Profile, { readonly kind: K }>> {
  return parseProfileOf(kind, parseJson(await text(path), path, PROFILE_HINT), path);
}

/** @throws CompileError `file-unreadable`, `usage-invalid` */
export async function readTuning(path: string): Promise<Tuning> {
  return parseTuning(parseJson(await text(path), path, TUNING_HINT), path);
}

/** A file that is not there has nothing in it. @throws CompileError `file-unreadable`, `usage-invalid` */
export async function readTuningIfAny(path: string): Promise<Tuning> {
  const known = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    return fail('file-unreadable', path, systemReason(error));
  });
  return known === undefined ? NO_TUNING : parseTuning(parseJson(known, path, TUNING_HINT), path);
}

export const writeTuning = (path: string, tuning: Tuning): Promise<void> =>
  writeFileAtomic(path, formatTuning(tuning));

const text = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((error: unknown) => fail('file-unreadable', path, systemReason(error)));
