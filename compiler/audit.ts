/** `audit`: what a model costs, sees and needs, as one report. */
import { classifyConv } from '#ir/conv-kind.ts';
import { CompileError, type Diagnostic } from '#ir/diagnostics.ts';
import { Graph, type Node, type Value } from '#ir/graph.ts';
import { envelope } from '#ir/window.ts';
import {
  COST_CONVENTIONS,
  type GraphCost,
  graphCost,
  type NodeCost,
  sumCosts,
} from '#passes/analysis/cost.ts';
import { type GraphLiveness, graphLiveness } from '#passes/analysis/liveness.ts';
import { fitPolynomial, formatPolynomial, type SampledSymbol } from '#passes/analysis/polynomial.ts';
import { type InputTrace, type ReceptiveFields, receptiveFields } from '#passes/analysis/receptive-field.ts';
import { AUDIT_VERSION, type AuditField, type AuditLayer, type AuditReport } from './audit-schema.ts';

export type { AuditField, AuditLayer, AuditReport } from './audit-schema.ts';

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

export interface AuditOptions {
  /** The report's name of the model; the graph's unless given. */
  readonly name?: string;
  /** Sizes of open dimensions. */
  readonly dims?: Dimensions;
}

/**
 * Audits a model as it is, before any rewrite. Weights are not needed. A batch that is not given counts as 1; where
 * another dimension is not given, totals that depend on it are null, and the MACs are a polynomial if there is one.
 * @throws CompileError where the model cannot be read at any size
 */
export function audit(model: AuditModel, options: AuditOptions = {}): AuditReport {
  const { specialised, examples } = specialise(model, options.dims ?? {});
  const { graph } = specialised;
  const facts: Facts = {
    cost: graphCost(graph),
    liveness: graphLiveness(graph),
    fields: receptiveFields(graph),
    live: new Map(),
    sizeKnown: examples.length === 0,
  };
  for (const { node, bytes } of facts.liveness.timeline) facts.live.set(node, bytes);
  const layers = graph.nodes.map((node) => layerOf(node, facts));
  return {
    version: AUDIT_VERSION,
    model: options.name ?? graph.name,
    conventions: { ...COST_CONVENTIONS, ...CONVENTIONS },
    inputs: graph.inputs.map((v) => ({ ...tensorOf(v), symbols: symbolsOf(v, specialised.dims) })),
    outputs: graph.outputs.map(({ name, value }) => ({ ...tensorOf(value), name, value: value.name })),
    dims: dimensionsOf(specialised.dims, examples),
    totals: totalsOf(facts, symbolicMacs(model, options.dims ?? {}, specialised, examples), examples),
    byKind: kindsOf(layers, facts),
    layers,
    misaligned: misalignedOf(facts.fields),
    diagnostics: specialised.diagnostics.map((d) => ({ ...d })),
  };
}

const CONVENTIONS = {
  peakActivationBytes:
    'nodes run one by one in graph order; inputs live until last read, outputs to the end; views share memory, elementwise results may take over a dying operand',
  receptiveField:
    'in positions of the input, per spatial axis; holes of dilation count as seen; output i sees [i·stride − padding, i·stride − padding + size)',
} as const;

interface Facts {
  readonly cost: GraphCost;
  readonly liveness: GraphLiveness;
  readonly fields: ReceptiveFields;
  readonly live: Map<Node, number>;
  /** Are the sizes those of the question, and not examples? */
  readonly sizeKnown: boolean;
}

interface Specialised {
  readonly specialised: SpecialisedModel;
  /** Dimensions that were not given and have no usual size, at an example size. */
  readonly examples: readonly string[];
}

/** Example size of an open spatial dimension; sampled sizes are it and multiples of `LATTICE` above. */
const EXAMPLE_SIZE = 224;
const LATTICE = 32;

function specialise(model: AuditModel, dims: Dimensions): Specialised {
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
  const symbols = error.diagnostics.map((d) => {
    const axis = d.code === 'dimension-missing' ? /^axis (\d+) /.exec(d.message)?.[1] : undefined;
    const symbol = /--dim (\S+)=SIZE/.exec(d.hint ?? '')?.[1];
    return Number(axis ?? 0) >= 2 ? symbol : undefined;
  });
  return symbols.every((s) => s !== undefined) ? [...new Set(symbols)] : [];
}

interface SymbolicMacs {
  readonly expr: string | null;
  readonly reason?: string;
}

function symbolicMacs(
  model: AuditModel,
  dims: Dimensions,
  { graph, dims: open }: SpecialisedModel,
  examples: readonly string[],
): SymbolicMacs {
  const macs = graphCost(graph).totals.macs;
  const batches = [...new Set(open.filter((d) => d.assumed).map((d) => d.symbol))];
  if (model instanceof Graph || batches.length + examples.length === 0) return { expr: String(macs) };
  const symbols: SampledSymbol[] = [
    ...batches.map((name) => ({ name, points: [1, 2, 3], checks: [5] })),
    ...examples.map((name) => ({
      name,
      points: [0, 1, 2, 3].map((i) => EXAMPLE_SIZE + i * LATTICE),
      checks: [EXAMPLE_SIZE + 1, EXAMPLE_SIZE + LATTICE / 2, EXAMPLE_SIZE + 3 * LATTICE + 5],
    })),
  ];
  let failedAt = '';
  try {
    const fit = fitPolynomial(symbols, (sizes) => {
      failedAt = Object.entries(sizes)
        .map(([name, size]) => `${name} = ${size}`)
        .join(', ');
      return graphCost(model({ ...dims, ...sizes }).graph).totals.macs;
    });
    return fit.polynomial ? { expr: formatPolynomial(fit.polynomial) } : { expr: null, reason: fit.reason };
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return {
      expr: null,
      reason: `the model does not accept ${failedAt}: ${error.diagnostics[0]?.message ?? ''}`,
    };
  }
}

function totalsOf(
  { cost, liveness, sizeKnown }: Facts,
  { expr, reason }: SymbolicMacs,
  examples: readonly string[],
): AuditReport['totals'] {
  const { totals } = cost;
  // what no size changes is known without the sizes
  const known = sizeKnown || expr === String(totals.macs);
  return {
    macs: known ? totals.macs : null,
    ...(known ? {} : { macsReason: `${examples.join(', ')} not given` }),
    macsExpr: expr,
    ...(reason === undefined ? {} : { macsExprReason: reason }),
    ...sizedCosts(totals, sizeKnown),
    flops: known ? totals.flops : null,
    parameters: totals.parameters,
    buffers: totals.buffers,
    parameterBytes: totals.parameterBytes,
    peakActivationBytes: sizeKnown ? liveness.peakBytes : null,
    peakLayer: liveness.peakNode?.name ?? null,
  };
}

const sizedCosts = (cost: NodeCost, known: boolean) => ({
  flops: known ? cost.flops : null,
  otherOps: known ? cost.otherOps : null,
  bytesRead: known ? cost.bytesRead : null,
  bytesWritten: known ? cost.bytesWritten : null,
  intensity: known ? cost.intensity : null,
});

function layerOf(node: Node, { cost, fields, live, sizeKnown }: Facts): AuditLayer {
  const own = cost.nodes.get(node) ?? sumCosts([]);
  const total = cost.totals.macs;
  const conv = classifyConv(node);
  const first = node.outputs[0];
  return {
    name: node.name,
    op: node.op,
    kind: conv?.kind ?? node.op,
    label: conv?.label ?? node.op,
    module: modulePath(node.name),
    // none at one size is none at every size
    macs: sizeKnown || own.macs === 0 ? own.macs : null,
    macsShare: sizeKnown || own.macs === 0 ? share(own.macs, total) : null,
    ...sizedCosts(own, sizeKnown),
    flops: sizeKnown || own.macs === 0 ? own.flops : null,
    parameters: own.parameters,
    sharedParameters: own.sharedParameters,
    buffers: own.buffers,
    parameterBytes: own.parameterBytes,
    liveBytes: sizeKnown ? (live.get(node) ?? 0) : null,
    inputs: node.operands.flatMap((v) => (v && v.source.kind !== 'constant' ? [v.name] : [])),
    outputs: node.outputs.map(tensorOf),
    outputShape: [...(first?.type.shape ?? [])],
    ...fieldOf(first ? (fields.traces.get(first) ?? []) : []),
  };
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/**
 * Exporters join modules by slashes, a member of a container with the container's name before it, and end with the op:
 * `/features/features.1/conv/conv.0/conv.0.0/Conv` is in `features.1.conv.0.0`.
 */
function modulePath(name: string): string {
  const path: string[] = [];
  for (const module of name.split('/').slice(0, -1)) {
    const last = path.at(-1);
    if (last !== undefined && module.startsWith(`${last}.`)) path.pop();
    if (module !== '') path.push(module);
  }
  return path.join('.');
}

const tensorOf = (value: Value) => ({
  name: value.name,
  dtype: value.type.dtype,
  shape: [...value.type.shape],
});

/** The field in the first input that reaches the value. */
function fieldOf(traces: readonly InputTrace[]): Pick<AuditLayer, 'receptiveField' | 'localReceptiveField'> {
  const axes = traces[0]?.axes;
  if (!axes) return { receptiveField: null };
  const local = axes.map(({ moving }): AuditField => (moving ? envelope(moving.map) : 'global'));
  const seen = axes.map(({ global }, i): AuditField => (global ? 'global' : (local[i] ?? 'global')));
  if (seen.some((f) => f !== 'global')) return { receptiveField: seen };
  const gated = local.some((f) => f !== 'global');
  return { receptiveField: 'global', ...(gated ? { localReceptiveField: local } : {}) };
}

function kindsOf(layers: readonly AuditLayer[], { cost }: Facts): AuditReport['byKind'] {
  const kinds = new Map<string, { layers: number; macs: number | null; parameters: number }>();
  for (const layer of layers) {
    const before = kinds.get(layer.kind) ?? { layers: 0, macs: 0, parameters: 0 };
    kinds.set(layer.kind, {
      layers: before.layers + 1,
      macs: before.macs === null || layer.macs === null ? null : before.macs + layer.macs,
      parameters: before.parameters + layer.parameters,
    });
  }
  return [...kinds]
    .map(([kind, sums]) => ({
      kind,
      layers: sums.layers,
      macs: sums.macs,
      macsShare: sums.macs === null ? null : share(sums.macs, cost.totals.macs),
      parameters: sums.parameters,
    }))
    .sort((a, b) => (b.macs ?? 1) - (a.macs ?? 1) || b.parameters - a.parameters || b.layers - a.layers);
}

const misalignedOf = ({ misaligned }: ReceptiveFields): AuditReport['misaligned'] =>
  misaligned.map(({ node, inputAxis, paths }) => ({
    layer: node.name,
    axis: inputAxis,
    paths: paths.map(({ via, field, centre }) => ({ via: via.name, field, centre })),
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
