/** What a rewrite did, as data: what `rewrite --format json` prints. */
import { z } from 'zod';
import { FACTORIZATIONS } from '#passes/factorize/family.ts';
import { REWRITE_VERSION } from '../version.ts';
import { QUANTITIES } from './quantities.ts';

const count = z.int().nonnegative();
const part = z.number().nonnegative();

const totalsSchema = z.strictObject({
  nodes: count,
  macs: count,
  parameters: count,
  parameterBytes: count,
  movedBytes: count.describe('activations and weights, read and written'),
  peakActivationBytes: count,
  us: part.nullable().describe('predicted microseconds; null without a device'),
});

const costSchema = z.strictObject({
  macs: count,
  parameters: count,
  bytes: count.describe('activations and weights, read and written'),
  us: part.nullable().describe('predicted microseconds of the layer alone; null without a device'),
});

const pointSchema = z.strictObject({
  macs: count,
  parameters: count,
  bytes: count,
  us: part.nullable(),
  error: part,
});

export const rewriteSchema = z.strictObject({
  version: z.literal(REWRITE_VERSION),
  model: z.string(),
  before: totalsSchema,
  after: totalsSchema,
  device: z.string().nullable().describe('for which times are predicted'),
  passes: z
    .array(
      z.strictObject({
        pass: z.string(),
        changes: count,
        nodes: z.int().describe('nodes less than before; below 0 for more'),
        macs: z.int().describe('MACs less than before'),
        otherOps: z.int().describe('other operations less than before'),
      }),
    )
    .describe('exact ones that changed something, in order'),
  applications: z
    .array(z.strictObject({ rule: z.string(), node: z.string() }))
    .describe('where exact rules were applied, in order; nodes by the names that they had'),
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
            weightError: part.describe('of weights, before any fit to data'),
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
  curve: z
    .strictObject({
      quantity: z.enum(QUANTITIES),
      points: z.array(pointSchema).describe('the least error at each cost'),
      chosen: pointSchema,
    })
    .optional()
    .describe(
      'what the whole network can reach: errors of layers together, as they were when forms were chosen',
    ),
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
