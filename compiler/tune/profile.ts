/** What calibration measures, as data: the file that `calibrate` writes, and what the cost model takes from it. */
import { z } from 'zod';
import { fail } from '#ir/diagnostics.ts';
import type { EngineName } from '#runtime/engines.ts';
import { BUILT_IN_COSTS, type CostProfile } from '../targets/wasm/costs.ts';
import type { Engine } from '../targets/wasm/engines.ts';
import { parseMeasured } from './measured.ts';

/** Raised when a field changes its meaning or goes away. */
export const PROFILE_VERSION = 3;

const rate = z.number().positive().describe('10⁹ floating-point operations per second');
const macs = z.number().nonnegative().describe('multiply-adds at the peak of baseline SIMD');
const small = z.int().min(1).max(64).describe('a whole number from 1 to 64');

const engineSchema = z
  .strictObject({
    peakGflops: rate,
    tiles: z
      .array(z.strictObject({ pixels: small, channels: small, gflops: rate }))
      .min(1)
      .describe('what each register tile of products reaches, over long rows in near caches'),
    windows: z
      .array(z.strictObject({ kernel: small, stride: small, gflops: rate }))
      .describe('what depthwise convolutions reach'),
  })
  .describe('rates of one engine');

const ns = z.number().positive().describe('nanoseconds');

const elementsSchema = z
  .strictObject({
    moved: ns.describe('to read an element and write one, with one operation'),
    operation: ns.describe('a further simple operation'),
    exp: ns,
    log: ns,
    tanh: ns,
    erf: ns,
    logistic: ns.describe('1 / (1 + e⁻ˣ)'),
    pooled: ns.describe('to look at one element of a window of a pooling'),
    transposed: ns.describe('to move an element to another order of axes'),
  })
  .describe('times of one element in near caches; of functions, beside reading and writing');

const transformSchema = z
  .strictObject({ inputMacs: macs, outputMacs: macs })
  .describe('time to transform one vector of one tile of inputs, and of products');

const bandwidthSchema = z
  .array(
    z.strictObject({
      bytes: z.int().positive().describe('bytes'),
      gigabytesPerSecond: z.number().positive().describe('10⁹ bytes per second'),
    }),
  )
  .describe('reading memory again and again, by its size');

const version = z.literal(PROFILE_VERSION).describe(String(PROFILE_VERSION));

const machineSchema = z
  .strictObject({
    version,
    kind: z.literal('wasm'),
    engine: z.string().min(1).describe('the JavaScript engine, with its version'),
    cpu: z.string().describe('the model of the processor'),
    engines: z
      .strictObject({ simd: engineSchema, relaxed: engineSchema.optional() })
      .describe('rates by the instructions that kernels have; relaxed where it is supported'),
    elements: elementsSchema,
    winograd: z
      .strictObject({ 2: transformSchema, 4: transformSchema })
      .describe('transforms of F(2×2) and F(4×4)'),
    weightByteMacs: macs.describe(
      'time to read one byte of weights that the second-level cache does not hold, in multiply-adds',
    ),
    streamedByteNs: z
      .strictObject({ oneRow: z.number().nonnegative(), fourRows: z.number().nonnegative() })
      .describe('what a product waits for one byte of weights in main memory, in nanoseconds, by its rows'),
    bandwidth: bandwidthSchema,
    callNs: z.number().nonnegative().describe('time of a call of the smallest kernel, in nanoseconds'),
  })
  .describe('what convolith calibrate writes');

const gpuSchema = z
  .strictObject({
    version,
    kind: z.literal('webgpu'),
    adapter: z.string().min(1).describe('the name of the adapter'),
    software: z.boolean().describe('whether it computes on the processor'),
    peakGflops: rate,
    bandwidth: bandwidthSchema.min(1),
    dispatchNs: z
      .number()
      .nonnegative()
      .describe('time of a dispatch of the smallest kernel, in nanoseconds'),
  })
  .describe('what convolith calibrate --backend webgpu writes');

export const profileSchema = z
  .discriminatedUnion('kind', [machineSchema, gpuSchema])
  .describe('what convolith calibrate writes: an object of which "kind" is "wasm" or "webgpu"');

/** Of WebAssembly on a processor. */
export type MachineProfile = z.infer<typeof machineSchema>;
/** Of WebGPU on an adapter. */
export type GpuProfile = z.infer<typeof gpuSchema>;
export type Profile = z.infer<typeof profileSchema>;
export type EngineProfile = MachineProfile['engines']['simd'];

/** @throws CompileError `usage-invalid` with everything that is wrong, by its path */
export const parseProfile = (value: unknown, subject = 'profile'): Profile =>
  parseMeasured(profileSchema, value, subject, PROFILE_HINT);

/** @throws CompileError `usage-invalid` also for a profile of something else */
export function parseProfileOf<K extends Profile['kind']>(
  kind: K,
  value: unknown,
  subject = 'profile',
): Extract<Profile, { readonly kind: K }> {
  const profile = parseProfile(value, subject);
  if (isOfKind(profile, kind)) return profile;
  const hint = `convolith calibrate --backend ${kind} -o FILE writes one of it`;
  return fail(
    'usage-invalid',
    subject,
    `this is a profile of ${profile.kind}; one of ${kind} is needed`,
    hint,
  );
}

const isOfKind = <K extends Profile['kind']>(
  profile: Profile,
  kind: K,
): profile is Extract<Profile, { readonly kind: K }> => profile.kind === kind;

/** What it was measured on. */
export const profileTitle = (profile: Profile): string => {
  if (profile.kind === 'wasm') return `${profile.engine} on ${profile.cpu}`;
  return profile.software ? `${profile.adapter} (software)` : profile.adapter;
};

export const PROFILE_HINT = 'convolith calibrate -o FILE writes such files';

export const formatProfile = (profile: Profile): string => `${JSON.stringify(profile, null, 1)}\n`;

/** What the cost model reads of a profile; what it lacks is as built in. Without a profile, all of it. */
export function costsOf(profile: MachineProfile | undefined): CostProfile {
  if (!profile) return BUILT_IN_COSTS;
  const { engines, winograd, weightByteMacs } = profile;
  const engine = (name: EngineName): Engine => {
    const builtIn = BUILT_IN_COSTS.engines[name];
    const measured = engines[name];
    return measured ? withEfficiencies(builtIn, measured) : builtIn;
  };
  return {
    engines: { simd: engine('simd'), relaxed: engine('relaxed') },
    winograd: {
      input: { 2: winograd[2].inputMacs, 4: winograd[4].inputMacs },
      output: { 2: winograd[2].outputMacs, 4: winograd[4].outputMacs },
      weightByte: weightByteMacs,
    },
  };
}

/** The peak that efficiencies are parts of: what a tile reaches has been reached. */
export const peakOf = ({ peakGflops, tiles }: EngineProfile): number =>
  Math.max(peakGflops, ...tiles.map(({ gflops }) => gflops));

function withEfficiencies(engine: Engine, measured: EngineProfile): Engine {
  const peak = peakOf(measured);
  return {
    ...engine,
    tiles: engine.tiles.map((tile) => {
      const own = measured.tiles.find((t) => t.pixels === tile.pixels && t.channels === tile.channels);
      return own ? { ...tile, efficiency: own.gflops / peak } : tile;
    }),
  };
}
