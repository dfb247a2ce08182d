/** A model at the sizes that files have which are given as its inputs. */
import { CompileError, type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Shape } from '#ir/types.ts';
import { likelyShapes } from '../files/array-hint.ts';
import type { ImportedModel } from '../import/onnx/index.ts';
import { printable } from '../import/onnx/text.ts';
import { type ImportSourceOptions, importSource, type NamedSource } from './load.ts';
import { bindInputs, type GivenInput } from './tensors.ts';

type Shapes = Readonly<Record<string, Shape>>;

/**
 * Imports with the shapes of the files, and those of --shape, which count more.
 * @throws CompileError as `importSource`; where a file is not what the model asks for, it says what the file has
 */
export function importForInputs(
  source: NamedSource,
  given: readonly GivenInput[],
  options: ImportSourceOptions,
): ImportedModel {
  const asked = options.shapes ?? {};
  const ofFiles: Shapes = Object.fromEntries(
    given.flatMap(({ name, shape }) => (shape && !Object.hasOwn(asked, name) ? [[name, shape]] : [])),
  );
  const withShapes = (shapes: Shapes) =>
    importSource(source, { ...options, shapes: { ...shapes, ...asked } });
  try {
    return withShapes(ofFiles);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const inputOf = ({ code, subject }: Diagnostic) =>
      code === 'dimension-invalid'
        ? given.find(({ name }) => Object.hasOwn(ofFiles, name) && printable(name) === subject)
        : undefined;
    const wrong = new Set(error.diagnostics.flatMap((d) => inputOf(d) ?? []));
    const misfits = new Map([...wrong].map((input) => [input, misfit(input, withShapes)]));
    const told = new Set([...wrong].filter((input) => misfits.get(input)).map(({ name }) => printable(name)));
    const rest = error.diagnostics.flatMap((d) => {
      // the sizes that the file was to give
      if (d.code === 'dimension-missing' && told.has(d.subject)) return [];
      const input = inputOf(d);
      if (!input) return [d];
      return misfits.get(input) ? [] : [underFile(d, input)];
    });
    throw new CompileError([...[...misfits.values()].flatMap((found) => found ?? []), ...rest]);
  }
}

/** How one file alone is not what the model asks for; undefined where it is, or where that cannot be told. */
function misfit(
  input: GivenInput,
  withShapes: (shapes: Shapes) => ImportedModel,
): readonly Diagnostic[] | undefined {
  const { name, shape = [] } = input;
  const imported = (shapes: Shapes) => errorOr(() => withShapes(shapes));
  if (!(imported({ [name]: shape }) instanceof CompileError)) return undefined;
  // sizes that the model leaves open are the file's, if its axes stand for them in any order
  for (const meant of [...likelyShapes(shape).map((other) => ({ [name]: other })), {}]) {
    const model = imported(meant);
    if (model instanceof CompileError) continue;
    const inputs = model.graph.inputs.map((value) => ({ name: value.name, type: value.type }));
    const own = inputs.find((value) => value.name === name);
    // a size that only nobody gave is none that the model asks for
    const open = model.dims.some((dim) => dim.input === name && dim.assumed);
    if (open && own?.type.shape.length === shape.length) continue;
    const bound = errorOr(() => bindInputs(inputs, [input], 0));
    if (bound instanceof CompileError) return bound.diagnostics;
  }
  return undefined;
}

function errorOr<T>(body: () => T): T | CompileError {
  try {
    return body();
  } catch (error) {
    if (error instanceof CompileError) return error;
    throw error;
  }
}

const underFile = ({ subject, message, hint }: Diagnostic, { found }: GivenInput): Diagnostic =>
  diagnostic('dimension-invalid', subject, `${message}; the file has ${found}`, hint);
