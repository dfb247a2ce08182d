import { describe, expect, test } from 'vitest';
import { parsePosition, seenFrom } from '#compiler/audit/at.ts';
import { renderSeen } from '#compiler/report/at.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError } from '#ir/diagnostics.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32, type Tensor } from '#ir/tensor.ts';
import { positions } from '../support/op.ts';

const SHAPE = [1, 1, 16, 13];
const ones = (shape: readonly number[], raised = -1): Tensor => {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1);
  if (raised >= 0) data[raised] = 2;
  return f32(shape, data);
};

/** Two convolutions, the second with a stride; its result enlarged to twice the size; a filter over that. */
function network(): { graph: Graph; layers: Value[] } {
  const b = new Builder();
  const weight = (k: number) => b.constant('w', ones([1, 1, k, k]));
  const first = b.conv(b.input('x', SHAPE), weight(3), { pads: [1, 1, 1, 1] });
  const second = b.conv(first, weight(3), { strides: [2, 2], pads: [1, 0, 0, 1] });
  const [, , h = 0, w = 0] = second.type.shape;
  const wide = b.op('Resize', [second], {
    mode: 'linear',
    coordinates: 'half_pixel',
    scales: [1, 1, 2, 2],
    sizes: [1, 1, 2 * h, 2 * w],
  });
  const edged = b.op('Pad', [wide], { mode: 'reflect', pads: [0, 0, 2, 1, 0, 0, 1, 2] });
  const last = b.conv(edged, weight(2));
  b.output('y', last);
  return { graph: b.graph, layers: [first, second, wide, edged, last] };
}

test('every position sees the box of what changes it', () => {
  const { graph, layers } = network();
  const run = (x: Tensor) => evaluateGraph(graph, new Map([['x', x]]), { keep: new Set(layers) });
  const base = run(ones(SHAPE));
  const raised = positions(SHAPE).map((at, i) => ({ at, values: run(ones(SHAPE, i)) }));
  let compared = 0;
  for (const layer of layers) {
    positions(layer.type.shape).forEach((place, o) => {
      const changing = raised.filter(({ values }) => values.get(layer)?.data[o] !== base.get(layer)?.data[o]);
      const hull = [2, 3].map((axis) => {
        const along = changing.map(({ at }) => at[axis] ?? 0);
        return { start: Math.min(...along), end: Math.max(...along) + 1 };
      });
      const name = layer.source.kind === 'node' ? layer.source.node.name : '';
      const [input] = seenFrom(graph, name, place.slice(2)).inputs;
      expect(
        input?.axes.map((a) => a.seen),
        `${name} at ${place}`,
      ).toEqual(hull);
      compared++;
    });
  }
  expect(compared).toBe(layers.reduce((sum, l) => sum + positions(l.type.shape).length, 0));
});

test('the share of padding is what of the field is outside the image', () => {
  const { graph, layers } = network();
  const name = layers[0]?.source.kind === 'node' ? layers[0].source.node.name : '';
  const corner = seenFrom(graph, name, [0, 0]);
  expect(corner.inputs[0]?.paddingShare).toBeCloseTo(5 / 9, 12);
  expect(seenFrom(graph, name, [4, 4]).inputs[0]?.paddingShare).toBe(0);
  expect(renderSeen(corner).replace(/ +/g, ' ')).toContain('x 2 16 -1…1 0…1 55.6 %');
});

describe('what there is not is refused', () => {
  const { graph } = network();
  const message = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof CompileError) return error.diagnostics.map((d) => `${d.message} ${d.hint}`).join();
    }
    return 'nothing was thrown';
  };
  const [first] = graph.nodes;
  const name = first?.name ?? '';
  test('an unknown layer', () => {
    expect(message(() => seenFrom(graph, `${name}x`, [0, 0]))).toMatch(`did you mean ${name}`);
  });
  test('the wrong number of axes', () => {
    expect(message(() => seenFrom(graph, name, [3]))).toMatch('1 numbers for 2 spatial axes');
  });
  test('a position outside', () => {
    expect(message(() => seenFrom(graph, name, [3, 13]))).toMatch('position 13 is outside axis 3');
  });
  test('a text that is no position', () => {
    expect(message(() => parsePosition('conv1,3y5'))).toMatch('it is not LAYER,POSITION');
    expect(parsePosition('a,b,3x5')).toEqual({ layer: 'a,b', position: [3, 5] });
  });
});

test('a layer goes by the name that tables show, where that is one layer', () => {
  const b = new Builder();
  let value = b.input('x', [1, 1, 9, 9]);
  for (const name of ['/stem/Conv', '/body/body.0/Conv', '/body/body.0/Conv_1']) {
    value = b.conv(value, b.constant('w', ones([1, 1, 3, 3])), { name });
  }
  b.output('y', value);
  expect(seenFrom(b.graph, 'stem', [0, 0])).toEqual(seenFrom(b.graph, '/stem/Conv', [0, 0]));
  expect(seenFrom(b.graph, 'body.0/Conv_1', [1, 2])).toEqual(
    seenFrom(b.graph, '/body/body.0/Conv_1', [1, 2]),
  );
  expect(() => seenFrom(b.graph, 'body.0', [0, 0])).toThrow('there is no layer of this name');
});

test.each(['reflect', 'wrap', 'edge'] as const)(
  'what a border (%s) repeats is seen where it is from',
  (mode) => {
    const bounce = (p: number, size: number): number => {
      if (mode === 'edge') return Math.max(0, Math.min(size - 1, p));
      if (mode === 'wrap') return (p + 4 * size) % size;
      let [at, step] = [0, p < 0 ? -1 : 1];
      for (let i = 0; i < Math.abs(p); i++) {
        if (at + step < 0 || at + step >= size) step = -step;
        at += step;
      }
      return at;
    };
    for (const size of [2, 3, 7]) {
      for (let kernel = 1; kernel <= 3 * size - 2; kernel++) {
        const b = new Builder();
        const before = size - 1;
        const edged = b.op('Pad', [b.input('x', [1, 1, size, 1])], {
          mode,
          pads: [0, 0, before, 0, 0, 0, before, 0],
        });
        b.output('y', b.conv(edged, b.constant('w', ones([1, 1, kernel, 1])), { name: 'conv' }));
        for (let p = 0; p + kernel <= size + 2 * before; p++) {
          const along = Array.from({ length: kernel }, (_, i) => bounce(p + i - before, size));
          expect(
            seenFrom(b.graph, 'conv', [p, 0]).inputs[0]?.axes[0]?.seen,
            `${mode} ${size} ${kernel} ${p}`,
          ).toEqual({ start: Math.min(...along), end: Math.max(...along) + 1 });
        }
      }
    }
  },
);

test('a mirrored axis of 400,000 positions is seen whole', () => {
  const b = new Builder();
  const edged = b.op('Pad', [b.input('x', [1, 1, 400_000])], {
    mode: 'reflect',
    pads: [0, 0, 200, 0, 0, 200],
  });
  b.output('y', b.op('GlobalAveragePool', [edged], {}, { name: 'mean' }));
  const [input] = seenFrom(b.graph, 'mean', [0]).inputs;
  expect(input?.axes[0]?.seen).toEqual({ start: 0, end: 400_000 });
});

test('a second output answers for itself, and is named', () => {
  const b = new Builder();
  const node = b.node('Split', [b.input('x', [1, 1, 10, 9])], { axis: 2, sizes: [5, 5] });
  for (const value of node.outputs) b.output(value.name, value);
  const [top, bottom] = node.outputs;
  const at = (name = '') => seenFrom(b.graph, name, [4, 4]);
  const rows = (seen: ReturnType<typeof at>) => seen.inputs[0]?.axes[0]?.seen;
  expect(rows(at(bottom?.name))).toEqual({ start: 9, end: 10 });
  expect(at(bottom?.name)).toMatchObject({ layer: node.name, output: bottom?.name });
  expect(renderSeen(at(bottom?.name))).toContain(`${bottom?.name} of ${node.name} at 4×4 sees`);
  expect(rows(at(top?.name))).toEqual({ start: 4, end: 5 });
  expect(at(node.name)).toEqual(at(top?.name));
  expect(seenFrom(network().graph, network().graph.nodes[0]?.name ?? '', [0, 0]).output).toBeNull();
});
