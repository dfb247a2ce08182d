/** Arenas of every network of the zoo: as the graph is, and as it is compiled. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { footprintOf } from '#compiler/audit/footprint.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { graphLiveness } from '#passes/analysis/liveness.ts';
import { collectionFile, withModels, zooNames } from '../support/collection.ts';

/** No plan may be more than this above the largest live set, which no plan is below. */
const MOST_ABOVE = 1.05;

withModels.describe('the plan of activations is close to the bound', () => {
  test.each(zooNames())('%s', (name) => {
    const { graph } = importOnnx(readFileSync(collectionFile(`zoo/${name}.onnx`)));
    const { peakBytes, liveBytes } = graphLiveness(graph);
    expect(peakBytes).toBeGreaterThanOrEqual(liveBytes);
    expect(peakBytes / liveBytes).toBeLessThanOrEqual(MOST_ABOVE);
    const { activationBytes, activationLowerBoundBytes } = footprintOf(graph);
    expect(activationBytes).toBeGreaterThanOrEqual(activationLowerBoundBytes);
    expect(activationBytes / activationLowerBoundBytes).toBeLessThanOrEqual(MOST_ABOVE);
  });
});
