/** What tuning found, as data: the file that `compile --tune` writes. One schema gives type and validation. */
import { z } from 'zod';
import { CompileError, diagnostic, fail } from '#ir/diagnostics.ts';
import { SIMD } from '../targets/wasm/engines.ts';
import { adapterName, adapterSchema } from './adapters.ts';
import { parseMeasured } from './measured.ts';

/** Raised when a field changes its meaning or goes away. */
export const TUNING_VERSION = 1;

/** What times were taken on; they say little about others. */
export interface Machine {
  /** The JavaScript engine, with its version. */
  readonly engine: string;
  readonly cpu: string;
}

/** Widths of the panels that weights are packed in. */
export const PANEL_WIDTHS: readonly number[] = [...new Set(SIMD.tiles.map(({ channels }) => channels))];

const ms = z.number().nonnegative().describe('milliseconds');
const blockSide = z.int().min(1).max(65_535).describe('a number of tiles');

const choiceSchema = z
  .discriminatedUnion('way', [
    z.strictObject({ way: z.literal('model') }).describe('what the cost model chooses'),
    z
      .strictObject({
        way: z.literal('direct'),
        width: z.literal(PANEL_WIDTHS).describe(`one of ${PANEL_WIDTHS.join(', ')}`),
      })
      .describe('products with weights in panels of so many channels'),
    z
      .strictObject({
        way: z.literal('winograd'),
        outputs: z.literal([2, 4]).describe('2 or 4'),
        block: z.tuple([blockSide, blockSide]).describe('rows and columns of tiles, as [2, 7]'),
      })
      .describe('minimal filtering'),
  ])
  .describe('an object of which "way" is "model", "direct" or "winograd"');

const layerSchema = z
  .strictObject({
    layer: z.string().min(1).describe('op, attributes, operands and epilogue of a layer'),
    choice: choiceSchema,
    ms: ms.describe('the time of the choice, in milliseconds'),
    modelMs: ms.describe('the time of what the cost model chooses, in milliseconds'),
  })
  .describe('a layer that was measured');

const machineSchema = z
  .strictObject({
    engine: z.string().min(1).describe('the JavaScript engine, with its version'),
    cpu: z.string().describe('the model of the processor'),
    layers: z.array(layerSchema).describe('a list of layers'),
  })
  .describe('what was measured on one machine');

export const tuningSchema = z
  .strictObject({
    version: z.literal(TUNING_VERSION).describe(String(TUNING_VERSION)),
    machines: z.array(machineSchema).describe('a list of machines'),
    adapters: z.array(adapterSchema).optional().describe('a list of adapters'),
  })
  .describe('what compile --tune writes');

type DeepReadonly<T> = T extends readonly unknown[] | object
  ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
  : T;

export type Tuning = DeepReadonly<z.infer<typeof tuningSchema>>;
export type MachineTuning = Tuning['machines'][number];
export type TunedLayer = MachineTuning['layers'][number];
/** How the kernels of a layer are chosen. */
export type LayerChoice = TunedLayer['choice'];

export const NO_TUNING: Tuning = { version: TUNING_VERSION, machines: [] };

export const TUNING_HINT = 'compile --tune FILE writes such files; remove this one to measure again';

/** @throws CompileError `usage-invalid` with everything that is wrong, by its path */
export function parseTuning(value: unknown, subject = 'tuning'): Tuning {
  const tuning: Tuning = parseMeasured(tuningSchema, value, subject, TUNING_HINT);
  const twice = (list: readonly string[]) => list.filter((key, i) => list.indexOf(key) < i);
  const { machines, adapters = [] } = tuning;
  const repeated = (part: string, entries: readonly { readonly layers: readonly { layer: string }[] }[]) =>
    entries.flatMap(({ layers }, i) =>
      twice(layers.map(({ layer }) => layer)).map((layer) =>
        diagnostic('usage-invalid', `${subject}.${part}[${i}]`, `"${layer}" is in it twice`, TUNING_HINT),
      ),
    );
  const problems = [
    ...twice([...machines.map(nameOf), ...adapters.map(adapterName)]).map((name) =>
      diagnostic('usage-invalid', subject, `${name} is in it twice`, TUNING_HINT),
    ),
    ...repeated('machines', machines),
    ...repeated('adapters', adapters),
  ];
  if (problems.length > 0) throw new CompileError(problems);
  return tuning;
}

export const formatTuning = (tuning: Tuning): string => `${JSON.stringify(tuning, null, 1)}\n`;

const nameOf = ({ engine, cpu }: Machine): string => `${engine} on ${cpu}`;

const isOn = (machine: Machine) => (entry: Machine) =>
  entry.engine === machine.engine && entry.cpu === machine.cpu;

/** The layers that were measured on a machine. */
export const layersOn = ({ machines }: Tuning, machine: Machine): readonly TunedLayer[] =>
  machines.find(isOn(machine))?.layers ?? [];

/** The tuning with more layers of a machine; those that it had are replaced. */
export function withLayers(tuning: Tuning, machine: Machine, layers: readonly TunedLayer[]): Tuning {
  const byKey = new Map(layersOn(tuning, machine).map((one) => [one.layer, one]));
  for (const one of layers) byKey.set(one.layer, one);
  const { engine, cpu } = machine;
  const entry = { engine, cpu, layers: [...byKey.values()] };
  const at = tuning.machines.findIndex(isOn(machine));
  const machines = at < 0 ? [...tuning.machines, entry] : tuning.machines.with(at, entry);
  return { ...tuning, machines };
}

/**
 * Only what was measured on one machine: the given one, else the only one that there is.
 * @param onSeveral told where that leaves a choice; then there is none of a machine
 * @throws CompileError `usage-invalid` there, unless somebody is told
 */
export function tuningFor(
  tuning: Tuning,
  machine: Machine,
  subject = 'tuning',
  onSeveral?: (message: string) => void,
): Tuning {
  const own = tuning.machines.find(isOn(machine));
  if (own) return { ...tuning, machines: [own] };
  if (tuning.machines.length > 1) {
    const names = tuning.machines.map(nameOf).join('; ');
    const message = `it has times of ${tuning.machines.length} machines, and none of ${nameOf(machine)}: ${names}`;
    if (!onSeveral)
      fail('usage-invalid', subject, message, 'measure here with --tune, or keep one machine in the file');
    onSeveral(message);
    return { ...tuning, machines: [] };
  }
  return tuning;
}

/** The tuning, if it fits its schema and is of one machine. @throws CompileError `usage-invalid` */
export function oneMachine(value: unknown): Tuning {
  const tuning = parseTuning(value);
  const { length } = tuning.machines;
  return length < 2
    ? tuning
    : fail(
        'usage-invalid',
        'tuning',
        `it has times of ${length} machines`,
        'take those of one with tuningFor',
      );
}

/** @throws CompileError: sizes that share weights cannot each have what suits it */
export function refuseSeveralSizes(): never {
  return fail(
    'usage-invalid',
    'tuning',
    'a bundle of several sizes shares its weights among them, and is not tuned',
    'compile one size, or leave the tuning out',
  );
}
