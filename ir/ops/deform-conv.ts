/** Convolution whose taps are moved by computed offsets. */
import { attr } from '../attrs.ts';
import { defineOp, type EvalContext, inputData, inputType, OpError, outputType } from '../op.ts';
import { elementCount, formatShape, product } from '../types.ts';
import { outputSize, windowAxes } from '../window.ts';
import { axisField, unravel } from './common.ts';
import { checkedShape, checkLength } from './offsets.ts';

import { requireFloats, WHOLE } from './sampling.ts';

const CONV_ATTRS = {
  strides: attr.ints(),
  dilations: attr.ints(),
  pads: attr.ints(),
  group: attr.int(1),
  offsetGroups: attr.int(1),
};

/**
 * A convolution whose taps lie where offsets [N, og·kh·kw·2, …] (rows, then columns) move them, each weighted by a mask
 * [N, og·kh·kw, …] if there is one (Zhu et al., Deformable ConvNets v2, 2019). x [N, C, H, W] → [N, M, oH, oW].
 */
export const DeformConv = defineOp({
  name: 'DeformConv',
  attrs: CONV_ATTRS,
  inputs: [
    { name: 'x', role: 'data' },
    { name: 'weight', role: 'weight' },
    { name: 'offset', role: 'data' },
    { name: 'bias', role: 'weight', optional: true },
    { name: 'mask', role: 'data', optional: true },
  ],
  traits: { layout: 'rowMajor' },
  infer({ attrs, inputs }) {
    const x = inputType({ inputs }, 0).shape;
    const weight = inputType({ inputs }, 1).shape;
    const offset = inputType({ inputs }, 2).shape;
    const { group, offsetGroups } = attrs;
    const [n = 0, c = 0, h = 0, w = 0] = x;
    const [m = 0, per = 0, ...kernel] = weight;
    requireFloats(inputs);
    if (x.length !== 4 || weight.length !== 4) throw new OpError('deformable convolution has 2 spatial axes');
    if (group < 1 || offsetGroups < 1 || c % offsetGroups !== 0 || m % group !== 0 || per * group !== c)
      throw new OpError(
        `${c} channels in ${group} groups and ${offsetGroups} offset groups, weight ${formatShape(weight)}`,
      );
    checkLength('strides', attrs.strides, 2);
    checkLength('dilations', attrs.dilations, 2);
    checkLength('pads', attrs.pads, 4);
    if ([...attrs.strides, ...attrs.dilations].some((v) => v < 1))
      throw new OpError('strides and dilations must be ≥ 1');
    const axes = windowAxes({ ...attrs, kernel });
    const spatial = axes.map((axis, i) => outputSize(axis, i === 0 ? h : w));
    const taps = offsetGroups * product(kernel);
    const fits = (shape: readonly number[], perTap: number) =>
      [n, taps * perTap, ...spatial].every((size, i) => shape[i] === size);
    if (!fits(offset, 2))
      throw new OpError(`offsets of ${formatShape(offset)} for ${taps} taps at ${spatial.join('×')}`);
    if (inputs[4] && !fits(inputs[4].shape, 1))
      throw new OpError(`a mask of ${formatShape(inputs[4].shape)}`);
    if (inputs[3] && elementCount(inputs[3].shape) !== m)
      throw new OpError(`a bias of ${formatShape(inputs[3].shape)}`);
    return [{ dtype: 'f32', shape: checkedShape([n, m, ...spatial]) }];
  },
  cost({ inputs, outputs }) {
    const [, per = 0, kh = 0, kw = 0] = inputType({ inputs }, 1).shape;
    const [n = 0, , oh = 0, ow = 0] = outputType({ outputs }).shape;
    const samples = n * oh * ow * (inputType({ inputs }, 0).shape[1] ?? 0) * kh * kw;
    return { macs: elementCount(outputType({ outputs }).shape) * per * kh * kw, otherOps: 8 * samples };
  },
  field: (_, _output, input) =>
    input === 0 ? [axisField(0), WHOLE, WHOLE, WHOLE] : [axisField(0), WHOLE, axisField(2), axisField(3)],
  reference: { kind: 'element', element: deformElement },
});

interface DeformAttrs {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly group: number;
  readonly offsetGroups: number;
}

function deformElement(context: EvalContext<DeformAttrs>): (index: number) => number {
  const { strides, dilations, pads, group, offsetGroups } = context.attrs;
  const [, channels = 1, height = 1, width = 1] = inputType(context, 0).shape;
  const [m = 1, per = 1, kh = 1, kw = 1] = inputType(context, 1).shape;
  const shape = outputType(context).shape;
  const points = product(shape.slice(2));
  const data = inputData(context, 0) as Float32Array;
  const weight = inputData(context, 1) as Float32Array;
  const offset = inputData(context, 2) as Float32Array;
  const bias = context.data[3] as Float32Array | undefined;
  const mask = context.data[4] as Float32Array | undefined;
  const pixel = (plane: number, y: number, x: number): number =>
    y >= 0 && y < height && x >= 0 && x < width ? (data[plane + y * width + x] as number) : 0;
  return (index) => {
    const [n = 0, oc = 0, oy = 0, ox = 0] = unravel(index, shape);
    const at = oy * (shape[3] ?? 1) + ox;
    const g = Math.floor(oc / (m / group));
    let sum = bias ? (bias[oc] as number) : 0;
    for (let ic = 0; ic < per; ic++) {
      const c = g * per + ic;
      const og = Math.floor(c / (channels / offsetGroups));
      const plane = (n * channels + c) * height * width;
      for (let k = 0; k < kh * kw; k++) {
        const tap = (n * offsetGroups + og) * kh * kw + k;
        const [ky, kx] = [Math.floor(k / kw), k % kw];
        const y =
          oy * (strides[0] ?? 1) -
          (pads[0] ?? 0) +
          ky * (dilations[0] ?? 1) +
          (offset[2 * tap * points + at] as number);
        const x =
          ox * (strides[1] ?? 1) -
          (pads[1] ?? 0) +
          kx * (dilations[1] ?? 1) +
          (offset[(2 * tap + 1) * points + at] as number);
        if (!(y > -1 && y < height && x > -1 && x < width)) continue;
        const [fy, fx] = [Math.floor(y), Math.floor(x)];
        const [ry, rx] = [y - fy, x - fx];
        const value =
          (1 - ry) * ((1 - rx) * pixel(plane, fy, fx) + rx * pixel(plane, fy, fx + 1)) +
          ry * ((1 - rx) * pixel(plane, fy + 1, fx) + rx * pixel(plane, fy + 1, fx + 1));
        sum +=
          value *
          (weight[(oc * per + ic) * kh * kw + k] as number) *
          (mask ? (mask[tap * points + at] as number) : 1);
      }
    }
    return sum;
  };
}
