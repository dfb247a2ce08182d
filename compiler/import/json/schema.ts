/**
 * The JSON network description around the kinds of layers: what a network is checked with, and the published JSON Schema.
 */
import { z } from 'zod';
import { ACTIVATIONS, EXPRESSION, kindNames, kinds, MOST_SIZE, writtenKinds } from './kinds.ts';

/** Iterations of one `repeat`. */
const MOST_REPEATS = 10_000;

const text = (what: string, example: string) =>
  z
    .string()
    .min(1)
    .max(200)
    .meta({ description: what, examples: [example] });

/** Layers that join several values: names of layers, or layers of their own that start from the value before. */
export const JOINS = ['add', 'mul', 'concat'] as const;
export type JoinName = (typeof JOINS)[number];
export const isJoin = (name: string): name is JoinName => (JOINS as readonly string[]).includes(name);

/** Keys beside the kind. */
export const COMMON = {
  name: z
    .string()
    .regex(/^[^/$\s]{1,200}$/)
    .meta({ description: 'a name without spaces, "/" and "$"', examples: ['stem'] })
    .optional(),
  from: text('the name of a layer', 'conv1').optional(),
};

const dimension = z
  .union([z.int().min(1).max(MOST_SIZE), z.string().regex(/^[A-Za-z_]\w*$/)])
  .meta({ description: 'a size of at least 1, or the name of an open dimension', examples: [224, 'height'] });
const shape = z
  .array(dimension)
  .min(1)
  .max(4)
  .meta({ description: 'a list of 1 to 4 sizes, the channels first', examples: [[3, 224, 224]] });
const input = z.strictObject({ name: text('a name', 'image').optional(), shape }).meta({
  description: 'an object with name and shape',
  examples: [{ name: 'image', shape: [3, 224, 224] }],
});
const word = z.string().regex(/^[A-Za-z_]\w*$/);

const LAYERS = { description: 'a list of layers', examples: [[{ conv: 64 }, 'relu']] };
/** Layers as they are found, each of which is looked at by itself. */
export const LAYER_LIST = z.array(z.unknown()).meta(LAYERS);

/** The whole description, given what a layer is. */
export const networkFields = (layers: z.ZodType) => ({
  $schema: text('the path of the schema', 'schema/network.schema.json').optional(),
  name: text('a name', 'network').optional(),
  description: z.string().meta({ description: 'text for people' }).optional(),
  input: z
    .union([shape, input])
    .meta({ description: 'a shape, or an object with name and shape', examples: [[3, 224, 224]] })
    .optional(),
  inputs: z
    .array(input)
    .min(1)
    .meta({
      description: 'a list of objects with name and shape',
      examples: [[{ name: 'image', shape: [3, 224, 224] }]],
    })
    .optional(),
  batch: dimension
    .meta({ description: 'a size of at least 1, or the name of an open dimension', examples: [1, 'batch'] })
    .optional(),
  blocks: z
    .record(
      word,
      z
        .strictObject({
          parameters: z
            .record(word, z.unknown())
            .meta({ description: 'parameters and their defaults, by name', examples: [{ width: 64 }] })
            .optional(),
          layers: layers.meta(LAYERS),
        })
        .meta({
          description: 'an object with parameters and layers',
          examples: [{ parameters: { width: null }, layers: [{ conv: '$width' }] }],
        }),
    )
    .meta({
      description: 'blocks, by name; a name is a word of letters, digits and "_"',
      examples: [{ unit: { layers: ['relu'] } }],
    })
    .optional(),
  layers: layers.meta(LAYERS),
  outputs: z
    .array(z.string())
    .min(1)
    .meta({ description: 'a list of names of layers', examples: [['conv1']] })
    .optional(),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .meta({ description: 'a whole number from 0 to 4294967295', examples: [1] })
    .optional(),
  weights: text('the name of a safetensors file', 'network.safetensors').optional(),
});

export const REPEAT = {
  repeat: z
    .union([z.int().min(1).max(MOST_REPEATS), EXPRESSION])
    .meta({ description: `a whole number from 1 to ${MOST_REPEATS}`, examples: [3] }),
};
export const USE = {
  use: text('the name of a block', 'unit'),
  with: z
    .record(z.string(), z.unknown())
    .meta({ description: 'values for parameters, by name', examples: [{ width: 64 }] })
    .optional(),
};

/** A layer in full, for the published schema. */
export const layerSchema: z.ZodType = z
  .lazy(() => {
    const list = z.array(layerSchema);
    const bare = [...ACTIVATIONS, ...kindNames().filter((name) => kinds()[name].bare)];
    const layers = kindNames().map((name) => {
      const { about, options, short } = writtenKinds()[name];
      const value = short ? z.union([short[1], options]) : options;
      return z.strictObject({ [name]: value, ...COMMON }).meta({ description: about });
    });
    const joins = JOINS.map((name) =>
      z.strictObject({
        [name]: z.union([z.string(), z.array(z.union([z.string(), list])).min(1)]),
        ...COMMON,
      }),
    );
    return z.union([
      z.enum(bare as [string, ...string[]]),
      ...layers,
      ...joins,
      z.strictObject({ ...REPEAT, layers: list, name: COMMON.name }),
      z.strictObject({ ...USE, ...COMMON }),
    ]);
  })
  .meta({ id: 'layer' });

/** The schema of a network description. */
export const networkSchema = z
  .strictObject(networkFields(z.array(layerSchema)))
  .meta({ title: 'A network for convolith', description: 'See docs/json.md.' });

/** As JSON Schema (draft 2020-12), for editors. */
export const networkJsonSchema = (): unknown => z.toJSONSchema(networkSchema, { io: 'input', reused: 'ref' });
