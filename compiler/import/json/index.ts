/** JSON network description → IR. */
import { z } from 'zod';
import { Builder } from '#ir/builder.ts';
import { diagnostic, fail } from '#ir/diagnostics.ts';
import type { Value } from '#ir/graph.ts';
import { didYouMean } from '../../suggest.ts';
import { parseSafetensors } from '../../weights/safetensors.ts';
import { bindInputs, type DimensionOptions } from '../onnx/dimensions.ts';
import type { ImportedModel, ImportOptions } from '../onnx/index.ts';
import { type BlockDefinition, Expansion } from './expand.ts';
import { whereJsonEnds } from './locate.ts';
import { at, Problems } from './problems.ts';
import { networkFields } from './schema.ts';
import { type WeightSource, Weights } from './weights.ts';

export { networkJsonSchema, networkSchema } from './schema.ts';

export interface JsonImportOptions extends ImportOptions {
  /** The bytes of a safetensors file; else the description says where weights are, else they are made from its seed. */
  readonly weights?: Uint8Array;
}

/** Is this the text of a description, and no ONNX file? */
export const looksLikeJson = (bytes: Uint8Array): boolean =>
  /^\uFEFF?\s*\{\s*["}]/.test(new TextDecoder().decode(bytes.subarray(0, 256)));

const shallow = z.strictObject(networkFields(z.array(z.unknown())));
type Description = z.infer<typeof shallow> & { readonly layers: readonly unknown[] };

/** Objects and lists within each other. */
const DEEPEST = 100;

/**
 * Reads a network description: its text, or what JSON.parse makes of it. Weights are made when they are read.
 * Sizes that are given in `shapes` replace those of the description.
 * @throws CompileError with every problem found; nothing else, whatever the description
 */
export function importJson(network: string | object, options: JsonImportOptions = {}): ImportedModel {
  const parsed = typeof network === 'string' ? parse(network, options.name ?? 'the network') : network;
  const problems = new Problems();
  if (deeperThan(parsed, DEEPEST)) {
    fail('network-invalid', options.name ?? 'the network', `it is nested more than ${DEEPEST} deep`);
  }
  const description = problems.check(shallow as z.ZodType<Description>, parsed, '') ?? fallback(parsed);
  if (!description) problems.throwAny();
  const { layers, blocks, seed = 0 } = description as Description;
  const inputs = inputsOf(description as Description, problems);
  if (inputs.length === 0) problems.throwAny();
  const { bound, dims } = bind(description as Description, inputs, options);

  const source = weightSource((description as Description).weights, options, seed);
  const weights = new Weights(source, problems);
  const builder = new Builder(options.name || (description as Description).name || 'network');
  const values = new Map<string, Value>(
    bound.map(({ name, type }) => [name, builder.input(name, type.shape)]),
  );
  const expansion = new Expansion(
    { builder, weights, problems },
    new Map(Object.entries(blocks ?? {}) as [string, BlockDefinition][]),
  );
  const { last, names } = expansion.run(layers, values);
  addOutputs(builder, description as Description, last, names, problems);
  problems.throwAny();
  const unused = weights.unused;
  return {
    graph: builder.graph,
    diagnostics:
      unused.length === 0
        ? []
        : [diagnostic('weights-unused', unused[0] ?? '', `${unused.length} tensors are used by no layer`)],
    dims,
    opset: 0,
    producer: 'JSON network description',
    missingFiles: source.kind === 'missing' ? [source.file] : [],
  };
}

function parse(text: string, subject: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    const { line, column } = whereJsonEnds(text);
    fail('json-malformed', subject, `this is not JSON at line ${line}, column ${column}`);
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  fail('network-invalid', subject, 'a network is an object with input and layers');
}

/** Without recursion, as a hostile file may be nested beyond the stack. */
function deeperThan(value: unknown, most: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return true;
    level = level.flatMap((v) => (typeof v === 'object' && v !== null ? Object.values(v) : []));
  }
  return false;
}

/** What is there in a description that does not fit, so that its layers are looked at too. */
function fallback(parsed: unknown): Description | undefined {
  const lists = z.object({ layers: z.array(z.unknown()) }).safeParse(parsed);
  if (!lists.success) return undefined;
  const fields = networkFields(z.array(z.unknown()));
  const given = parsed as Record<string, unknown>;
  const kept = Object.entries(fields).flatMap(([key, schema]) => {
    const result = schema.safeParse(given[key]);
    return result.success && result.data !== undefined ? [[key, result.data] as const] : [];
  });
  return Object.fromEntries(kept) as unknown as Description;
}

interface Input {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

function inputsOf({ input, inputs }: Description, problems: Problems): Input[] {
  if ((input === undefined) === (inputs === undefined)) {
    if (problems.count === 0) {
      const what =
        input === undefined
          ? 'this is missing; the network needs an input'
          : 'there is "inputs" too; only one of them';
      problems.report('input', what, { hint: '"input": [3, 224, 224] is channels, height and width' });
    }
    return [];
  }
  const list = inputs ?? [
    Array.isArray(input) ? { shape: input } : (input as { name?: string; shape: (number | string)[] }),
  ];
  const names = new Set<string>();
  return list.map(({ name, shape }, i) => {
    const own = name ?? (i === 0 ? 'input' : `input${i + 1}`);
    if (names.has(own)) problems.report(at(at('inputs', i), 'name'), `there is another input "${own}"`);
    names.add(own);
    return { name: own, shape };
  });
}

const NO_TYPE = {
  sequenceType: null,
  mapType: null,
  optionalType: null,
  sparseTensorType: null,
  denotation: '',
};

/** Sizes for open dimensions. The batch is open unless the description fixes it, and 1 unless given. */
function bind({ batch = 'batch' }: Description, inputs: readonly Input[], options: DimensionOptions) {
  const dim = (size: number | string) =>
    typeof size === 'number'
      ? { dimValue: size, dimParam: null, denotation: '' }
      : { dimValue: null, dimParam: size, denotation: '' };
  const infos = inputs.map(({ name, shape }) => {
    const described = [batch, ...shape];
    const given = options.shapes?.[name];
    const sizes =
      options.replaceSizes !== false && given?.length === described.length
        ? described.map((d, i) => (typeof d === 'string' ? d : (given[i] ?? d)))
        : described;
    return {
      name,
      docString: '',
      type: { ...NO_TYPE, tensorType: { elemType: 1, shape: { dim: sizes.map(dim) } } },
    };
  });
  const { inputs: bound, dims } = bindInputs({ initializer: [], input: infos }, options);
  return { bound, dims };
}

function weightSource(file: string | undefined, options: JsonImportOptions, seed: number): WeightSource {
  if (options.weights) return { kind: 'file', tensors: parseSafetensors(options.weights) };
  if (file === undefined) return { kind: 'seed', seed };
  if (/^(\/|[A-Za-z]:)|(^|[\\/])\.\.([\\/]|$)/.test(file)) {
    fail('external-outside', file, 'weights lie beside the description, and their name is a relative path');
  }
  const bytes = options.externalData?.(file);
  return bytes ? { kind: 'file', tensors: parseSafetensors(bytes, file) } : { kind: 'missing', file };
}

function addOutputs(
  { graph }: Builder,
  { outputs, layers }: Description,
  last: Value | undefined,
  names: ReadonlyMap<string, Value | undefined>,
  problems: Problems,
): void {
  if (outputs === undefined) {
    if (layers.length === 0) problems.report('layers', 'there are none');
    const final = layers.at(-1);
    const named = typeof final === 'object' && final !== null && 'name' in final ? final.name : undefined;
    const name = typeof named === 'string' ? named : 'output';
    if (last) graph.addOutput(graph.inputs.some((v) => v.name === name) ? 'output' : name, last);
    return;
  }
  outputs.forEach((name, i) => {
    const path = at('outputs', i);
    if (outputs.indexOf(name) !== i) problems.report(path, `"${name}" is listed twice`);
    else if (!names.has(name)) {
      const known = [...names.keys()];
      problems.report(path, `no layer is named "${name}"`, {
        hint: didYouMean(name, known) ?? `there are ${known.slice(-12).join(', ')}`,
      });
    } else {
      const value = names.get(name);
      if (value) graph.addOutput(name, value);
    }
  });
}
