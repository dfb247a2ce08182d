/** Inputs as they are given to `run`: which specialisation they fit, and what is wrong with them. */
import { ARRAYS, type ManifestTensor, type Specialisation, sizeOf, type TensorArray } from './abi.ts';

export interface Given {
  readonly data: unknown;
  /** Undefined for data alone. */
  readonly shape: readonly number[] | undefined;
}

export function partsOf(given: unknown): Given {
  if (typeof given === 'object' && given !== null && 'data' in given) {
    const { data, shape, width, height } = given as Record<string, unknown>;
    if (Array.isArray(shape)) return { data, shape };
    if (typeof width === 'number' && typeof height === 'number')
      return { data, shape: [1, height, width, 4] };
  }
  return { data: given, shape: undefined };
}

/** What is wrong with an input that is no data, '' where nothing is; undefined for data. */
export type Foreign = (tensor: ManifestTensor, given: unknown) => string | undefined;

/** The specialisation that the inputs fit. @throws Error where that is none, or not just one */
export function choose(
  all: readonly Specialisation[],
  given: Readonly<Record<string, Given>>,
  foreign: Foreign | undefined,
): Specialisation {
  const problems = all.map(({ inputs }) => {
    for (const tensor of inputs) {
      const problem = foreign?.(tensor, given[tensor.name]?.data) ?? problemOf(tensor, given[tensor.name]);
      if (problem) return { tensor, problem };
    }
    return undefined;
  });
  const fitting = all.filter((_, i) => !problems[i]);
  const [chosen] = fitting;
  if (chosen && fitting.length === 1) return chosen;
  const [first] = problems;
  if (first && all.length === 1) {
    const { name, dtype, shape } = first.tensor;
    throw new Error(
      `input ${JSON.stringify(name)}: expected a ${ARRAYS[dtype].name} of ${sizeOf(shape)} elements (${layoutOf(shape)}); ${first.problem}`,
    );
  }
  const list = (among: readonly Specialisation[]) =>
    among
      .map(({ inputs }) =>
        inputs.map((t) => `${JSON.stringify(t.name)} ${t.dtype} ${layoutOf(t.shape)}`).join(', '),
      )
      .join('; or ');
  throw new Error(
    chosen
      ? `the inputs fit several specialisations: ${list(fitting)}; give { data, shape }`
      : `the inputs fit no specialisation: there is ${list(all)}; ${describe(given)}`,
  );
}

export const layoutOf = (shape: readonly number[]): string => shape.join('×') || 'a scalar';

const describe = (given: Readonly<Record<string, Given>>): string =>
  Object.entries(given)
    .map(([name, { data, shape }]) => {
      const length = (data as { readonly length?: number } | undefined)?.length;
      const size = shape ? layoutOf(shape) : length === undefined ? '' : `${length} elements`;
      return `${JSON.stringify(name)}: got ${data?.constructor?.name ?? 'nothing'}${size && ` of ${size}`}`;
    })
    .join(', ');

/** Plain arrays are taken, as nothing about them can be misread; a typed array of another type is likely a mistake. */
function problemOf({ dtype, shape }: ManifestTensor, given: Given | undefined): string {
  const type = ARRAYS[dtype];
  const { data, shape: own } = given ?? {};
  if (data === undefined || data === null) return 'nothing was given';
  if (Array.isArray(data)) {
    const wanted = dtype === 'i64' || dtype === 'u64' ? 'bigint' : 'number';
    const odd = data.findIndex((x) => typeof x !== wanted);
    if (odd >= 0) {
      return `got an array whose element ${odd} is no ${wanted}${Array.isArray(data[odd]) ? ': flatten it' : ''}`;
    }
  } else if (!(data instanceof type) && !(dtype === 'u8' && data instanceof Uint8ClampedArray)) {
    return `got ${data.constructor?.name ?? typeof data}`;
  }
  const { length } = data as TensorArray;
  if (length !== sizeOf(shape)) return `got ${length} elements`;
  return own && own.join() !== shape.join() ? `got ${layoutOf(own)}` : '';
}
