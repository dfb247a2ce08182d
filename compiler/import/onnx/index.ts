/** ONNX → IR. */
import { CompileError, type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { FileBytes } from '../byte-source.ts';
import { decodeModel } from './decode.ts';
import { bindInputs, type DimensionOptions, type SymbolicDimension } from './dimensions.ts';
import { functionTable } from './functions.ts';
import { describeProducer, Importer, operatorSets } from './importer.ts';
import { newOpset } from './opsets.ts';
import { cachedFiles, type TensorContext } from './tensors.ts';

export type { SymbolicDimension } from './dimensions.ts';

export interface ImportOptions extends DimensionOptions {
  /** The graph's name; the model's own unless given. Also what messages call the file. */
  readonly name?: string;
  /** A file with weights, by its path relative to the model; undefined if it is not there. */
  readonly externalData?: (location: string) => FileBytes | undefined;
}

export interface ImportedModel {
  readonly graph: Graph;
  /** Warnings and notes; errors are thrown. */
  readonly diagnostics: readonly Diagnostic[];
  /** The dimensions that the model leaves open, with the sizes they got. */
  readonly dims: readonly SymbolicDimension[];
  /** Version of the default operator set. */
  readonly opset: number;
  /** Name and version of the exporter; empty if the model does not say. */
  readonly producer: string;
  /** Files with weights that were not there: their constants have no data. */
  readonly missingFiles: readonly string[];
}

/**
 * Reads an ONNX model. Shapes are concrete afterwards: open dimensions take the sizes given, the batch 1 if not given.
 * Shape arithmetic is computed away. Weights view `bytes`, which must not change afterwards; from a source they are read when they are first asked for.
 * @throws CompileError with every problem found; nothing else, whatever the bytes
 */
export function importOnnx(bytes: FileBytes, options: ImportOptions = {}): ImportedModel {
  const { model, graph: proto } = decodeModel(bytes, options.name ?? 'the model');
  const tensors: TensorContext = {
    model: bytes,
    externalData: cachedFiles(options.externalData ?? (() => undefined)),
    missingFiles: new Set(),
    converted: new Set(),
  };
  const inputs = bindInputs(proto, options);
  for (const { converted } of inputs.inputs) if (converted) tensors.converted.add(converted);
  const opsets = operatorSets(model);
  const importer = new Importer(options.name || proto.name || 'model', tensors, functionTable(model));
  let warnings: readonly Diagnostic[];
  try {
    warnings = importer.run(proto, inputs, opsets);
  } catch (error) {
    throw error instanceof CompileError && givesSizes(options) ? withSizesInDoubt(error) : error;
  }
  const opset = opsets.get('') ?? 1;
  return {
    graph: importer.graph,
    diagnostics: [...newOpset(opset), ...warnings, ...inputs.notes, ...conversionNote(tensors.converted)],
    dims: inputs.dims,
    opset,
    producer: describeProducer(model),
    missingFiles: [...tensors.missingFiles],
  };
}

const givesSizes = ({ dims = {}, shapes = {} }: DimensionOptions): boolean =>
  Object.keys(dims).length + Object.keys(shapes).length > 0;

/** Shapes that do not fit are then more likely the given sizes than the model. */
const withSizesInDoubt = ({ diagnostics }: CompileError): CompileError =>
  new CompileError(
    diagnostics.map((d) =>
      d.code === 'shape-mismatch'
        ? {
            ...d,
            hint: 'this depends on the sizes given by --dim or --shape: try those the network was made for',
          }
        : d,
    ),
  );

function conversionNote(converted: ReadonlySet<string>): Diagnostic[] {
  if (converted.size === 0) return [];
  const names = [...converted].sort().join(' and ');
  return [diagnostic('dtype-converted', 'the model', `it uses ${names}, which is computed in float32 here`)];
}
