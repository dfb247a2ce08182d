/** Single paths of a network against all of them, one by one. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import { opDef, ownInputs, type Value } from '#ir/graph.ts';
import { composeMaps, envelope, IDENTITY_MAP, type PositionMap } from '#ir/window.ts';
import { partingPaths } from '#passes/analysis/parting-paths.ts';
import { receptiveFields } from '#passes/analysis/receptive-field.ts';
import { fieldNetwork, fieldSteps } from '../../support/field-graphs.ts';
import { absent } from './networks.ts';

/** The map of each path from the input to a value along its axis 2, those that see everything left out. */
function pathMaps(value: Value): readonly PositionMap[] {
  const { source } = value;
  if (source.kind === 'input') return [IDENTITY_MAP];
  if (source.kind !== 'node') return [];
  const { node } = source;
  const inputs = ownInputs(node);
  const context = {
    attrs: node.attrs,
    inputs: inputs.map((v) => v?.type),
    outputs: node.outputs.map((v) => v.type),
  };
  return inputs.flatMap((operand, slot) => {
    const field = opDef(node.op).field(context, 0, slot)[2];
    if (!operand || field?.kind !== 'axis' || field.axis !== 2) return [];
    return pathMaps(operand).map((map) => composeMaps(field.map, map));
  });
}

test('the shortest and the longest path are those of all paths, one by one', () => {
  let differing = 0;
  fc.assert(
    fc.property(fieldSteps(8), (steps) => {
      const { graph, values } = fieldNetwork(steps);
      const { traces } = receptiveFields(graph);
      for (const value of values) {
        const moving = traces.get(value)?.[0]?.axes[0]?.moving;
        if (!moving) continue;
        const paths = pathMaps(value);
        const sizes = paths.map((map) => envelope(map).size);
        const [shortest, longest] = [envelope(moving.shortest).size, envelope(moving.longest).size];
        expect(sizes).toContain(shortest);
        expect(sizes).toContain(longest);
        // a period makes sizes depend on where a path stands in it: which is smaller can change on the way
        if (paths.some((map) => map.phases.length > 1)) continue;
        expect([shortest, longest]).toEqual([Math.min(...sizes), Math.max(...sizes)]);
        if (shortest < longest) differing++;
      }
    }),
    { numRuns: 200 },
  );
  expect(differing).toBeGreaterThan(20);
});

test('misaligned paths are named from where they part', () => {
  const b = new Builder();
  const conv = (x: Value, name: string, pads: readonly number[]) =>
    b.conv(x, b.constant('w', absent([1, 1, 3])), { pads, name });
  const stem = conv(b.input('x', [1, 1, 32]), 'stem', [1, 1]);
  const main = conv(b.relu(conv(stem, 'a', [1, 1])), 'b', [2, 0]);
  const branch = conv(stem, 'c', [1, 1]);
  b.output('y', b.add(b.add(branch, stem), main));
  const [at] = receptiveFields(b.graph).misaligned;
  if (!at) throw new Error('not misaligned');
  const { from, paths } = partingPaths(b.graph)(at);
  expect(from?.source.kind === 'node' && from.source.node.name).toBe('stem');
  expect(paths.map((path) => path.map((node) => node.name))).toEqual([
    ['c', 'Add_5'],
    ['a', 'Relu_2', 'b'],
  ]);
});
