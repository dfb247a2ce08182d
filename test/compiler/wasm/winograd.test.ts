import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FREE_CHOICES } from '#compiler/targets/wasm/choices.ts';
import { packFilters } from '#compiler/targets/wasm/kernels/winograd/filter.ts';
import { planWinograd, type WinogradPlan } from '#compiler/targets/wasm/lower/winograd-plan.ts';
import { WINOGRAD_ERROR, winogradError } from '#compiler/winograd/error.ts';
import { type Matrix, winogradTransform } from '#compiler/winograd/transforms.ts';
import { Builder } from '#ir/builder.ts';
import { f32 } from '#ir/tensor.ts';
import { EPILOGUES, RUNS, small, withEpilogue } from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';
import { Random } from '../../support/random.ts';
import { differences } from '../../support/wasm.ts';

const SIZES = [2, 4] as const;

/** M X Mᵀ of a square X, row-major. */
function sandwich(matrix: Matrix, x: ArrayLike<number>): number[] {
  const inner = matrix[0]?.length ?? 0;
  const half = matrix.map((row) =>
    Array.from({ length: inner }, (_, j) => row.reduce((sum, c, k) => sum + c * (x[k * inner + j] ?? 0), 0)),
  );
  return half.flatMap((line) => matrix.map((row) => row.reduce((sum, c, k) => sum + c * (line[k] ?? 0), 0)));
}

const axis = { kernel: 3, stride: 1, dilation: 1, padBegin: 1, padEnd: 1 };

test.each(SIZES)('F(%i, 3) is the convolution of one tile', (outputs) => {
  const { size, input, filter, output } = winogradTransform(outputs);
  const random = new Random(outputs);
  const d = Array.from({ length: size * size }, () => random.between(-1, 1));
  const g = Array.from({ length: 9 }, () => random.between(-1, 1));
  const u = sandwich(filter, g);
  const v = sandwich(input, d);
  const y = sandwich(
    output,
    u.map((x, i) => x * (v[i] ?? 0)),
  );
  for (let row = 0; row < outputs; row++) {
    for (let column = 0; column < outputs; column++) {
      let sum = 0;
      for (let k = 0; k < 9; k++)
        sum += (g[k] ?? 0) * (d[(row + Math.floor(k / 3)) * size + column + (k % 3)] ?? 0);
      // in double nothing but rounding is left
      expect(y[row * outputs + column]).toBeCloseTo(sum, 12);
    }
  }
});

test('a tile at any place of any picture', async () => {
  const layers = fc.record({
    outputs: fc.constantFrom(...SIZES),
    block: fc.tuple(small(1, 4), small(1, 4)),
    groups: small(1, 3),
    inputChannels: small(1, 9),
    channels: fc.oneof(small(1, 18), fc.constantFrom(16, 24, 32)),
    chunk: fc.constantFrom(8, 16),
    size: fc.tuple(small(1, 14), small(1, 14)),
    batch: small(1, 2),
    pads: fc.array(small(0, 2), { minLength: 4, maxLength: 4 }),
    bias: fc.boolean(),
    epilogue: fc.constantFrom(...EPILOGUES),
  });
  await fc.assert(
    fc.asyncProperty(layers, async (layer) => {
      const { outputs, block, groups, inputChannels, channels, batch, pads } = layer;
      const [height, width] = layer.size;
      fc.pre(height + (pads[0] ?? 0) + (pads[2] ?? 0) >= 3 && width + (pads[1] ?? 0) + (pads[3] ?? 0) >= 3);
      const b = new Builder('layer');
      const shape = [batch, inputChannels * groups, height, width];
      const inputs = new Map([['x', noise(shape, 1)]]);
      const x = b.input('x', shape);
      const weight = b.constant('w', noise([channels * groups, inputChannels, 3, 3], 2));
      const bias = b.constant('b', noise([channels * groups], 3));
      const y = b.op('Conv', layer.bias ? [x, weight, bias] : [x, weight], {
        strides: [1, 1],
        dilations: [1, 1],
        pads,
        group: groups,
      });
      const result = withEpilogue(b, y, layer.epilogue, (extra) => {
        inputs.set('extra', noise(extra, 4));
        return b.input('extra', extra);
      });
      b.output('y', result);
      // chunks are whole panels, which are as wide as a register tile
      const whole = channels > layer.chunk && channels % layer.chunk === 0;
      const plan: WinogradPlan = { outputs, block, ...(whole && { chunk: layer.chunk }) };
      const found = await differences(b.graph, inputs, { ...FREE_CHOICES, winograd: () => plan });
      // sums of at most 81 terms; the transforms of F(4) cost a factor of about ten
      for (const { op, relative } of found) expect(relative, op).toBeLessThan(2e-5);
    }),
    { numRuns: 2 * RUNS },
  );
});

test('filters are transformed as the matrices say', () => {
  const filters = { data: floats(2 * 3 * 5 * 9), groups: 2, inputChannels: 3, channels: 5 };
  for (const outputs of SIZES) {
    const { filter, size } = winogradTransform(outputs);
    const { bytes, write } = packFilters(filters, outputs, 4);
    const got = new Float32Array(bytes / 4);
    write(new Uint8Array(got.buffer));
    // panels of four and of one output channel, which is padded to a vector
    const element = 3 * (4 + 4);
    for (let g = 0; g < 2; g++) {
      for (let i = 0; i < 3; i++) {
        for (let o = 0; o < 5; o++) {
          const from = ((g * 5 + o) * 3 + i) * 9;
          const expected = sandwich(filter, filters.data.subarray(from, from + 9));
          expected.forEach((x, e) => {
            const at = (g * size * size + e) * element + (o < 4 ? i * 4 + o : 12 + i * 4);
            expect(got[at]).toBeCloseTo(x, 6);
          });
        }
      }
    }
  }
});

const floats = (length: number) => noise([length], 7).data as Float32Array;

const layerOf = (channels: number, size: number, data: Float32Array) => ({
  axes: [axis, axis],
  filters: { data, groups: 1, inputChannels: channels, channels },
  batch: 1,
  outSize: [size, size] as const,
});

test('the tiles of large layers are 4×4', () => {
  const data = floats(64 * 64 * 9);
  expect(planWinograd(layerOf(64, 56, data))?.outputs).toBe(4);
});

test('what is not exact enough is not taken', () => {
  const layer = layerOf(64, 56, floats(64 * 64 * 9));
  const [two, four] = SIZES.map((outputs) => winogradError(layer.filters, outputs)) as [number, number];
  expect(two).toBeLessThan(four);
  expect(four).toBeLessThan(WINOGRAD_ERROR);
  expect(planWinograd(layer, { limit: (two + four) / 2 })?.outputs).toBe(2);
  expect(planWinograd(layer, { limit: two / 2 })).toBeUndefined();
});

test.each(SIZES)('the error of F(%i) that is expected is the error of the kernel', async (outputs) => {
  const channels = 96;
  const data = floats(channels * channels * 9);
  const filters = { data, groups: 1, inputChannels: channels, channels };
  const b = new Builder('layer');
  const shape = [1, channels, 12, 12];
  const x = b.input('x', shape);
  b.output('y', b.conv(x, b.constant('w', f32([channels, channels, 3, 3], data)), { pads: [1, 1, 1, 1] }));
  const plan = { outputs, block: [2, 2] as const };
  const inputs = new Map([['x', noise(shape, 1)]]);
  const [found] = await differences(b.graph, inputs, { ...FREE_CHOICES, winograd: () => plan });
  const expected = winogradError(filters, outputs);
  // maxima of a few hundred and of many thousand samples of one distribution
  expect(found?.relative).toBeGreaterThan(expected / 5);
  expect(found?.relative).toBeLessThan(expected * 3);
});

test.each([
  { why: 'a stride', axes: [axis, { ...axis, stride: 2 }] },
  { why: 'a dilation', axes: [{ ...axis, dilation: 2 }, axis] },
  { why: 'another kernel', axes: [{ ...axis, kernel: 5 }, axis] },
  { why: 'one axis', axes: [axis] },
])('$why has no plan', ({ axes }) => {
  const layer = layerOf(64, 56, floats(64 * 64 * 9));
  expect(planWinograd({ ...layer, axes })).toBeUndefined();
});
