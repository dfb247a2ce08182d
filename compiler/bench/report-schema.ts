/** The benchmark's report as data: what `bench` returns and `--format json` prints. One schema gives type and validation. */
import { z } from 'zod';
import { GPU_PRECISIONS } from '../targets/webgpu/words.ts';
import { BENCH_VERSION } from '../version.ts';

const count = z.int().nonnegative();
const positive = z.number().nonnegative();

const spreadSchema = z
  .strictObject({ median: positive, low: positive, high: positive })
  .describe('low and high are the 10th and the 90th percentile');

const sideSchema = z.strictObject({
  name: z.string(),
  version: z.string(),
  loadMs: positive.describe('from files in memory or on disk to a model that runs, with no code cached'),
  firstRunMs: positive.describe('the first run after loading, without warm-up'),
  settled: z.boolean().describe('whether the times of runs settled within the time limit'),
  runMs: spreadSchema.describe('one run once they have: inputs copied in, outputs copied out'),
});

const layerSchema = z.strictObject({
  name: z.string(),
  op: z.string().describe('empty for copies of outputs, which belong to no node'),
  kind: z.string().describe('of convolutions: depthwise, pointwise, grouped, standard …; else the op'),
  shape: z.array(count).describe('of the first output'),
  kernels: z.array(z.string()),
  ms: spreadSchema,
  share: positive.describe('of the sum of all medians'),
  macs: count,
  doneMacs: count.describe(
    'multiply-accumulates that the kernels do: fewer than macs with minimal filtering (Winograd)',
  ),
  gflops: positive.nullable().describe('2·macs / median time, in 10⁹ per second; null without MACs'),
  doneGflops: positive.nullable().describe('likewise, of doneMacs'),
  ofPeak: positive.nullable().describe('doneGflops / peak, each by the probe right before; median'),
  predictedMs: positive
    .optional()
    .describe(
      'by the profile that was given, on a device without what the host takes for a dispatch; absent for copies of outputs',
    ),
  dispatches: z
    .array(z.strictObject({ kernel: z.string(), ms: positive.describe('median') }))
    .optional()
    .describe('on a device, in order; ms is the sum of them'),
});

const gpuSchema = z
  .strictObject({
    adapter: z.string(),
    software: z.boolean().describe('whether it computes on the processor'),
    precision: z.enum(GPU_PRECISIONS).describe('what floats between the layers are kept in'),
    dispatches: count.describe('of one run'),
  })
  .describe('what the network runs on');

export const benchSchema = z.strictObject({
  version: z.literal(BENCH_VERSION),
  name: z.string(),
  backend: z.enum(['wasm', 'webgpu']),
  gpu: gpuSchema.optional().describe('of the backend webgpu'),
  macs: count.describe('of all layers'),
  inputs: z.array(z.strictObject({ name: z.string(), dtype: z.string(), shape: z.array(count) })),
  rounds: z.int().positive(),
  ours: sideSchema.extend({
    predictedMs: positive
      .optional()
      .describe(
        'a run on a device, by the profile that was given, with what the host takes for its dispatches',
      ),
  }),
  other: sideSchema
    .extend({
      ratio: spreadSchema.describe('its time / ours, round by round'),
      deviation: positive.describe(
        'largest difference of its outputs from ours, relative to the largest magnitude',
      ),
    })
    .nullable()
    .describe('what ours is compared with; null where there is none'),
  otherMissing: z.string().nullable().describe('why there is none'),
  peakGflops: spreadSchema
    .nullable()
    .describe(
      'multiplications and additions of the probe, in 10⁹ per second; null where layers are not timed',
    ),
  layers: z.array(layerSchema).describe('in the order of a run; nodes without code are left out'),
  layersMissing: z
    .string()
    .nullable()
    .describe('why no layer is timed: a device without timestamp-query, or with a clock that is too coarse'),
  layersTotal: z
    .strictObject({
      settled: z.boolean(),
      passes: z.int().positive().describe('how often the layers were timed'),
      predictedMs: positive.optional().describe('by the profile that was given'),
      ms: spreadSchema.describe('all layers, one after the other'),
      macs: count,
      doneMacs: count,
      gflops: positive.nullable(),
      doneGflops: positive.nullable(),
      ofPeak: positive.nullable(),
    })
    .nullable()
    .describe('null where layers are not timed'),
});

export type BenchReport = z.infer<typeof benchSchema>;
export type BenchLayer = BenchReport['layers'][number];
export type BenchSide = z.infer<typeof sideSchema>;
export type BenchGpu = z.infer<typeof gpuSchema>;
