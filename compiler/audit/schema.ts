/** The audit report as data: what `audit` returns and `--format json` prints. One schema gives type and validation. */

import { z } from 'zod';
import { PRESET_NAMES } from '#passes/analysis/presets/names.ts';
import { GPU_PRECISIONS } from '../targets/webgpu/words.ts';
import { AUDIT_VERSION } from '../version.ts';
import { BUDGET_NAMES } from './budget-quantities.ts';
import { byCompositeSchema, findingsSchema } from './finding-schema.ts';

const count = z.int().nonnegative();
/** Null where it depends on a dimension that was not given. */
const sized = count.nullable();

const fieldSchema = z
  .strictObject({
    size: z.number().nonnegative().describe('input positions that one output position sees'),
    stride: z
      .number()
      .nonnegative()
      .describe('input positions between neighbouring outputs; may be a fraction'),
    padding: z
      .number()
      .nullable()
      .describe(
        'the field of output 0 starts at −padding; null where that depends on a size that was not given',
      ),
    period: z.int().positive().describe('outputs after which the pattern repeats; 1 but for upsampling'),
  })
  .describe('the tightest affine interval that holds the field of every output position');

const axisFieldSchema = z
  .union([fieldSchema, z.enum(['global', 'unknown'])])
  .describe('"unknown" depends on a size that was not given');

const positions = z.number().nonnegative();

const tensorSchema = z.strictObject({ name: z.string(), dtype: z.string(), shape: z.array(count) });

const layerSchema = z.strictObject({
  name: z.string(),
  op: z.string(),
  kind: z.string().describe('the kind of convolution, else the op'),
  label: z.string().describe('for people: kind, kernel, stride, dilation, groups'),
  composite: z.string().nullable().describe('which composite it is part of: inverted-residual-3'),
  module: z.string().describe('the path of modules that the exporter wrote; empty if none'),
  macs: sized,
  macsShare: z.number().min(0).max(1).nullable().describe('part of the total MACs'),
  counted: sized.describe('what the preset counts'),
  flops: sized,
  otherOps: sized,
  parameters: count.describe('of constants that no earlier layer uses: the column adds up to the total'),
  sharedParameters: count.describe('of constants that an earlier layer uses too'),
  buffers: count,
  parameterBytes: count,
  bytesRead: sized,
  bytesWritten: sized,
  intensity: z.number().nonnegative().nullable(),
  liveBytes: sized.describe('bytes of activations alive while it runs'),
  inputs: z.array(z.string()).describe('names of the activations it reads'),
  outputs: z.array(tensorSchema),
  outputShape: z.array(count),
  receptiveField: z
    .union([z.array(axisFieldSchema), z.literal('global')])
    .nullable()
    .describe('per spatial axis of the input; "global": all of it; null: nothing of a spatial input'),
  localReceptiveField: z
    .array(axisFieldSchema)
    .optional()
    .describe('where paths see everything (squeeze-excite): the field without them'),
  pathSizes: z
    .array(z.union([z.strictObject({ shortest: positions, longest: positions }), z.literal('global')]))
    .optional()
    .describe('per axis, the least and the most that a single path sees, without those that see everything'),
  globalBy: z.string().optional().describe('the first layer on the way that sees all of an axis'),
});

const totalsSchema = z.strictObject({
  macs: sized.describe('at batch 1, unless the batch was given'),
  macsExpr: z.string().nullable().describe('the MACs as a polynomial in the open dimensions'),
  macsTerms: z
    .array(
      z.strictObject({
        coefficient: z.number(),
        powers: z.record(z.string(), z.int().positive()).describe('by open dimension'),
      }),
    )
    .optional()
    .describe('the terms of the polynomial; `macsExpr` is exact'),
  macsExprOnly: z.string().optional().describe('the sizes for which the polynomial holds, where not for all'),
  macsReason: z.string().optional().describe('why there is no number'),
  macsExprReason: z.string().optional().describe('why there is no polynomial'),
  counted: sized.describe('what the preset counts'),
  presets: z.record(z.enum(PRESET_NAMES), sized).describe('what each preset counts, in its unit'),
  flops: sized,
  otherOps: sized,
  parameters: count,
  trainingParameters: count
    .nullable()
    .describe('where the file shows what batch norm has: scale and shift count, running statistics do not'),
  trainingParametersReason: z.string().optional().describe('why there is no number'),
  buffers: count,
  parameterBytes: count,
  bytesRead: sized,
  bytesWritten: sized,
  intensity: z.number().nonnegative().nullable(),
  peakActivationBytes: sized.describe('an arena that holds every activation, by a real plan; no weights'),
  peakLayer: z.string().nullable().describe('the layer that runs when most is alive'),
});

const memorySchema = z
  .strictObject({
    planBytes: count.describe('of an arena in which every activation has its place'),
    lowerBoundBytes: count.describe('the largest sum of bytes alive at once: no plan is smaller'),
    peakLayer: z.string().nullable(),
    inPlaceSavedBytes: count.describe('what elementwise results save that take over an operand'),
    concatSlicesSavedBytes: count.describe(
      'what would be saved if operands of a Concat were written where they stand in its result',
    ),
  })
  .describe('activations of the graph as it is');

const exampleSchema = z
  .strictObject({
    totals: totalsSchema.pick({
      macs: true,
      counted: true,
      presets: true,
      flops: true,
      otherOps: true,
      bytesRead: true,
      bytesWritten: true,
      intensity: true,
      peakActivationBytes: true,
      peakLayer: true,
    }),
    layers: z
      .array(
        layerSchema.pick({
          macs: true,
          macsShare: true,
          counted: true,
          flops: true,
          otherOps: true,
          bytesRead: true,
          bytesWritten: true,
          intensity: true,
          liveBytes: true,
        }),
      )
      .describe('in the order of the layers of the report'),
    byComposite: byCompositeSchema,
    memory: memorySchema,
  })
  .describe('what depends on sizes that were not given, at the example sizes among `dims`');

const gpuFootprintSchema = z
  .union([
    z.strictObject({
      precision: z.enum(GPU_PRECISIONS),
      missing: z.string().describe('why it does not run there'),
    }),
    z.strictObject({
      precision: z.enum(GPU_PRECISIONS),
      dispatches: count.describe('of one run'),
      activationBytes: count.describe(
        'the buffer of all that is computed, of words of 4 bytes; in half precision of inputs, outputs and integers',
      ),
      halvesBytes: count.describe(
        'the buffer of floats in half precision, on a device with shader-f16; else twice',
      ),
      constantBytes: count.describe('all buffers of constants, which are weights.webgpu.bin'),
      constantBuffers: count,
      split: z
        .strictObject({ parts: count, copies: count, bytes: count })
        .optional()
        .describe(
          'of a network that is cut, as some layers run on WebAssembly: all its parts, and what a run copies between them; the sizes are of the parts on the GPU together',
        ),
      code: z
        .strictObject({
          scriptBytes: count.describe('webgpu.js without the digest of the self-test'),
          wgslBytes: count.describe('kernels.wgsl'),
          kernels: count.describe('distinct entry points'),
        })
        .optional(),
    }),
  ])
  .describe('by what floats between the layers are kept in');

const footprintSchema = z
  .strictObject({
    activationBytes: count.describe('the arena of the compiled program: activations and scratch'),
    activationLowerBoundBytes: count.describe('the largest sum of bytes alive at once'),
    peakLayer: z.string().nullable(),
    weightBytes: count.describe('packed, as they lie in memory'),
    memoryBytes: count.describe('the WebAssembly memory'),
    timeline: z
      .array(z.strictObject({ layer: z.string(), bytes: count }))
      .describe('bytes alive while each kernel call runs, in order'),
    code: z
      .strictObject({
        wasmBytes: count.describe('model.wasm'),
        loaderBytes: count.describe('index.js without the names and hashes of this network'),
        kernels: count.describe('distinct kernel functions'),
      })
      .optional(),
    webgpu: z.array(gpuFootprintSchema).optional().describe('what --target wasm,webgpu adds'),
  })
  .describe('the program that compile makes, after its passes');

const us = z.number().nonnegative().describe('microseconds');

const rooflineSchema = z
  .strictObject({
    device: z.string(),
    source: z.string().describe('whether it was measured, or where its figures are from'),
    roof: z
      .strictObject({
        gflops: z.number().positive().describe('10⁹ floating-point operations per second, at most'),
        gigabytesPerSecond: z.number().positive().describe('10⁹ bytes per second of main memory'),
      })
      .describe('what no layer does more of that is read from main memory'),
    totalUs: us,
    layers: z.array(
      z.strictObject({
        layer: z
          .string()
          .describe('of the network after the passes of compile: others are part of one of these'),
        us: us.describe('predicted, in microseconds'),
        computeUs: us.describe('arithmetic alone'),
        memoryUs: us.describe('what memory adds, or, by a data sheet, takes alone'),
        bound: z.enum(['compute', 'memory', 'calls']),
        gflops: z.number().nonnegative().describe('2·MACs by the predicted time'),
        intensity: z
          .number()
          .nonnegative()
          .nullable()
          .describe('FLOP per byte of activations and weights, after the passes'),
      }),
    ),
    elsewhere: z
      .array(z.string())
      .optional()
      .describe(
        'layers without a kernel on a GPU, which run on WebAssembly: totalUs has neither them nor the copies between',
      ),
  })
  .describe('predicted times of one run');

const sumsSchema = z.strictObject({
  layers: count,
  macs: sized,
  macsShare: z.number().nullable(),
  parameters: count,
});

export const auditSchema = z.strictObject({
  version: z.literal(AUDIT_VERSION),
  model: z.string(),
  conventions: z.record(z.string(), z.string()),
  preset: z
    .strictObject({
      name: z.enum(PRESET_NAMES),
      unit: z.enum(['MAC', 'FLOP', 'multiplication']),
      says: z.string().describe('what it counts'),
    })
    .describe('how `counted` counts'),
  inputs: z.array(tensorSchema.extend({ symbols: z.array(z.string().nullable()) })),
  outputs: z.array(tensorSchema.extend({ value: z.string().describe('the name of the activation') })),
  dims: z.array(
    z.strictObject({
      symbol: z.string(),
      size: count,
      source: z
        .enum(['given', 'batch', 'example'])
        .describe(
          'batch: taken as 1; example: not given, and only shapes, receptive fields and `example` use this size',
        ),
    }),
  ),
  totals: totalsSchema,
  byKind: z.array(sumsSchema.extend({ kind: z.string() })).describe('of convolutions; else the op'),
  byOp: z.array(sumsSchema.extend({ op: z.string() })),
  byModule: z
    .array(sumsSchema.extend({ module: z.string() }))
    .describe('as the exporter named them, each with those inside it, in the order of the network'),
  byComposite: byCompositeSchema,
  layers: z.array(layerSchema),
  findings: findingsSchema,
  moreFindings: count.describe('findings that are not listed'),
  memory: memorySchema.nullable().describe('null where sizes are missing'),
  example: exampleSchema.optional().describe('where sizes are missing'),
  footprint: footprintSchema.optional().describe('where it was asked for'),
  roofline: rooflineSchema.optional().describe('where a device was given'),
  budget: z
    .array(
      z.strictObject({
        text: z.string().describe('as it was given'),
        quantity: z.enum(BUDGET_NAMES),
        actual: z.number().nullable(),
        limit: z.number().nullable(),
        met: z.boolean(),
        reason: z.string().optional().describe('why a number is not known'),
      }),
    )
    .optional()
    .describe('limits on totals, where there were any'),
  misaligned: z
    .array(
      z.strictObject({
        layer: z.string(),
        axis: count,
        from: z.string().nullable().describe('the activation at which the paths part, if there is one'),
        paths: z.array(
          z.strictObject({
            via: z.string().describe('the activation by which it arrives'),
            layers: z
              .array(z.string())
              .describe('from where the paths part; of many, the first and the last'),
            hiddenLayers: count.describe('layers between those named'),
            field: fieldSchema,
            centre: z.number(),
          }),
        ),
      }),
    )
    .describe('layers where paths meet whose fields have other strides or centres'),
  diagnostics: z.array(
    z.strictObject({
      code: z.string(),
      kind: z.string(),
      subject: z.string(),
      message: z.string(),
      hint: z.string().optional(),
    }),
  ),
});

export type AuditReport = z.infer<typeof auditSchema>;
export type AuditLayer = AuditReport['layers'][number];
export type AuditField = z.infer<typeof axisFieldSchema>;
export type AuditExample = NonNullable<AuditReport['example']>;
export type AuditMemory = NonNullable<AuditReport['memory']>;
export type AuditFootprint = NonNullable<AuditReport['footprint']>;
export type AuditRoofline = NonNullable<AuditReport['roofline']>;
