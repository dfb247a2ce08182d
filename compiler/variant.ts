/** The network at one set of input shapes, before any pass: what becomes one specialisation of a bundle. */
import { cloneGraph } from '#ir/clone.ts';
import { CompileError, type Diagnostic, diagnostic, fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { formatType } from '#ir/types.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import type { PictureInput } from '#runtime/abi.ts';
import { preprocessGraph } from './preprocess/graph.ts';
import type { PictureSize, PreprocessOptions } from './preprocess/options.ts';

export interface Variant {
  readonly graph: Graph;
  /** What the manifest says of inputs that are pictures. */
  readonly pictures: ReadonlyMap<string, PictureInput>;
  /** Of the network as it was given. */
  readonly macs: number;
  readonly parameters: number;
}

/**
 * One variant per graph, or with preprocessing per graph and size of picture; the graphs are left as they are.
 * @throws CompileError `usage-invalid` for outputs that are not there, and where two variants take the same inputs
 */
export function variantsOf(
  sources: readonly Graph[],
  outputs: readonly string[],
  preprocess: PreprocessOptions | undefined,
): readonly Variant[] {
  const variants = sources.flatMap((source): readonly Variant[] => {
    const graph = withOutputs(source, outputs);
    const { macs, parameters } = graphCost(graph).totals;
    if (!preprocess) return [{ graph, pictures: new Map(), macs, parameters }];
    return pictureSizes(preprocess).map((size) => ({
      ...preprocessGraph(graph, preprocess, size),
      macs,
      parameters,
    }));
  });
  const seen = new Set<string>();
  for (const { graph } of variants) {
    const inputs = graph.inputs.map(({ name, type }) => `${name} ${formatType(type)}`).join(', ');
    if (seen.has(inputs))
      fail('usage-invalid', graph.name, `two specialisations take the same inputs: ${inputs}`);
    seen.add(inputs);
  }
  return variants;
}

function pictureSizes({ source }: PreprocessOptions): readonly (PictureSize | undefined)[] {
  if (source === undefined) return [undefined];
  return 'width' in source ? [source] : source;
}

/** A copy of the graph with more of its values as outputs: no pass removes what is an output. */
function withOutputs(source: Graph, names: readonly string[]): Graph {
  const graph = cloneGraph(source);
  const known = new Map(
    graph.values.flatMap((v) => (v.source.kind === 'node' ? [[v.name, v] as const] : [])),
  );
  const taken = new Set(graph.outputs.map((o) => o.name));
  const problems: Diagnostic[] = [];
  for (const name of new Set(names)) {
    if (taken.has(name)) continue;
    const value = known.get(name);
    if (value) graph.addOutput(name, value);
    else
      problems.push(diagnostic('usage-invalid', name, 'no layer of the network gives a value of this name'));
  }
  if (problems.length > 0) throw new CompileError(problems);
  return graph;
}
