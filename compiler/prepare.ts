/** What comes before kernels are chosen: the model at each of its sizes, and its passes. */
import { cloneGraph } from '#ir/clone.ts';
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline, lowerPipeline } from '#passes/pipeline.ts';
import {
  type CompileGraphOptions,
  type CompileOptions,
  type CompileStage,
  throwAny,
} from './compile-options.ts';
import { importModel } from './import/index.ts';
import type { ImportedModel } from './import/onnx/index.ts';
import { rejectUnknownOptions } from './options.ts';
import { pause } from './pause.ts';
import { wasmTarget } from './targets/wasm/index.ts';
import type { Variant } from './variant.ts';

/** The model once for each specialisation. @throws CompileError also for weights in files that were not given */
export function importSizes(
  bytes: Uint8Array,
  {
    name,
    dims,
    shapes,
    specialisations: sizes = [{}],
    externalData,
  }: Pick<CompileOptions, 'name' | 'dims' | 'shapes' | 'specialisations' | 'externalData'>,
): readonly ImportedModel[] {
  if (sizes.length === 0) throwAny([diagnostic('usage-invalid', 'specialisations', 'none are given')]);
  for (const one of sizes) rejectUnknownOptions(one, ['dims', 'shapes'], 'a specialisation');
  const models = sizes.map((one) =>
    importModel(bytes, {
      ...(name === undefined ? {} : { name }),
      dims: { ...dims, ...one.dims },
      shapes: { ...shapes, ...one.shapes },
      ...(externalData && { externalData }),
    }),
  );
  const missing = new Set(models.flatMap((model) => model.missingFiles));
  throwAny(
    [...missing].map((file) =>
      diagnostic('external-missing', file, 'the model keeps weights in this file, and it was not given'),
    ),
  );
  return models;
}

/** The graph after all passes. @throws CompileError for weights that are missing and nodes that the target lacks */
export async function optimised(variant: Variant, options: Watched): Promise<Graph> {
  const progress = await stage('optimise', options);
  const graph = cloneGraph(variant.graph);
  const pipeline = options.signal ? { signal: options.signal } : {};
  runPipeline(graph, graphPipeline, pipeline);
  throwAny(missingWeights(graph));
  progress(0.5);
  runPipeline(graph, lowerPipeline, pipeline);
  throwAny(wasmTarget.unsupported(graph));
  progress(1);
  return graph;
}

const missingWeights = (graph: Graph): Diagnostic[] =>
  graph.values.flatMap(({ name, source }) =>
    source.kind === 'constant' && 'missing' in source.constant
      ? [diagnostic('weights-missing', name, source.constant.missing)]
      : [],
  );

/** Who is told what is under way. */
type Watched = Pick<CompileGraphOptions, 'signal' | 'onProgress'>;

/** Announces a stage, and lets the event loop turn, so that a page stays alive and an abort is noticed. */
export async function stage(
  name: CompileStage,
  { signal, onProgress }: Watched,
): Promise<(fraction: number) => void> {
  onProgress?.(name, 0);
  await pause();
  signal?.throwIfAborted();
  return (fraction) => onProgress?.(name, fraction);
}
