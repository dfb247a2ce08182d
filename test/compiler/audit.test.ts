import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type AuditModel,
  audit,
  type Dimensions,
  type OpenDimension,
  type SpecialisedModel,
} from '#compiler/audit/index.ts';
import { auditSchema } from '#compiler/audit/schema.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { Builder } from '#ir/builder.ts';
import { CompileError, type Diagnostic, diagnostic, fail } from '#ir/diagnostics.ts';
import type { Shape } from '#ir/types.ts';
import { samePadding } from '#ir/window.ts';
import { absent } from '../passes/analysis/networks.ts';
import { collectionFile, withModels } from '../support/collection.ts';
import { info, node, onnxModel, stored } from '../support/onnx.ts';

const report = (model: AuditModel, dims = {}) => {
  const result = audit(model, { dims });
  expect(auditSchema.parse(structuredClone(result))).toEqual(result);
  return result;
};

/** Two convs, the second with a stride, and a dense layer if `dense`, over an input of the given shape. */
function network([n = 1, c = 1, h = 1, w = 1]: Shape, stride = 1) {
  const b = new Builder('small');
  const x = b.input('image', [n, c, h, w]);
  const first = b.conv(x, b.constant('w', absent([8, c, 3, 3])), {
    pads: [1, 1, 1, 1],
    name: '/body/body.0/conv/Conv',
  });
  const second = b.conv(b.relu(first), b.constant('w', absent([8, 1, 3, 3])), {
    group: 8,
    strides: [stride, stride],
  });
  b.output('y', second);
  return b.graph;
}

/** A model whose image has the open dimensions that `shape` names; like the importer it takes a batch as 1. */
function open(shape: readonly (number | string)[], stride = 1): (given: Dimensions) => SpecialisedModel {
  return (given) => {
    const dims: OpenDimension[] = [];
    const missing: Diagnostic[] = [];
    const sizes = shape.map((dim, axis) => {
      if (typeof dim === 'number') return dim;
      const size = given[dim] ?? (axis === 0 ? 1 : undefined);
      if (size === undefined) {
        const message = `axis ${axis} of input "image", "${dim}", has no size`;
        const hint = `give it with --dim ${dim}=SIZE or --shape image=1x3xHxW`;
        missing.push({
          ...diagnostic('dimension-missing', 'image', message, hint),
          detail: { kind: 'open-dimension', axis, symbol: dim },
        });
        return 1;
      }
      dims.push({ input: 'image', axis, symbol: dim, size, assumed: given[dim] === undefined });
      return size;
    });
    if (missing.length > 0) throw new CompileError(missing);
    return {
      graph: network(sizes, stride),
      diagnostics: [diagnostic('batch-assumed', 'image', 'taken as 1')],
      dims,
    };
  };
}

// 10·10 outputs × 3·9 × 8, and 8·8 outputs × 9 × 8
const MACS = 100 * 27 * 8 + 64 * 9 * 8;

test('a graph: totals, layers, kinds', () => {
  const r = report(network([1, 3, 10, 10]));
  expect(r.totals).toMatchObject({ macs: MACS, macsExpr: String(MACS), flops: 2 * MACS, parameters: 288 });
  expect(r.layers.map((l) => [l.op, l.kind, l.module])).toEqual([
    ['Conv', 'standard', 'body.0.conv'],
    ['Relu', 'Relu', ''],
    ['Conv', 'depthwise', ''],
  ]);
  expect(r.layers[2]).toMatchObject({
    macs: 64 * 72,
    outputShape: [1, 8, 8, 8],
    receptiveField: [
      { size: 5, stride: 1, padding: 1, period: 1 },
      { size: 5, stride: 1, padding: 1, period: 1 },
    ],
  });
  expect(r.byKind.map((k) => [k.kind, k.layers, k.macs])).toEqual([
    ['standard', 1, 21_600],
    ['depthwise', 1, 4_608],
    ['Relu', 1, 0],
  ]);
  expect(r.layers.reduce((sum, l) => sum + (l.macsShare ?? 0), 0)).toBeCloseTo(1, 12);
});

describe('open dimensions', () => {
  test('a batch counts as 1, and the MACs are a polynomial in it', () => {
    const r = report(open(['batch', 3, 10, 10]));
    expect(r.totals).toMatchObject({ macs: MACS, macsExpr: `${MACS}·batch` });
    expect(r.dims).toEqual([{ symbol: 'batch', size: 1, source: 'batch' }]);
    expect(r.inputs[0]?.symbols).toEqual(['batch', null, null, null]);
    expect(r.diagnostics.map((d) => d.code)).toEqual(['batch-assumed']);
  });

  test('a batch that is given', () => {
    const r = report(open(['batch', 3, 10, 10]), { batch: 4 });
    expect(r.totals).toMatchObject({ macs: 4 * MACS, macsExpr: String(4 * MACS) });
    expect(r.dims).toEqual([{ symbol: 'batch', size: 4, source: 'given' }]);
  });

  test('another dimension that is not given: no number, but a polynomial', () => {
    const r = report(open(['N', 3, 'H', 'W']));
    expect(r.totals.macs).toBeNull();
    expect(r.totals.macsReason).toBe('H, W not given');
    // 216·H·W + 72·(H − 2)·(W − 2), for each image
    expect(r.totals.macsExpr).toBe('288·N·H·W − 144·N·H − 144·N·W + 288·N');
    expect(r.totals).toMatchObject({ flops: null, peakActivationBytes: null, parameters: 288 });
    expect(r.layers.every((l) => (l.macs === null || l.macs === 0) && l.bytesRead === null)).toBe(true);
    expect(r.layers[2]?.receptiveField).toMatchObject([{ size: 5 }, { size: 5 }]);
    expect(r.dims.map((d) => d.source)).toEqual(['batch', 'example', 'example']);
  });

  test('layers of stride 2 round: the polynomial holds for multiples of 32', () => {
    const r = report(open(['N', 3, 'H', 10], 2));
    expect(r.totals).toMatchObject({ macsExpr: '2304·N·H − 288·N', macsExprOnly: 'multiples of 32' });
    for (const H of [32, 416]) {
      expect(report(open(['N', 3, 'H', 10], 2), { H }).totals.macs).toBe(2304 * H - 288);
    }
    expect(report(open(['N', 3, 'H', 10], 2), { H: 33 }).totals.macs).not.toBe(2304 * 33 - 288);
  });

  test('layers of stride 3 round everywhere: there is no polynomial, and the reason names a size', () => {
    const r = report(open(['N', 3, 'H', 10], 3));
    expect(r.totals.macsExpr).toBeNull();
    expect(r.totals).not.toHaveProperty('macsExprOnly');
    expect(r.totals.macsExprReason).toContain('N = 1, H = 225');
  });

  test('a crop that small sizes do not reach: what large ones cost is no total', () => {
    const model: AuditModel = ({ H }) => {
      if (H === undefined) return open([1, 3, 'H', 10])({});
      const b = new Builder('crop');
      const slice = { starts: [0, 0, 0, 0], steps: [1, 1, 1, 1], sizes: [1, 3, Math.min(H, 200), 10] };
      const cropped = b.op('Slice', [b.input('image', [1, 3, H, 10])], slice);
      b.output('y', b.conv(cropped, b.constant('w', absent([1, 3, 1, 1]))));
      const dims = [{ input: 'image', axis: 2, symbol: 'H', size: H, assumed: false }];
      return { graph: b.graph, diagnostics: [], dims };
    };
    expect(report(model).totals).toMatchObject({
      macs: null,
      macsExpr: '6000',
      macsExprOnly: 'sizes from 224',
    });
    expect(report(model, { H: 64 }).totals.macs).toBe(64 * 10 * 3);
  });

  test('padding that depends on a size that is not given is unknown, as is a field that does', () => {
    const same = { kernel: 3, stride: 2, dilation: 1, padBegin: 0, padEnd: 0 };
    const model: AuditModel = ({ H }) => {
      if (H === undefined) return open([1, 3, 'H', 10])({});
      const b = new Builder('same');
      const x = b.input('image', [1, 3, H, 10]);
      const [begin, end] = samePadding(same, H, true);
      const weight = (k: number) => b.constant('w', absent([8, 3, k, 1]));
      const padded = b.conv(x, weight(3), { strides: [2, 1], pads: [begin, 0, end, 0], name: 'same' });
      b.output('y', padded);
      b.output('z', b.conv(x, weight(H % 2 === 0 ? 3 : 5), { name: 'either' }));
      const dims = [{ input: 'image', axis: 2, symbol: 'H', size: H, assumed: false }];
      return { graph: b.graph, diagnostics: [], dims };
    };
    const fields = (dims: Dimensions) => report(model, dims).layers.map((l) => l.receptiveField);
    const width = { size: 1, stride: 1, padding: 0, period: 1 };
    expect(fields({})).toEqual([
      [{ size: 3, stride: 2, padding: null, period: 1 }, width],
      ['unknown', width],
    ]);
    expect(fields({ H: 224 })[0]).toEqual([{ size: 3, stride: 2, padding: 0, period: 1 }, width]);
    expect(fields({ H: 225 })[0]).toEqual([{ size: 3, stride: 2, padding: 1, period: 1 }, width]);
  });

  test('a channel count that is not given is an error', () => {
    expect(() => audit(open([1, 'C', 10, 10]))).toThrow(CompileError);
  });

  test('a model that only takes some sizes has no polynomial', () => {
    const fussy: AuditModel = (dims) => {
      if ((dims.batch ?? 1) > 2) fail('shape-mismatch', 'Reshape_3', '3 does not divide');
      return open(['batch', 3, 10, 10])(dims);
    };
    const { totals } = report(fussy);
    expect(totals).toMatchObject({ macs: MACS, macsExpr: null });
    expect(totals.macsExprReason).toBe('the model does not accept batch = 5: 3 does not divide');
  });
});

test('nodes of one name, or none, are told apart', () => {
  const relu = (input: string, output: string, name: string) => ({
    ...node('Relu', [input], [output]),
    name,
  });
  const bytes = onnxModel({
    nodes: [relu('x', 'a', 'act'), relu('a', 'b', 'act'), relu('b', 'y', 'act_2')],
    inputs: [info('x', [1, 2])],
    outputs: [info('y', [1, 2])],
  });
  const { layers } = report((dims) => importOnnx(bytes, { dims }));
  expect(layers.map((l) => l.name)).toEqual(['act', 'act_2', 'act_2_2']);
});

withModels.describe('imported models', () => {
  test('mnist-vgg: MACs in terms of the batch', () => {
    const bytes = readFileSync(collectionFile('models/mnist-vgg.onnx'));
    const r = report((dims) => importOnnx(bytes, { dims }));
    // 28²·(1 + 32)·9·32 + 14²·(32 + 64)·9·64 + 7²·(64 + 128)·9·128 + 128·10
    expect(r.totals).toMatchObject({ macs: 29_128_448, macsExpr: '29128448·batch', parameters: 287_722 });
  });
});

test('the importer’s message for an open dimension is understood', () => {
  const bytes = onnxModel({
    nodes: [node('Conv', ['x', 'w'], ['y'])],
    inputs: [info('x', ['batch', 3, 'height', null])],
    initializers: [stored('w', [4, 3, 3, 3], new Float32Array(108))],
  });
  const { totals, dims } = report((given) => importOnnx(bytes, { dims: given }));
  expect(totals.macsExpr).toBe('108·batch·height·x.3 − 216·batch·height − 216·batch·x.3 + 432·batch');
  expect(dims.map((d) => d.symbol)).toEqual(['batch', 'height', 'x.3']);
  const sized = report((given) => importOnnx(bytes, { dims: { batch: 2, height: 10, 'x.3': 12, ...given } }));
  expect(sized.totals.macs).toBe(2 * 108 * 8 * 10);
});

test('layers are added up by op, and by module with the modules inside', () => {
  const b = new Builder();
  const weight = (name: string) => b.constant(name, absent([4, 4, 1, 1]));
  let value = b.input('x', [1, 4, 8, 8]);
  for (const name of ['/stem/Conv', '/body/body.0/Conv', '/body/body.0/Conv_1', '/body/body.1/Conv']) {
    value = b.conv(value, weight(name), { name });
  }
  b.output('y', b.relu(value));
  const { byOp, byModule } = audit(b.graph);
  const macs = 8 * 8 * 4 * 4;
  expect(byOp.map(({ op, layers, macs: n }) => [op, layers, n])).toEqual([
    ['Conv', 4, 4 * macs],
    ['Relu', 1, 0],
  ]);
  expect(byModule.map(({ module, layers, macsShare }) => [module, layers, macsShare])).toEqual([
    ['stem', 1, 0.25],
    ['body', 3, 0.75],
    ['body.0', 2, 0.5],
    ['body.1', 1, 0.25],
  ]);
});

test('a dimension whose name has spaces is one that is not given', () => {
  const bytes = onnxModel({
    nodes: [node('Relu', ['x'], ['y'])],
    inputs: [info('x', [1, 3, 'image height', 'image\u200b width'])],
  });
  const { dims, totals } = report((given) => importOnnx(bytes, { dims: given }));
  expect(dims).toEqual([
    { symbol: 'image height', size: 224, source: 'example' },
    { symbol: 'image\u200b width', size: 224, source: 'example' },
  ]);
  // where the peak is depends on them as well
  expect(totals).toMatchObject({ peakActivationBytes: null, peakLayer: null });
});
