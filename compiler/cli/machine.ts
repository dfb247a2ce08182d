/** What times that are taken here are filed under. */
import { cpus } from 'node:os';
import type { Machine } from '../tune/tuning.ts';

export const machineAtHand = (): Machine => ({
  engine: `V8 ${process.versions.v8}`,
  cpu: cpus()[0]?.model.trim() ?? '',
});
