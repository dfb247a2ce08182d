import { describe, expect, test } from 'vitest';
import { Builder } from '#ir/builder.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { envelope, mapAt } from '#ir/window.ts';
import { receptiveFields } from '#passes/analysis/receptive-field.ts';
import { absent, Network } from './networks.ts';

/** size/stride/padding along the first spatial axis, as the table of Araujo et al. prints them. */
function triple(graph: Graph, value: Value | undefined): string {
  const trace = value && receptiveFields(graph).traces.get(value)?.[0]?.axes[0];
  if (!trace) return 'none';
  if (trace.global || !trace.moving) return 'global';
  const { size, stride, padding } = envelope(trace.moving.map);
  return `${size}/${stride}/${padding}`;
}

const triples = (n: Network) =>
  Object.fromEntries([...n.marks].map(([name, value]) => [name, triple(n.done(), value)]));

// Araujo, Norris, Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019, and the table of its
// repository (TF-slim networks at 224², SAME padding for known sizes)
describe('published fields', () => {
  test('alexnet_v2', () => {
    const n = new Network(224);
    n.conv(11, { stride: 4, padding: 'valid' }).mark('conv1').pool(3, 2).mark('pool1').conv(5).mark('conv2');
    n.pool(3, 2).conv(3).mark('conv3').conv(3).mark('conv4').conv(3).mark('conv5').pool(3, 2).mark('pool5');
    expect(triples(n)).toEqual({
      conv1: '11/4/0',
      pool1: '19/8/0',
      conv2: '51/8/16',
      conv3: '99/16/32',
      conv4: '131/16/48',
      conv5: '163/16/64',
      pool5: '195/32/64',
    });
  });

  test('vgg_16', () => {
    const n = new Network(224);
    [2, 2, 3, 3, 3].forEach((convs, i) => {
      for (let c = 1; c <= convs; c++) n.conv(3).mark(`conv${i + 1}_${c}`);
      n.pool(2, 2).mark(`pool${i + 1}`);
    });
    expect(triples(n)).toMatchObject({
      conv1_1: '3/1/1',
      pool1: '6/2/2',
      pool2: '16/4/6',
      pool3: '44/8/18',
      pool4: '100/16/42',
      pool5: '212/32/90',
    });
  });

  /** TF-slim: the stride in the last unit of a block, explicit padding where a conv has one, a subsampled shortcut. */
  const slimResnet = (units: readonly number[]): Network => {
    const n = new Network(224).conv(7, { stride: 2, padding: 3 }).pool(3, 2, 'same');
    units.forEach((count, block) => {
      for (let u = 0; u < count; u++) {
        const stride = u === count - 1 && block < 3 ? 2 : 1;
        n.branches(
          'Add',
          (m) => m.conv(1).conv(3, { stride, padding: 1 }).conv(1),
          (m) => (stride === 1 ? m : m.pool(1, stride)),
        );
      }
      n.mark(`block${block + 1}`);
    });
    return n;
  };

  test('resnet_v1_50, _101 and _152, without misaligned paths', () => {
    const n = slimResnet([3, 4, 6, 3]);
    expect(triples(n)).toEqual({
      block1: '35/8/15',
      block2: '99/16/47',
      block3: '291/32/143',
      block4: '483/32/239',
    });
    expect(receptiveFields(n.graph).misaligned).toEqual([]);
    expect(triples(slimResnet([3, 4, 23, 3])).block4).toBe('1027/32/511');
    expect(triples(slimResnet([3, 8, 36, 3])).block4).toBe('1507/32/751');
  });

  test('mobilenet_v1', () => {
    const n = new Network(224).conv(3, { stride: 2 }).mark('Conv2d_0');
    [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1].forEach((stride, i) => {
      n.conv(3, { stride })
        .conv(1)
        .mark(`Conv2d_${i + 1}_pointwise`);
    });
    expect(triples(n)).toMatchObject({
      Conv2d_0: '3/2/0',
      Conv2d_6_pointwise: '59/16/14',
      Conv2d_11_pointwise: '219/16/94',
      Conv2d_13_pointwise: '315/32/126',
    });
  });

  test('inception_v3', () => {
    const valid = { padding: 'valid', stride: 2 } as const;
    const n = new Network(299).conv(3, valid).conv(3, { padding: 'valid' }).conv(3).pool(3, 2);
    n.conv(1).conv(3, { padding: 'valid' }).pool(3, 2);
    for (const name of ['5b', '5c', '5d']) {
      n.branches(
        'Concat',
        (m) => m.conv(1),
        (m) => m.conv(1).conv(5),
        (m) => m.conv(1).conv(3).conv(3),
        (m) => m.pool(3, 1, 'same').conv(1),
      ).mark(`Mixed_${name}`);
    }
    n.branches(
      'Concat',
      (m) => m.conv(3, valid),
      (m) => m.conv(1).conv(3).conv(3, valid),
      (m) => m.pool(3, 2),
    ).mark('Mixed_6a');
    for (const name of ['6b', '6c', '6d', '6e']) {
      n.branches(
        'Concat',
        (m) => m.conv(1),
        (m) => m.conv(1).conv([1, 7]).conv([7, 1]),
        (m) => m.conv(1).conv([7, 1]).conv([1, 7]).conv([7, 1]).conv([1, 7]),
        (m) => m.pool(3, 1, 'same').conv(1),
      ).mark(`Mixed_${name}`);
    }
    n.branches(
      'Concat',
      (m) => m.conv(1).conv(3, valid),
      (m) => m.conv(1).conv([1, 7]).conv([7, 1]).conv(3, valid),
      (m) => m.pool(3, 2),
    ).mark('Mixed_7a');
    for (const name of ['7b', '7c']) {
      n.branches(
        'Concat',
        (m) => m.conv(1),
        (m) => m.conv(1).conv([1, 3]),
        (m) =>
          m
            .conv(1)
            .conv(3)
            .branches(
              'Concat',
              (k) => k.conv([1, 3]),
              (k) => k.conv([3, 1]),
            ),
        (m) => m.pool(3, 1, 'same').conv(1),
      ).mark(`Mixed_${name}`);
    }
    expect(triples(n)).toMatchObject({
      Mixed_5d: '127/8/50',
      Mixed_6a: '159/16/58',
      Mixed_6e: '927/16/442',
      Mixed_7a: '1055/32/490',
      Mixed_7c: '1311/32/618',
    });
    expect(receptiveFields(n.graph).misaligned).toEqual([]);
  });

  test('inception_v2', () => {
    const down = { stride: 2 } as const;
    const n = new Network(224).conv(7, down).pool(3, 2, 'same').conv(1).conv(3).pool(3, 2, 'same');
    const mixed = (name: string) =>
      n
        .branches(
          'Concat',
          (m) => m.conv(1),
          (m) => m.conv(1).conv(3),
          (m) => m.conv(1).conv(3).conv(3),
          (m) => m.pool(3, 1, 'same').conv(1),
        )
        .mark(`Mixed_${name}`);
    const reduced = () =>
      n.branches(
        'Concat',
        (m) => m.conv(1).conv(3, down),
        (m) => m.conv(1).conv(3).conv(3, down),
        (m) => m.pool(3, 2, 'same'),
      );
    for (const name of ['3b', '3c']) mixed(name);
    reduced();
    for (const name of ['4b', '4c', '4d', '4e']) mixed(name);
    reduced();
    for (const name of ['5b', '5c']) mixed(name);
    expect(triples(n)).toMatchObject({ Mixed_4e: '379/16/174', Mixed_5c: '699/32/318' });
  });

  // a well-known primer on the kinds of convolution; Yu and Koltun, 2016
  test('stacked dilations 1, 2, 4 see 3, 7 and 15', () => {
    const n = new Network(64);
    for (const l of [1, 2, 4]) n.conv(3, { dilation: l }).mark(`l${l}`);
    expect(triples(n)).toEqual({ l1: '3/1/1', l2: '7/1/3', l4: '15/1/7' });
  });
});

test('a transposed conv has a period: k3 s2 sees [0], [0], [0,1], [1], [1,2]', () => {
  const b = new Builder();
  const w = b.constant('w', absent([1, 1, 3]));
  const attrs = { strides: [2], dilations: [1], pads: [0, 0], group: 1, outputPadding: [0] };
  const y = b.op('ConvTranspose', [b.input('x', [1, 1, 8]), w], attrs);
  const moving = receptiveFields(b.graph).traces.get(y)?.[0]?.axes[0]?.moving;
  if (!moving) throw new Error('no field');
  // position −1 is outside the input
  expect([0, 1, 2, 3, 4].map((o) => mapAt(moving.map, o))).toEqual([
    [-1, 2],
    [0, 1],
    [0, 2],
    [1, 1],
    [1, 2],
  ]);
  expect(envelope(moving.map)).toEqual({ size: 2, stride: 0.5, padding: 1, period: 2 });
});

describe('joins', () => {
  test('paths of other centres are reported, and joined', () => {
    const n = new Network(32).branches(
      'Add',
      (m) => m.conv(3, { padding: 'valid' }),
      (m) => m.pool(3, 1).conv([1, 1]),
    );
    expect(receptiveFields(n.done()).misaligned).toEqual([]);

    const b = new Builder();
    const x = b.input('x', [1, 1, 16, 16]);
    const w = b.constant('w', absent([1, 1, 2, 2]));
    const y = b.add(b.conv(x, w, { pads: [0, 0, 1, 1], name: 'shifted' }), x);
    const { misaligned } = receptiveFields(b.graph);
    expect(misaligned.map((m) => m.inputAxis)).toEqual([2, 3]);
    expect(misaligned[0]?.paths.map((p) => p.centre)).toEqual([0.5, 0]);
    expect(triple(b.graph, y)).toBe('2/1/0');
  });

  test('other strides are reported, and the field counts as global', () => {
    const b = new Builder();
    const x = b.input('x', [1, 1, 8]);
    const pool = { kernel: [1], strides: [2], dilations: [1], pads: [0, 0] };
    const half = b.op('Slice', [x], { starts: [0, 0, 0], steps: [1, 1, 1], sizes: [1, 1, 4] });
    const y = b.add(b.op('MaxPool', [x], pool), half);
    const fields = receptiveFields(b.graph);
    const axis = fields.traces.get(y)?.[0]?.axes[0];
    expect([axis?.global, axis?.reason, axis?.moving]).toEqual([
      true,
      'paths with different effective strides meet',
      undefined,
    ]);
    expect(axis?.globalBy).toBe(b.graph.nodes.at(-1));
    expect(fields.misaligned[0]?.paths.map((p) => p.field.stride)).toEqual([2, 1]);
  });

  test('a squeeze-excite gate makes the field global; the field without it is kept', () => {
    const n = new Network(32).conv(3);
    const gate = n.b.op('GlobalAveragePool', [n.x], {});
    const y = n.b.op('Mul', [n.x, gate], {});
    const axis = receptiveFields(n.graph).traces.get(y)?.[0]?.axes[0];
    expect(axis?.global).toBe(true);
    expect(axis?.moving && envelope(axis.moving.map).size).toBe(3);
    expect(triple(n.graph, gate)).toBe('global');
  });

  test('flatten and a dense layer see the whole input', () => {
    const b = new Builder();
    const x = b.input('x', [1, 2, 4, 4]);
    const flat = b.op('Flatten', [x], { axis: 1 });
    const y = b.op('Gemm', [flat, b.constant('w', f32([32, 3], new Array<number>(96).fill(0)))], {});
    expect(triple(b.graph, y)).toBe('global');
  });

  test('fields follow an axis through Transpose, and each input has its own', () => {
    const b = new Builder();
    const x = b.input('x', [1, 1, 8, 16]);
    const y = b.input('y', [1, 1, 8, 16]);
    const w = b.constant('w', absent([1, 1, 3, 1]));
    const turned = b.op('Transpose', [b.conv(x, w)], { perm: [0, 1, 3, 2] });
    const trace = receptiveFields(b.graph).traces.get(turned)?.[0];
    expect(trace?.axes.map((a) => a.moving?.axis)).toEqual([3, 2]);
    expect(trace?.axes.map((a) => a.moving && envelope(a.moving.map).size)).toEqual([3, 1]);
    const sum = b.add(x, y);
    expect(
      receptiveFields(b.graph)
        .traces.get(sum)
        ?.map((t) => t.input.name),
    ).toEqual(['x', 'y']);
  });

  test('an epilogue operand joins too', () => {
    const b = new Builder();
    const x = b.input('x', [1, 1, 16]);
    const side = b.conv(x, b.constant('w', absent([1, 1, 5])), { pads: [2, 2] });
    const node = b.node(
      'Relu',
      [x],
      {},
      {
        epilogue: {
          expr: { kind: 'binary', fn: 'add', x: { kind: 'arg', index: 0 }, y: { kind: 'arg', index: 1 } },
          operands: [side],
        },
      },
    );
    expect(triple(b.graph, node.outputs[0])).toBe('5/1/2');
  });
});
