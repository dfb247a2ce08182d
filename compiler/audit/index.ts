/** `audit`: what a model costs, sees and needs, as one report. */
import { fail } from '#ir/diagnostics.ts';
import type { Value } from '#ir/graph.ts';
import { COST_CONVENTIONS } from '#passes/analysis/cost.ts';
import type { Polynomial } from '#passes/analysis/polynomial.ts';
import { PRESET_NAMES, type Preset, type PresetName, presetNamed } from '#passes/analysis/presets/index.ts';
import { didYouMean } from '../suggest.ts';
import { AUDIT_VERSION } from '../version.ts';
import { countedTotals, trainingParameters } from './counted.ts';
import { exampleOf } from './example.ts';
import { type Facts, factsOf, sizedCosts, tensorOf } from './facts.ts';
import { misalignedOf } from './fields.ts';
import { compositeSums, type FindingChoice, findingsOf } from './findings.ts';
import { kindsOf, modulesOf, opsOf } from './groups.ts';
import { layerOf } from './layers.ts';
import { memoryOf } from './memory.ts';
import {
  type AuditModel,
  type Dimensions,
  type OpenDimension,
  otherSizes,
  type SymbolicMacs,
  specialise,
  symbolicMacs,
} from './model.ts';
import type { AuditReport } from './schema.ts';

export type { FindingCode } from '#passes/analysis/findings/index.ts';
export type { FindingChoice } from './findings.ts';
export type { AuditModel, Dimensions, OpenDimension, SpecialisedModel } from './model.ts';
export type { AuditField, AuditFootprint, AuditLayer, AuditReport, AuditRoofline } from './schema.ts';

export interface AuditOptions extends FindingChoice {
  /** The report's name of the model; the graph's unless given. */
  readonly name?: string;
  /** Sizes of open dimensions. */
  readonly dims?: Dimensions;
  /** How `counted` counts: as another tool would; exact MACs unless said. */
  readonly preset?: PresetName;
}

/**
 * Audits a model as it is, before any rewrite. Weights are not needed. A batch that is not given counts as 1; where
 * another dimension is not given, totals that depend on it are null, and the MACs are a polynomial if there is one.
 * @throws CompileError where the model cannot be read at any size, or there is no such preset
 */
export function audit(model: AuditModel, options: AuditOptions = {}): AuditReport {
  const preset = presetOf(options.preset ?? 'convolith');
  const { specialised, examples } = specialise(model, options.dims ?? {});
  const { graph } = specialised;
  const others = examples.length > 0 ? otherSizes(model, options.dims ?? {}, examples) : undefined;
  const facts = factsOf(graph, preset, others);
  const layers = graph.nodes.map((node) => layerOf(node, facts));
  return {
    version: AUDIT_VERSION,
    model: options.name ?? graph.name,
    conventions: { ...COST_CONVENTIONS, ...CONVENTIONS },
    preset: { name: preset.name, unit: preset.unit, says: preset.says },
    inputs: graph.inputs.map((v) => ({ ...tensorOf(v), symbols: symbolsOf(v, specialised.dims) })),
    outputs: graph.outputs.map(({ name, value }) => ({ ...tensorOf(value), name, value: value.name })),
    dims: dimensionsOf(specialised.dims, examples),
    totals: totalsOf(
      facts,
      preset.name,
      symbolicMacs(model, options.dims ?? {}, specialised, facts.cost.totals.macs, examples),
      examples,
    ),
    byKind: kindsOf(layers, facts.cost.totals.macs),
    byOp: opsOf(layers, facts.cost.totals.macs),
    byModule: modulesOf(layers, facts.cost.totals.macs),
    byComposite: compositeSums(facts),
    layers,
    ...findingsOf(facts, layers, options),
    memory: facts.sizeKnown ? memoryOf(graph, facts.liveness) : null,
    ...(examples.length > 0 ? { example: exampleOf({ ...facts, sizeKnown: true }, preset.name) } : {}),
    misaligned: misalignedOf(graph, facts.fields),
    diagnostics: specialised.diagnostics.map(({ detail: _, ...told }) => told),
  };
}

function presetOf(name: string): Preset<PresetName> {
  const preset = presetNamed(name);
  if (preset) return preset;
  return fail(
    'usage-invalid',
    `preset ${name}`,
    `there is no preset of this name; there are ${PRESET_NAMES.join(', ')}`,
    didYouMean(name, PRESET_NAMES),
  );
}

const CONVENTIONS = {
  peakActivationBytes:
    'nodes run one by one in graph order; inputs live until last read, outputs to the end; views share memory, elementwise results may take over a dying operand',
  receptiveField:
    'in positions of the input, per spatial axis; holes of dilation count as seen; output i sees [i·stride − padding, i·stride − padding + size), far from any border',
} as const;

function totalsOf(
  { graph, cost, liveness, sizeKnown }: Facts,
  preset: PresetName,
  { expr, reason, only, polynomial }: SymbolicMacs,
  examples: readonly string[],
): AuditReport['totals'] {
  const { totals } = cost;
  // what no size changes is known without the sizes
  const known = sizeKnown || (expr === String(totals.macs) && only === undefined);
  const presets = countedTotals(cost, sizeKnown, known);
  return {
    macs: known ? totals.macs : null,
    ...(known ? {} : { macsReason: `${examples.join(', ')} not given` }),
    macsExpr: expr,
    ...(polynomial ? { macsTerms: termsOf(polynomial) } : {}),
    ...(only === undefined ? {} : { macsExprOnly: only }),
    ...(reason === undefined ? {} : { macsExprReason: reason }),
    counted: presets[preset],
    presets,
    ...sizedCosts(totals, sizeKnown),
    flops: known ? totals.flops : null,
    parameters: totals.parameters,
    ...trainingParameters(graph, totals.parameters),
    buffers: totals.buffers,
    parameterBytes: totals.parameterBytes,
    peakActivationBytes: sizeKnown ? liveness.peakBytes : null,
    peakLayer: sizeKnown ? (liveness.peakNode?.name ?? null) : null,
  };
}

const termsOf = ({ symbols, terms }: Polynomial): NonNullable<AuditReport['totals']['macsTerms']> =>
  terms.map(({ numerator, denominator, exponents }) => ({
    coefficient: Number(numerator) / Number(denominator),
    powers: Object.fromEntries(
      symbols.flatMap((symbol, i) => (exponents[i] ? [[symbol, exponents[i]] as const] : [])),
    ),
  }));

const symbolsOf = (value: Value, dims: readonly OpenDimension[]): (string | null)[] =>
  value.type.shape.map(
    (_, axis) => dims.find((d) => d.input === value.name && d.axis === axis)?.symbol ?? null,
  );

function dimensionsOf(dims: readonly OpenDimension[], examples: readonly string[]): AuditReport['dims'] {
  const bySymbol = new Map(dims.map((d) => [d.symbol, d]));
  return [...bySymbol.values()].map(({ symbol, size, assumed }) => ({
    symbol,
    size,
    source: assumed ? 'batch' : examples.includes(symbol) ? 'example' : 'given',
  }));
}
