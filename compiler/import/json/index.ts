/** JSON network description → IR. */
import { z } from 'zod';
import { Builder } from '#ir/builder.ts';
import { CompileError, type Diagnostic, diagnostic, fail } from '#ir/diagnostics.ts';
import { type Graph, type Node, producer, type Value } from '#ir/graph.ts';
import { parseSafetensors } from '../../weights/safetensors.ts';
import { wholeFile } from '../byte-source.ts';
import { bindInputs, type DimensionOptions } from '../onnx/dimensions.ts';
import type { ImportedModel, ImportOptions } from '../onnx/index.ts';
import { printable } from '../onnx/text.ts';
import { type BlockDefinition, Expansion } from './expand.ts';
import { freeName, nearOrAll, written } from './hints.ts';
import type { LayerPlace } from './layer.ts';
import { repeatedKeys, whereJsonEnds } from './locate.ts';
import { at, type Path, Problems } from './problems.ts';
import { networkFields } from './schema.ts';
import { type WeightSource, Weights } from './weights.ts';

export { networkJsonSchema, networkSchema } from './schema.ts';

export interface JsonImportOptions extends ImportOptions {
  /** The bytes of a safetensors file; else the description says where weights are, else they are made from its seed. */
  readonly weights?: Uint8Array;
}

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
  const subject = options.name ?? 'the network';
  const problems = new Problems();
  const parsed = networkOf(
    typeof network === 'string' ? parse(network, subject, problems) : network,
    subject,
  );
  if (deeperThan(parsed, DEEPEST)) {
    const hint =
      'look for brackets that are opened and not closed; blocks and names take the place of nesting';
    fail('network-invalid', subject, `it is nested more than ${DEEPEST} deep`, hint);
  }
  const description =
    problems.check(shallow as z.ZodType<Description>, parsed, '', { hint: topHint }) ?? fallback(parsed);
  if (!description) problems.throwAny();
  const { layers, blocks, seed = 0 } = description as Description;
  const inputs = inputsOf(description as Description, problems);
  if (inputs.length === 0) problems.throwAny();
  const { inputs: bound, dims, notes } = bind(description as Description, inputs, options);

  const source = weightSource((description as Description).weights, options, seed);
  const weights = new Weights(source, problems);
  const builder = new Builder(options.name || (description as Description).name || 'network');
  const values = new Map<string, Value>(
    bound.map(({ name, type }) => [name, builder.input(name, type.shape)]),
  );
  const made = new Map<Node, LayerPlace>();
  const expansion = new Expansion(
    { builder, made, weights, problems },
    new Map(Object.entries(blocks ?? {}) as [string, BlockDefinition][]),
  );
  const { last, names } = expansion.run(layers, values);
  const unusedBlocks = expansion.checkUnused();
  addOutputs(builder, description as Description, last, names, problems);
  problems.throwAny();
  const unused = weights.unused;
  return {
    graph: builder.graph,
    diagnostics: [
      ...notes,
      ...unusedInputs(builder.graph, description as Description),
      ...unusedBlocks.map((name) =>
        diagnostic(
          'block-unused',
          at('blocks', name),
          'no layer uses this block',
          `write { "use": "${name}" } among the layers, or take it away`,
        ),
      ),
      ...unusedLayers(builder.graph, made),
      ...(unused.length === 0
        ? []
        : [diagnostic('weights-unused', unused[0] ?? '', `${unused.length} tensors are used by no layer`)]),
    ],
    dims,
    opset: 0,
    producer: 'JSON network description',
    missingFiles: source.kind === 'missing' ? [source.file] : [],
  };
}

/** What the type of an option at the top does not tell. */
function topHint(found: unknown, place: string): string | undefined {
  if (place === 'outputs' && Array.isArray(found) && found.length === 0)
    return 'take it away, and the last layer is the output';
  if (place === 'batch' && found === null)
    return 'take it away, and the batch is open, for --dim batch=8; or write a number, which fixes it';
  if (/^input$|shape$/.test(place) && Array.isArray(found) && found.length > 4)
    return `there are at most 4 sizes, channels and up to three axes, without the batch: for example ${written(found.slice(-4))}`;
  return undefined;
}

function parse(text: string, subject: string, problems: Problems): unknown {
  const own = text.replace(/^\uFEFF/, '');
  let parsed: unknown;
  try {
    parsed = JSON.parse(own);
  } catch {
    const { line, column, hint } = whereJsonEnds(text);
    fail('json-malformed', subject, `this is not JSON at line ${line}, column ${column}`, hint);
  }
  for (const { path, key, lines } of repeatedKeys(own)) {
    const where = lines[0] === lines[1] ? `line ${lines[0]}` : `lines ${lines.join(' and ')}`;
    problems.report(path, `"${key}" stands twice in one object, in ${where}`, {
      hint: 'keep one of them; JSON has each key once, and of two the first is lost',
    });
  }
  return parsed;
}

/** @throws CompileError for what is no object */
function networkOf(parsed: unknown, subject: string): object {
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  fail(
    'network-invalid',
    subject,
    'a network is an object with input and layers',
    Array.isArray(parsed) && parsed.length > 0
      ? 'where this list has the layers: { "input": [3, 224, 224], "layers": [ … ] }'
      : 'for example { "input": [3, 224, 224], "layers": [{ "conv": 64 }, "relu"] }',
  );
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

/** Where a description has its input i, or a part of it. */
const inputPath = ({ inputs, input }: Description, i: number, key: 'name' | 'shape'): Path => {
  if (inputs) return at(at('inputs', i), key);
  return Array.isArray(input) ? 'input' : at('input', key);
};

function unusedInputs({ inputs, outputs }: Graph, description: Description): Diagnostic[] {
  return inputs.flatMap((value, i) =>
    value.uses.length > 0 || outputs.some((o) => o.value === value)
      ? []
      : [
          diagnostic(
            'input-unused',
            inputPath(description, i, 'name'),
            `nothing reads the input "${value.name}"`,
            `read it in a layer, with "from": "${value.name}", or take it away`,
          ),
        ],
  );
}

/** Layers that lead to no output, the last of each branch. */
function unusedLayers(graph: Graph, made: ReadonlyMap<Node, LayerPlace>): Diagnostic[] {
  const live = new Set<Node>();
  const open = graph.outputs.flatMap(({ value }) => producer(value) ?? []);
  for (let node = open.pop(); node; node = open.pop()) {
    if (live.has(node)) continue;
    live.add(node);
    open.push(...node.operands.flatMap((v) => (v && producer(v)) || []));
  }
  const dead = graph.nodes.filter((node) => !live.has(node));
  const read = new Set(dead.flatMap((node) => node.operands));
  const last = new Map(
    dead
      .filter((node) => !node.outputs.some((v) => read.has(v)))
      .flatMap((node) => {
        const place = made.get(node);
        return place ? [[place.path, place] as const] : [];
      }),
  );
  return [...last.values()].map(({ path, name, container }) =>
    diagnostic(
      'layer-unused',
      path,
      `the result of "${name}" reaches no output, so it is not computed, nor what only it reads`,
      container === ''
        ? `list "${name}" under "outputs", or read it in a later layer: { "add": "${name}" }; else take it away`
        : 'read it in a later layer, or take it away',
    ),
  );
}

interface Input {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

/** The axis before those of a description, where it does not say otherwise. */
const BATCH = 'batch';

/** Does this name of an input mean something else where a layer reads it? */
export const isUnreadable = (name: string): boolean => name === 'previous' || name.includes('$');

function inputsOf(description: Description, problems: Problems): Input[] {
  const { input, inputs, batch } = description;
  if ((input === undefined) === (inputs === undefined)) {
    if (problems.count === 0) {
      const what =
        input === undefined
          ? 'this is missing; the network needs an input'
          : 'there is "inputs" too; only one of them';
      const hint =
        input === undefined
          ? 'add "input": [3, 224, 224], which is channels, height and width'
          : 'take one of them away; "inputs" is for several';
      problems.report('input', what, { hint });
    }
    return [];
  }
  const list = inputs ?? [
    Array.isArray(input) ? { shape: input } : (input as { name?: string; shape: (number | string)[] }),
  ];
  const names = new Set<string>();
  return list.map(({ name, shape }, i) => {
    const own = name ?? (i === 0 ? 'input' : `input${i + 1}`);
    const taken = (n: string) => names.has(n) || list.some((other) => other.name === n);
    const path = inputPath(description, i, 'name');
    if (names.has(own)) {
      const hint = `take another, for example "name": "${freeName(own, taken)}"`;
      problems.report(path, `there is another input "${own}"`, { hint });
    }
    if (isUnreadable(own)) {
      const why =
        own === 'previous' ? 'which is the value before it' : 'which is an expression, with its "$"';
      const word = own.replace(/[$\s]+/g, '_').replace(/^previous$/, 'image');
      problems.report(path, `no layer can read "${printable(own)}", ${why}`, {
        hint: `take another, for example "name": "${freeName(printable(word), taken)}"`,
      });
    }
    if (batch === undefined && shape.includes(BATCH)) {
      const size = `"${BATCH}" is the batch, which is before these sizes and open too`;
      problems.report(inputPath(description, i, 'shape'), size, {
        hint: 'call the size otherwise, for example "length"; or fix the batch with "batch": 1',
      });
    }
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
function bind({ batch = BATCH }: Description, inputs: readonly Input[], options: DimensionOptions) {
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
  return bindInputs({ initializer: [], input: infos }, options);
}

const WEIGHTS_FILE = 'for example "weights": "network.safetensors", which lies beside the description';

/** The file, if it is there; that it cannot be read is told at the path that names it. */
function beside(file: string, { externalData }: JsonImportOptions): Uint8Array | undefined {
  try {
    const found = externalData?.(file);
    return found && wholeFile(found);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const told = error.diagnostics.map(({ code, message }) =>
      diagnostic(code, 'weights', `"${printable(file)}": ${message}`, WEIGHTS_FILE),
    );
    throw new CompileError(told);
  }
}

function weightSource(file: string | undefined, options: JsonImportOptions, seed: number): WeightSource {
  if (options.weights) return { kind: 'file', tensors: parseSafetensors(options.weights) };
  if (file === undefined) return { kind: 'seed', seed };
  if (/^(\/|[A-Za-z]:)|(^|[\\/])\.\.([\\/]|$)/.test(file)) {
    const name = file.split(/[\\/]/).at(-1) || 'network.safetensors';
    fail(
      'external-outside',
      'weights',
      `"${printable(file)}" is outside the folder of the description`,
      `put the file beside the description or below it, and write "weights": "${printable(name === '..' ? 'network.safetensors' : name)}"`,
    );
  }
  if (/(^|[\\/])\.?$/.test(file))
    fail(
      'network-invalid',
      'weights',
      `expected the name of a safetensors file; got "${printable(file)}", a folder`,
      WEIGHTS_FILE,
    );
  const bytes = beside(file, options);
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
    if (layers.length === 0)
      problems.report('layers', 'there are none', { hint: 'for example "layers": [{ "conv": 64 }, "relu"]' });
    const final = layers.at(-1);
    const named = typeof final === 'object' && final !== null && 'name' in final ? final.name : undefined;
    const name = typeof named === 'string' ? named : 'output';
    if (last) graph.addOutput(graph.inputs.some((v) => v.name === name) ? 'output' : name, last);
    return;
  }
  outputs.forEach((name, i) => {
    const path = at('outputs', i);
    if (outputs.indexOf(name) !== i)
      problems.report(path, `"${name}" is listed twice`, { hint: 'take one of them away' });
    else if (!names.has(name)) {
      const known = [...names.keys()];
      problems.report(path, `no layer is named "${name}"`, {
        hint: nearOrAll(name, known.slice(-12), 'give the layer a "name"'),
      });
    } else {
      const value = names.get(name);
      if (value) graph.addOutput(name, value);
    }
  });
}
