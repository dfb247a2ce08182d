import fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  check,
  EPILOGUES,
  parameter,
  RUNS,
  sizes,
  small,
  window,
  withEpilogue,
} from '../../support/kernels.ts';
import { noise } from '../../support/op.ts';

describe('convolution', () => {
  test('any rank, stride, dilation, padding, groups, epilogue', async () => {
    const shape = fc.record({
      w: window,
      group: small(1, 3),
      inPer: small(1, 9),
      outPer: small(1, 21),
      bias: fc.boolean(),
      constant: fc.boolean(),
      epilogue: fc.constantFrom(...EPILOGUES),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, group, inPer, outPer, bias, constant, epilogue }) => {
        await check((b, input, data) => {
          const x = input([w.batch, group * inPer, ...sizes(w)]);
          const weight = parameter(b, input, [group * outPer, inPer, ...w.kernel], constant, data);
          const extra = bias ? { bias: parameter(b, input, [group * outPer], constant, data) } : {};
          return withEpilogue(b, b.conv(x, weight, { ...w, group, ...extra }), epilogue, input);
        });
      }),
      { numRuns: RUNS * 2 },
    );
  });

  test('depthwise: every kernel, stride and border', async () => {
    const shape = fc.record({
      w: window,
      channels: small(2, 13),
      bias: fc.boolean(),
      constant: fc.boolean(),
      epilogue: fc.constantFrom(...EPILOGUES),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, channels, bias, constant, epilogue }) => {
        await check((b, input, data) => {
          const x = input([w.batch, channels, ...sizes(w)]);
          const weight = parameter(b, input, [channels, 1, ...w.kernel], constant, data);
          const extra = bias ? { bias: parameter(b, input, [channels], constant, data) } : {};
          return withEpilogue(b, b.conv(x, weight, { ...w, group: channels, ...extra }), epilogue, input);
        });
      }),
      { numRuns: RUNS },
    );
  });

  test.each([1, 2, 3, 4, 5, 7, 8, 9, 13])(
    'pointwise over %i pixels meets every tile and remainder',
    async (pixels) => {
      for (const channels of [1, 3, 4, 7, 8, 12, 15, 16, 24, 25, 33]) {
        await check((b, input, data) => {
          const weight = b.constant('w', data([channels, 5, 1, 1], 7));
          return b.conv(input([1, 5, 1, pixels]), weight, { bias: b.constant('b', data([channels], 8)) });
        });
      }
    },
  );

  test('large dilation with padding makes a padded copy', async () => {
    await check((b, input) => {
      const x = input([1, 6, 20, 20]);
      const options = { dilations: [6, 6], pads: [6, 6, 6, 6] };
      const depthwise = b.conv(x, b.constant('w', noise([6, 1, 3, 3], 7)), { ...options, group: 6 });
      return b.conv(depthwise, b.constant('v', noise([4, 6, 3, 3], 8)), options);
    });
  });

  test('transposed: any rank, stride, dilation, padding, output padding, groups', async () => {
    const shape = fc.record({
      w: window,
      group: small(1, 2),
      inPer: small(1, 5),
      outPer: small(1, 6),
      bias: fc.boolean(),
      constant: fc.boolean(),
      more: small(0, 1),
      epilogue: fc.constantFrom(...EPILOGUES),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, group, inPer, outPer, bias, constant, more, epilogue }) => {
        const spatial = w.extra.map((e) => 2 + Math.min(e, 4));
        const size = spatial.map(
          (s, i) => (s - 1) * (w.strides[i] ?? 1) + ((w.kernel[i] ?? 1) - 1) * (w.dilations[i] ?? 1) + 1,
        );
        fc.pre(size.every((s, i) => s > (w.pads[i] ?? 0) + (w.pads[w.rank + i] ?? 0)));
        const outputPadding = w.strides.map((s) => Math.min(more, s - 1));
        await check((b, input, data) => {
          const x = input([w.batch, group * inPer, ...spatial]);
          const weight = parameter(b, input, [group * inPer, outPer, ...w.kernel], constant, data);
          const operands = bias
            ? [x, weight, parameter(b, input, [group * outPer], constant, data)]
            : [x, weight];
          const { strides, dilations, pads } = w;
          const y = b.op('ConvTranspose', operands, { strides, dilations, pads, group, outputPadding });
          return withEpilogue(b, y, epilogue, input);
        });
      }),
      { numRuns: RUNS },
    );
  });
});

describe('pooling', () => {
  test.each(['MaxPool', 'AveragePool'] as const)('%s of any rank, ceil mode and padding', async (op) => {
    const shape = fc.record({
      w: window,
      channels: small(1, 9),
      ceil: fc.boolean(),
      countIncludePad: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ w, channels, ceil, countIncludePad }) => {
        // a window wholly inside the padding has no value
        const pads = w.pads.map((p, i) => Math.min(p, (w.kernel[i % w.rank] ?? 1) - 1));
        const { kernel, strides, dilations } = w;
        const attrs = { kernel, strides, dilations, pads, ceil };
        await check((b, input) => {
          const x = input([w.batch, channels, ...sizes(w)]);
          return op === 'MaxPool' ? b.op(op, [x], attrs) : b.op(op, [x], { ...attrs, countIncludePad });
        });
      }),
      { numRuns: RUNS },
    );
  });

  test('global average', async () => {
    await check((b, input) => [
      b.op('GlobalAveragePool', [input([2, 7, 5, 6])], {}),
      b.op('GlobalAveragePool', [input([1, 16, 9])], {}),
    ]);
  });
});
