/** What an audit is made of: a model at one choice of its open sizes, and what it says in terms of those. */
import { CompileError, type Diagnostic } from '#ir/diagnostics.ts';
import { Graph } from '#ir/graph.ts';
import { graphMacs } from '#passes/analysis/cost.ts';
import {
  evaluatePolynomial,
  fitPolynomial,
  formatPolynomial,
  type Polynomial,
  type SampledSymbol,
} from '#passes/analysis/polynomial.ts';

/** A dimension that the model leaves open, and the size it was specialised at. */
export interface OpenDimension {
  readonly input: string;
  readonly axis: number;
  readonly symbol: string;
  readonly size: number;
  /** Was it taken as 1, being a batch that nobody gave? */
  readonly assumed: boolean;
}

export interface SpecialisedModel {
  readonly graph: Graph;
  readonly diagnostics: readonly Diagnostic[];
  readonly dims: readonly OpenDimension[];
}

export type Dimensions = Readonly<Record<string, number>>;

/** A graph, or a function that makes it for given sizes of its open dimensions, as often as asked. */
export type AuditModel = Graph | ((dims: Dimensions) => SpecialisedModel);

export interface Specialised {
  readonly specialised: SpecialisedModel;
  /** Dimensions that were not given and have no usual size, at an example size. */
  readonly examples: readonly string[];
}

/** Example size of an open spatial dimension; sampled sizes are it and multiples of `LATTICE` above. */
const EXAMPLE_SIZE = 224;
const LATTICE = 32;
/** The batch at which a polynomial is tried. */
const BATCH_CHECK = 5;
/** Distances from the example size at which a polynomial is tried: of any size, and of multiples. */
const EVERYWHERE = [1, LATTICE / 2, 3 * LATTICE + 5];
/** Sizes below it, at which networks do what they do not above (crops that reach the border). */
const BELOW = [32, 64, 96, 128];
const ON_LATTICE = [-LATTICE, 4 * LATTICE, 7 * LATTICE, 13 * LATTICE];

/** The model at the sizes given; open spatial dimensions that are not given at an example size. */
export function specialise(model: AuditModel, dims: Dimensions): Specialised {
  if (model instanceof Graph) {
    return { specialised: { graph: model, diagnostics: [], dims: [] }, examples: [] };
  }
  try {
    return { specialised: model(dims), examples: [] };
  } catch (error) {
    const examples = missingSymbols(error);
    if (examples.length === 0) throw error;
    try {
      return { specialised: model({ ...dims, ...atExampleSize(examples) }), examples };
    } catch {
      throw error;
    }
  }
}

const atExampleSize = (symbols: readonly string[]): Dimensions =>
  Object.fromEntries(symbols.map((s) => [s, EXAMPLE_SIZE]));

/** The open spatial dimensions for which the importer has no size; none if anything else is wrong. */
function missingSymbols(error: unknown): readonly string[] {
  if (!(error instanceof CompileError)) return [];
  const symbols = error.diagnostics.map(({ detail }) =>
    detail?.kind === 'open-dimension' && detail.axis >= 2 ? detail.symbol : undefined,
  );
  return symbols.every((s) => s !== undefined) ? [...new Set(symbols)] : [];
}

/**
 * The model at sizes beside the example, all of one distance from it: of any size, or, where it takes none of those,
 * of multiples.
 */
export function otherSizes(
  model: AuditModel,
  dims: Dimensions,
  examples: readonly string[],
): readonly Graph[] {
  if (model instanceof Graph) return [];
  const at = (distance: number): readonly Graph[] => {
    const sizes = Object.fromEntries(examples.map((symbol) => [symbol, EXAMPLE_SIZE + distance]));
    try {
      return [model({ ...dims, ...sizes }).graph];
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      return [];
    }
  };
  const near = EVERYWHERE.flatMap(at);
  return near.length > 0 ? near : ON_LATTICE.flatMap(at);
}

export interface SymbolicMacs {
  readonly expr: string | null;
  /** Where there is an expression in open dimensions. */
  readonly polynomial?: Polynomial;
  readonly reason?: string;
  /** The sizes for which it holds, where it does not for all. */
  readonly only?: string;
}

/**
 * The MACs as a polynomial in the batch and in the sizes that are not given.
 * @param macs those of the specialised model
 */
export function symbolicMacs(
  model: AuditModel,
  dims: Dimensions,
  { dims: open }: SpecialisedModel,
  macs: number,
  examples: readonly string[],
): SymbolicMacs {
  const batches = [...new Set(open.filter((d) => d.assumed).map((d) => d.symbol))];
  if (model instanceof Graph || batches.length + examples.length === 0) return { expr: String(macs) };
  const macsAt = (sizes: Dimensions): number => graphMacs(model({ ...dims, ...sizes }).graph);
  /** Does it hold at the sizes below the sampled ones that the model takes? */
  const holdsBelow = (polynomial: Polynomial): boolean =>
    BELOW.every((size) => {
      try {
        const actual = macsAt(Object.fromEntries(examples.map((name) => [name, size])));
        const sizes = polynomial.symbols.map((name) => (batches.includes(name) ? 1 : size));
        const { numerator, denominator } = evaluatePolynomial(polynomial, sizes);
        return numerator === BigInt(actual) * denominator;
      } catch (error) {
        if (!(error instanceof CompileError)) throw error;
        return true;
      }
    });
  const fitted = (apart: readonly number[], only: readonly string[]): SymbolicMacs => {
    const symbols: SampledSymbol[] = [
      ...batches.map((name) => ({ name, points: [1, 2], checks: [BATCH_CHECK] })),
      ...examples.map((name) => ({
        name,
        points: [0, 1, 2, 3].map((i) => EXAMPLE_SIZE + i * LATTICE),
        checks: apart.map((distance) => EXAMPLE_SIZE + distance),
      })),
    ];
    let failedAt = '';
    try {
      const fit = fitPolynomial(symbols, (sizes) => {
        failedAt = Object.entries(sizes)
          .map(([name, size]) => `${name} = ${size}`)
          .join(', ');
        // a batch that is not given has been taken as 1
        const known = examples.length === 0 && Object.values(sizes).every((size) => size === 1);
        return known ? macs : macsAt(sizes);
      });
      if (!fit.polynomial) return { expr: null, reason: fit.reason };
      const above = examples.length === 0 || holdsBelow(fit.polynomial) ? [] : [`sizes from ${EXAMPLE_SIZE}`];
      const limits = [...only, ...above].join(', ');
      const { polynomial } = fit;
      return { expr: formatPolynomial(polynomial), polynomial, ...(limits === '' ? {} : { only: limits }) };
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      const message = error.diagnostics[0]?.message ?? '';
      return { expr: null, reason: `the model does not accept ${failedAt}: ${message}` };
    }
  };
  /** MACs go with the batch in nearly every network: one further size says so, where a line takes two. */
  const inProportion = (): SymbolicMacs | undefined => {
    const [batch, ...more] = batches;
    if (batch === undefined || more.length + examples.length > 0) return undefined;
    try {
      if (macsAt({ [batch]: BATCH_CHECK }) !== BATCH_CHECK * macs) return undefined;
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      return undefined;
    }
    const term = { numerator: BigInt(macs), denominator: 1n, exponents: [1] };
    const polynomial = { symbols: [batch], terms: macs === 0 ? [] : [term] };
    return { expr: formatPolynomial(polynomial), polynomial };
  };
  const every = inProportion() ?? fitted(EVERYWHERE, []);
  if (every.expr !== null || examples.length === 0) return every;
  // many networks halve their sizes again and again, and take no others, or round them
  const some = fitted(ON_LATTICE, [`multiples of ${LATTICE}`]);
  return some.expr === null ? every : some;
}
