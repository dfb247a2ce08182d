import { attr } from '../attrs.ts';
import {
  type AxisField,
  defineOp,
  type EvalContext,
  inputData,
  inputType,
  OpError,
  outputType,
} from '../op.ts';
import { elementCount, product, type Shape, type TensorType } from '../types.ts';
import {
  outputSize,
  transposedMap,
  transposedOutputSize,
  type Window,
  windowAxes,
  windowMap,
} from '../window.ts';
import { windowField } from './common.ts';

/** Strides, dilations and pads have one entry (pads two) per spatial axis; pads are explicit. */
export const CONV_ATTRS = {
  strides: attr.ints(),
  dilations: attr.ints(),
  pads: attr.ints(),
  group: attr.int(1),
};

export interface ConvAttrs {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly group: number;
}

/** The window of a convolution: kernel sizes come from the weight, [Cout, Cin/group, …] or [Cin, Cout/group, …]. */
export const convWindow = (attrs: ConvAttrs, weight: Shape): Window => ({
  kernel: weight.slice(2),
  strides: attrs.strides,
  dilations: attrs.dilations,
  pads: attrs.pads,
});

/** Checks ranks and attributes that Conv and ConvTranspose share; returns the types of data and weight. */
function checkConv(
  attrs: ConvAttrs,
  inputs: readonly (TensorType | undefined)[],
  outputChannels: number,
): { x: TensorType; w: TensorType } {
  const x = inputType({ inputs }, 0);
  const w = inputType({ inputs }, 1);
  const bias = inputs[2];
  const rank = x.shape.length - 2;
  if (rank < 1 || rank > 3) throw new OpError(`input has ${rank} spatial axes; 1 to 3 are supported`);
  if (w.shape.length !== x.shape.length) {
    throw new OpError(`weight has rank ${w.shape.length}, input has rank ${x.shape.length}`);
  }
  for (const [name, list, length] of [
    ['strides', attrs.strides, rank],
    ['dilations', attrs.dilations, rank],
    ['pads', attrs.pads, 2 * rank],
  ] as const) {
    if (list.length !== length) throw new OpError(`${name} has ${list.length} entries, not ${length}`);
  }
  if ([...attrs.strides, ...attrs.dilations].some((v) => v < 1))
    throw new OpError('strides and dilations must be ≥ 1');
  if (attrs.group < 1) throw new OpError(`group is ${attrs.group}`);
  if (bias && elementCount(bias.shape) !== outputChannels) {
    throw new OpError(`bias has ${elementCount(bias.shape)} elements for ${outputChannels} output channels`);
  }
  return { x, w };
}

function withSpatial(x: TensorType, channels: number, spatial: readonly number[]): TensorType {
  if (spatial.some((s) => s < 1)) {
    throw new OpError(`the kernel does not fit the input: output would be ${spatial.join('×')}`);
  }
  return { dtype: x.dtype, shape: [x.shape[0] ?? 1, channels, ...spatial] };
}

/**
 * Convolution (cross-correlation) of rank 1 to 3, with stride, dilation, explicit zero padding and groups.
 * x [N, Cin, …], weight [Cout, Cin/group, k…], bias [Cout] → [N, Cout, …].
 */
export const Conv = defineOp({
  name: 'Conv',
  attrs: CONV_ATTRS,
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'weight', role: 'weight' },
    { name: 'bias', role: 'weight', optional: true },
  ],
  traits: { layout: 'spatial', epilogue: true },
  channelAxis: () => 0,
  infer({ attrs, inputs }) {
    const channels = inputs[1]?.shape[0] ?? 0;
    const { x, w } = checkConv(attrs, inputs, channels);
    const cin = x.shape[1] ?? 0;
    if ((w.shape[1] ?? 0) * attrs.group !== cin) {
      throw new OpError(
        `weight [${w.shape.join(',')}] with group ${attrs.group} takes ${(w.shape[1] ?? 0) * attrs.group} input channels; the input has ${cin}`,
      );
    }
    if (channels % attrs.group !== 0)
      throw new OpError(`group ${attrs.group} does not divide ${channels} output channels`);
    const axes = windowAxes(convWindow(attrs, w.shape));
    return [
      withSpatial(
        x,
        channels,
        axes.map((axis, i) => outputSize(axis, x.shape[i + 2] ?? 0)),
      ),
    ];
  },
  /** Output elements × (Cin/group) × taps; products with padding count. */
  cost({ inputs, outputs }) {
    const w = inputType({ inputs }, 1);
    const out = elementCount(outputType({ outputs }).shape);
    return { macs: out * product(w.shape.slice(1)), otherOps: inputs[2] ? out : 0 };
  },
  field: ({ attrs, inputs, outputs }, _output, input) =>
    input === 0
      ? windowField(windowAxes(convWindow(attrs, inputType({ inputs }, 1).shape)).map(windowMap))
      : outputType({ outputs }).shape.map((): AxisField => ({ kind: 'none' })),
  reference: { kind: 'element', element: convElement },
});

/** Pads a list of per-axis numbers at the front to rank 3, so that one loop nest serves ranks 1 to 3. */
const toRank3 = (list: readonly number[], fill: number): [number, number, number] => {
  const full = [...new Array<number>(3 - list.length).fill(fill), ...list];
  return [full[0] ?? fill, full[1] ?? fill, full[2] ?? fill];
};

/** Data and sizes of a convolution as rank 3, with which the loops below are written once for ranks 1 to 3. */
function convGeometry(context: EvalContext<ConvAttrs>) {
  const x = inputType(context, 0).shape;
  const w = inputType(context, 1).shape;
  const y = outputType(context).shape;
  const { attrs } = context;
  const input = toRank3(x.slice(2), 1);
  const output = toRank3(y.slice(2), 1);
  const kernel = toRank3(w.slice(2), 1);
  return {
    data: inputData(context, 0) as Float32Array,
    weight: inputData(context, 1) as Float32Array,
    bias: context.data[2] as Float32Array | undefined,
    input,
    output,
    kernel,
    strides: toRank3(attrs.strides, 1),
    dilations: toRank3(attrs.dilations, 1),
    pads: toRank3(attrs.pads.slice(0, x.length - 2), 0),
    cin: x[1] ?? 1,
    cout: y[1] ?? 1,
    /** Second axis of the weight: Cin/group of a Conv, Cout/group of a ConvTranspose. */
    perGroup: w[1] ?? 1,
    plane: product(input),
    outPlane: product(output),
    taps: product(kernel),
  };
}

export function convElement(context: EvalContext<ConvAttrs>): (index: number) => number {
  const { data, weight, bias, cin, cout, perGroup, plane, outPlane, taps, ...g } = convGeometry(context);
  const [inD, inH, inW] = g.input;
  const [, outH, outW] = g.output;
  const [kD, kH, kW] = g.kernel;
  const [sD, sH, sW] = g.strides;
  const [dD, dH, dW] = g.dilations;
  const [pD, pH, pW] = g.pads;
  const coutPerGroup = cout / context.attrs.group;
  return (index) => {
    const channelAt = Math.floor(index / outPlane);
    const position = index - channelAt * outPlane;
    const ox = position % outW;
    const oy = Math.floor(position / outW) % outH;
    const oz = Math.floor(position / (outW * outH));
    const oc = channelAt % cout;
    const n = Math.floor(channelAt / cout);
    const z0 = oz * sD - pD;
    const y0 = oy * sH - pH;
    const x0 = ox * sW - pW;
    const base = (n * cin + Math.floor(oc / coutPerGroup) * perGroup) * plane;
    let sum = bias ? (bias[oc] ?? 0) : 0;
    // pointwise: no tap loops around a single product
    if (taps === 1) {
      if (z0 < 0 || z0 >= inD || y0 < 0 || y0 >= inH || x0 < 0 || x0 >= inW) return sum;
      const at = base + (z0 * inH + y0) * inW + x0;
      for (let c = 0; c < perGroup; c++) {
        sum += (data[at + c * plane] as number) * (weight[oc * perGroup + c] as number);
      }
      return sum;
    }
    for (let c = 0; c < perGroup; c++) {
      const channel = base + c * plane;
      const filter = (oc * perGroup + c) * taps;
      for (let kz = 0; kz < kD; kz++) {
        const iz = z0 + kz * dD;
        if (iz < 0 || iz >= inD) continue;
        for (let ky = 0; ky < kH; ky++) {
          const iy = y0 + ky * dH;
          if (iy < 0 || iy >= inH) continue;
          const row = channel + (iz * inH + iy) * inW;
          const tapRow = filter + (kz * kH + ky) * kW;
          for (let kx = 0; kx < kW; kx++) {
            const ix = x0 + kx * dW;
            if (ix >= 0 && ix < inW) sum += (data[row + ix] as number) * (weight[tapRow + kx] as number);
          }
        }
      }
    }
    return sum;
  };
}

/**
 * Transposed convolution, the adjoint of Conv in its data. x [N, Cin, …], weight [Cin, Cout/group, k…], bias [Cout]
 * → [N, Cout, …] of size (in − 1)·stride + (k − 1)·dilation + 1 + outputPadding − pads.
 */
export const ConvTranspose = defineOp({
  name: 'ConvTranspose',
  attrs: { ...CONV_ATTRS, outputPadding: attr.ints() },
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'weight', role: 'weight' },
    { name: 'bias', role: 'weight', optional: true },
  ],
  traits: { layout: 'spatial', epilogue: true },
  // those of a group lie along the second, the groups along the first
  channelAxis: () => null,
  infer({ attrs, inputs }) {
    const channels = (inputs[1]?.shape[1] ?? 0) * attrs.group;
    const { x, w } = checkConv(attrs, inputs, channels);
    const cin = x.shape[1] ?? 0;
    if (w.shape[0] !== cin)
      throw new OpError(`weight takes ${w.shape[0]} input channels; the input has ${cin}`);
    if (cin % attrs.group !== 0)
      throw new OpError(`group ${attrs.group} does not divide ${cin} input channels`);
    const axes = windowAxes(convWindow(attrs, w.shape));
    const spatial = axes.map((axis, i) =>
      transposedOutputSize(axis, x.shape[i + 2] ?? 0, attrs.outputPadding[i] ?? 0),
    );
    return [withSpatial(x, channels, spatial)];
  },
  /** Input elements × (Cout/group) × taps; products that the crop discards count. */
  cost({ inputs, outputs }) {
    const x = inputType({ inputs }, 0);
    const w = inputType({ inputs }, 1);
    const out = elementCount(outputType({ outputs }).shape);
    return { macs: elementCount(x.shape) * product(w.shape.slice(1)), otherOps: inputs[2] ? out : 0 };
  },
  field: ({ attrs, inputs, outputs }, _output, input) =>
    input === 0
      ? windowField(windowAxes(convWindow(attrs, inputType({ inputs }, 1).shape)).map(transposedMap))
      : outputType({ outputs }).shape.map((): AxisField => ({ kind: 'none' })),
  reference: { kind: 'element', element: convTransposeElement },
});

function convTransposeElement(context: EvalContext<ConvAttrs>): (index: number) => number {
  const {
    data,
    weight,
    bias,
    cin,
    cout,
    perGroup: coutPerGroup,
    plane,
    outPlane,
    taps,
    ...g
  } = convGeometry(context);
  const [inD, inH, inW] = g.input;
  const [, outH, outW] = g.output;
  const [kD, kH, kW] = g.kernel;
  const [sD, sH, sW] = g.strides;
  const [dD, dH, dW] = g.dilations;
  const [pD, pH, pW] = g.pads;
  const cinPerGroup = cin / context.attrs.group;
  return (index) => {
    const channelAt = Math.floor(index / outPlane);
    const position = index - channelAt * outPlane;
    const ox = (position % outW) + pW;
    const oy = (Math.floor(position / outW) % outH) + pH;
    const oz = Math.floor(position / (outW * outH)) + pD;
    const oc = channelAt % cout;
    const n = Math.floor(channelAt / cout);
    const group = Math.floor(oc / coutPerGroup);
    const filterChannel = oc - group * coutPerGroup;
    let sum = bias ? (bias[oc] ?? 0) : 0;
    for (let kz = 0; kz < kD; kz++) {
      const fz = oz - kz * dD;
      if (fz < 0 || fz % sD !== 0 || fz >= inD * sD) continue;
      for (let ky = 0; ky < kH; ky++) {
        const fy = oy - ky * dH;
        if (fy < 0 || fy % sH !== 0 || fy >= inH * sH) continue;
        for (let kx = 0; kx < kW; kx++) {
          const fx = ox - kx * dW;
          if (fx < 0 || fx % sW !== 0 || fx >= inW * sW) continue;
          const at = ((fz / sD) * inH + fy / sH) * inW + fx / sW;
          const tap = (kz * kH + ky) * kW + kx;
          for (let c = 0; c < cinPerGroup; c++) {
            const ic = group * cinPerGroup + c;
            sum +=
              (data[(n * cin + ic) * plane + at] as number) *
              (weight[(ic * coutPerGroup + filterChannel) * taps + tap] as number);
          }
        }
      }
    }
    return sum;
  };
}
