/** What a rewrite did, as data: what `rewrite --format json` prints. */
import { z } from 'zod';
import { FACTORIZATIONS } from '#passes/factorize/family.ts';

/** Raised when a field changes its meaning or goes away. */
export const REWRITE_VERSION = 1;

const count = z.int().nonnegative();
const part = z.number().nonnegative();

const totalsSchema = z.strictObject({
  nodes: count,
  macs: count,
  parameters: count,
  parameterBytes: count,
  movedBytes: count.describe('activations and weights, read and written'),
  peakActivationBytes: count,
});

const costSchema = z.strictObject({
  macs: count,
  parameters: count,
  moved: count.describe('elements of activations read and written'),
});

export const rewriteSchema = z.strictObject({
  version: z.literal(REWRITE_VERSION),
  model: z.string(),
  before: totalsSchema,
  after: totalsSchema,
  passes: z
    .array(
      z.strictObject({
        pass: z.string(),
        changes: count,
        nodes: z.int().describe('nodes less than before; below 0 for more'),
        macs: z.int().describe('MACs less than before'),
      }),
    )
    .describe('exact ones that changed something, in order'),
  refusals: z
    .array(z.strictObject({ rule: z.string(), node: z.string(), reason: z.string() }))
    .describe('where an exact rule matched and did not hold'),
  layers: z
    .array(
      z.strictObject({
        layer: z.string(),
        before: costSchema,
        form: z
          .strictObject({
            method: z.enum(FACTORIZATIONS),
            rank: z.string(),
            after: costSchema,
            chosenError: part.describe('when it was chosen'),
            error: part.describe('after its last factor was fitted, behind layers rewritten before'),
          })
          .optional()
          .describe(
            'errors are mean squares, as parts of the variance of the outputs, or of the weights without data',
          ),
        refusals: z.array(z.strictObject({ method: z.enum(FACTORIZATIONS).nullable(), reason: z.string() })),
      }),
    )
    .optional()
    .describe('convolutions, where they were to be factorised'),
  calibration: z.strictObject({ samples: count }).optional(),
  verification: z.strictObject({
    samples: count,
    noise: z.boolean().describe('are the samples noise, as no data was given?'),
    outputs: z.array(
      z.strictObject({
        output: z.string(),
        largest: part.describe('difference, as part of the largest magnitude of the output'),
        mean: part,
        sameTop: part.nullable().describe('how often the best class is the same; null for other outputs'),
      }),
    ),
    bound: part.nullable().describe('what an exact rewrite may differ by; null where it is not exact'),
  }),
});

export type RewriteReport = z.infer<typeof rewriteSchema>;
