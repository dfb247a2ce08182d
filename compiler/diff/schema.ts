/** What `diff` returns and `--format json` prints. One schema gives type and validation. */
import { z } from 'zod';
import { DIFF_VERSION } from '../version.ts';

const amount = z.number().nullable().describe('null where it depends on a size that was not given');

const changeSchema = z.strictObject({ a: amount, b: amount });

const sideSchema = z.strictObject({
  name: z.string(),
  shown: z.string().describe('by its module, where that is enough'),
  label: z.string(),
  outputShape: z.array(z.int().nonnegative()),
  macs: amount,
  parameters: amount,
  receptiveField: z.string().describe('as the table writes it'),
});

export const diffSchema = z.strictObject({
  version: z.literal(DIFF_VERSION),
  a: z.string(),
  b: z.string(),
  totals: z.record(z.string(), changeSchema),
  unchanged: z.int().nonnegative().describe('layers that are the same in both, names aside'),
  layers: z
    .array(
      z.strictObject({
        change: z.enum(['changed', 'renamed', 'added', 'removed']),
        a: sideSchema.optional(),
        b: sideSchema.optional(),
      }),
    )
    .describe('in the order of the second model; what is the same in both is left out'),
});

export type DiffReport = z.infer<typeof diffSchema>;
export type DiffLayer = DiffReport['layers'][number];
