/** The sections of a report that say what stands out: composites and findings. */
import { z } from 'zod';
import { COMPOSITE_KINDS } from '#passes/analysis/composites.ts';
import { FINDING_CODES, type FindingCode } from '#passes/analysis/findings/index.ts';

const count = z.int().nonnegative();

export const byCompositeSchema = z
  .array(
    z.strictObject({
      kind: z.enum(COMPOSITE_KINDS),
      composites: count.describe('how many there are'),
      layers: count.describe('nodes that are part of one'),
      macs: count.nullable(),
      macsShare: z.number().nullable(),
      parameters: count,
    }),
  )
  .describe('what the field calls by one name though it is several layers; a layer is in one at most');

const savingSchema = z
  .strictObject({
    macs: z.number().nonnegative().describe('those that empty lanes compute count too'),
    parameters: z.number().nonnegative(),
    bytes: z.number().nonnegative().describe('of activations and weights that are read and written'),
  })
  .describe('what acting on it would save');

export const findingsSchema = z
  .array(
    z.strictObject({
      code: z
        .enum(FINDING_CODES as readonly [FindingCode, ...FindingCode[]])
        .describe('for convolith explain'),
      layers: z.array(z.string()),
      message: z.string(),
      saves: savingSchema,
      share: z.number().nonnegative().describe('the largest part that is of the MACs, parameters or traffic'),
      passes: z.array(z.string()).optional().describe('the passes by which rewrite and compile act on it'),
      command: z
        .string()
        .nullable()
        .describe('what acts on it, MODEL being the file; null where only people can'),
      places: z.array(
        z.strictObject({
          layers: z.array(z.string()),
          evidence: z.record(z.string(), z.number()),
          saves: savingSchema,
        }),
      ),
    }),
  )
  .describe('what spoils results first, then what saves most');
