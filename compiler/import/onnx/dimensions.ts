import { CompileError, type Diagnostic, type DiagnosticDetail, diagnostic } from '#ir/diagnostics.ts';
import type { TensorType } from '#ir/types.ts';
import { elementType, shapeProblem } from './element-types.ts';
import type { GraphProto, ValueInfoProto } from './generated/onnx-proto.js';
import { listed, printable } from './text.ts';

export interface DimensionOptions {
  /** Sizes of symbolic dimensions, by symbol. */
  readonly dims?: Readonly<Record<string, number>>;
  /** Whole shapes, by input name. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Is a symbolic batch that was not given 1? True unless said. */
  readonly assumeBatch?: boolean;
  /** Of a network description: may `shapes` replace sizes that it fixes? An ONNX model's never change. True unless said. */
  readonly replaceSizes?: boolean;
}

/** A dimension that the model leaves open, and the size it got. */
export interface SymbolicDimension {
  readonly input: string;
  readonly axis: number;
  /** The model's symbol; `input.axis` where it has none. */
  readonly symbol: string;
  readonly size: number;
  /** Was it taken as 1 because nobody gave it? */
  readonly assumed: boolean;
}

export interface BoundInputs {
  readonly inputs: readonly {
    readonly name: string;
    readonly type: TensorType;
    readonly converted?: string;
  }[];
  readonly dims: readonly SymbolicDimension[];
  readonly notes: readonly Diagnostic[];
}

/** The part of a model that has its inputs. */
type BoundGraph = Pick<GraphProto, 'input'> & {
  readonly initializer: readonly Pick<GraphProto['initializer'][number], 'name'>[];
};

interface OpenInput {
  readonly name: string;
  readonly elementCode: number;
  /** A size, a symbol, or undefined for an input of unknown rank. */
  readonly shape: readonly (number | string)[] | undefined;
}

const MAX_SIZE = 2 ** 31;
const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 0 && size <= MAX_SIZE;

/**
 * Gives every input (initializers apart) a concrete shape.
 * @throws CompileError with every `dimension-missing`, `dimension-invalid` and `dtype-unsupported` found
 */
export function bindInputs(graph: BoundGraph, options: DimensionOptions): BoundInputs {
  const errors: Diagnostic[] = [];
  const stored = new Set(graph.initializer.map((t) => t.name));
  const inputs = graph.input.filter((i) => !stored.has(i.name)).flatMap((info) => openInput(info, errors));
  const sizes = givenSizes(inputs, options, errors);
  // what is given wrongly is not given: that it is missing is no news
  if (errors.length > 0) throw new CompileError(errors);
  const batch = options.assumeBatch === false ? new Set<string>() : assumedBatch(inputs, sizes);
  for (const symbol of batch) sizes.set(symbol, 1);

  const dims: SymbolicDimension[] = [];
  const bound = inputs.flatMap((input) => {
    const shape = input.shape?.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const size = sizes.get(dim);
      if (size === undefined) {
        errors.push(missingDimension(input, axis, dim));
        return 1;
      }
      dims.push({ input: input.name, axis, symbol: dim, size, assumed: batch.has(dim) });
      return size;
    });
    if (!shape) {
      const hint = `give it with --shape ${printable(input.name)}=1x3x224x224`;
      errors.push(
        diagnostic(
          'dimension-missing',
          printable(input.name),
          'the model does not say the rank of this input',
          hint,
        ),
      );
      return [];
    }
    const problem = shapeProblem(shape);
    if (problem) errors.push(diagnostic('dimension-invalid', printable(input.name), problem));
    return typed(input, shape, errors);
  });
  if (errors.length > 0) throw new CompileError(errors);
  const notes = batch.size === 0 ? [] : [batchNote([...batch], dims)];
  return { inputs: bound, dims, notes };
}

function openInput(info: ValueInfoProto, errors: Diagnostic[]): OpenInput[] {
  const type = info.type?.tensorType;
  if (!type) {
    errors.push(diagnostic('dtype-unsupported', printable(info.name), 'this input is not a tensor'));
    return [];
  }
  const shape = type.shape?.dim.map(({ dimValue, dimParam }, axis) =>
    // some exporters write −1 for an open dimension
    dimValue !== null && dimValue >= 0 ? dimValue : dimParam || `${info.name}.${axis}`,
  );
  return [{ name: info.name, elementCode: type.elemType, shape }];
}

/** Sizes of symbols from the options; inputs of unknown rank get their shape. */
function givenSizes(
  inputs: OpenInput[],
  options: DimensionOptions,
  errors: Diagnostic[],
): Map<string, number> {
  const sizes = new Map<string, number>();
  const invalid = (subject: string, message: string, detail?: DiagnosticDetail) =>
    errors.push({
      ...diagnostic('dimension-invalid', printable(subject), message),
      ...(detail === undefined ? {} : { detail }),
    });
  const symbols = new Set(inputs.flatMap((i) => i.shape ?? []).filter((d) => typeof d === 'string'));
  for (const [symbol, size] of Object.entries(options.dims ?? {})) {
    if (!symbols.has(symbol)) {
      const known =
        symbols.size > 0 ? `its dimensions are ${listed([...symbols])}` : 'it has none that are open';
      const detail = { kind: 'unknown-dimension', symbol } as const;
      invalid(symbol, `the model has no dimension of this name; ${known}`, detail);
    } else if (!isSize(size) || size === 0) invalid(symbol, `${size} is not a size`);
    else sizes.set(symbol, size);
  }
  for (const [name, shape] of Object.entries(options.shapes ?? {})) {
    const index = inputs.findIndex((i) => i.name === name);
    const input = inputs[index];
    if (!input) {
      invalid(
        name,
        `the model has no input of this name; its inputs are ${listed(inputs.map((i) => i.name))}`,
        { kind: 'unknown-input', input: name },
      );
      continue;
    }
    if (!shape.every(isSize)) invalid(name, `[${shape.join(',')}] is not a shape`);
    else if (!input.shape) inputs[index] = { ...input, shape };
    else if (input.shape.length !== shape.length) {
      invalid(name, `the given shape has ${shape.length} dimensions; the input has ${input.shape.length}`);
    } else {
      input.shape.forEach((dim, axis) => {
        const size = shape[axis] ?? 1;
        if (typeof dim === 'number') {
          if (dim !== size) invalid(name, `axis ${axis} is given as ${size}; the model fixes it at ${dim}`);
          return;
        }
        const before = sizes.get(dim);
        if (before !== undefined && before !== size) {
          invalid(name, `axis ${axis} ("${printable(dim)}") is given as ${size}, and elsewhere as ${before}`);
        }
        sizes.set(dim, size);
      });
    }
  }
  return sizes;
}

/** First dimensions that are still open. */
function assumedBatch(inputs: readonly OpenInput[], sizes: ReadonlyMap<string, number>): Set<string> {
  const first = inputs.map((i) => i.shape?.[0]);
  return new Set(first.filter((d) => typeof d === 'string').filter((d) => !sizes.has(d)));
}

function missingDimension(input: OpenInput, axis: number, symbol: string): Diagnostic {
  const name = printable(input.name);
  const own = symbol === `${input.name}.${axis}`;
  const text = own
    ? `axis ${axis} of input "${name}"`
    : `axis ${axis} of input "${name}", "${printable(symbol)}",`;
  const shape = (input.shape ?? []).map((d) => (typeof d === 'number' ? d : axisWord(d))).join('x');
  const hint = `give it with --dim ${printable(symbol)}=SIZE or --shape ${name}=${shape}`;
  return {
    ...diagnostic('dimension-missing', name, `${text} has no size`, hint),
    detail: { kind: 'open-dimension', axis, symbol },
  };
}

const axisWord = (symbol: string): string => (/^\w+$/.test(symbol) ? symbol.toUpperCase() : 'SIZE');

function typed(input: OpenInput, shape: readonly number[], errors: Diagnostic[]): BoundInputs['inputs'] {
  try {
    const element = elementType(input.elementCode, input.name);
    const type: TensorType = { dtype: element.dtype, shape };
    return [{ name: input.name, type, ...(element.converted ? { converted: element.name } : {}) }];
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    errors.push(...error.diagnostics);
    return [];
  }
}

function batchNote(symbols: readonly string[], dims: readonly SymbolicDimension[]): Diagnostic {
  const inputs = dims.filter((d) => d.assumed && d.axis === 0).map((d) => d.input);
  const message = `the batch dimension (${listed(symbols)}) of ${listed(inputs)} was not given and is taken as 1`;
  return diagnostic(
    'batch-assumed',
    printable(inputs[0] ?? ''),
    message,
    `give it with --dim ${printable(symbols[0] ?? 'batch')}=SIZE`,
  );
}
