/** Kernels that read images between their pixels: an invocation computes one element. Everything is row-major. */
import type { Expr } from '#ir/expr.ts';
import { cubicWeightsOf } from '#ir/ops/resize.ts';
import {
  GRID_CUBIC,
  type GridAttrs,
  gridPixel,
  gridPosition,
  type RoiAttrs,
  roiExtent,
  roiSamples,
  roiTaps,
} from '#ir/ops/sampling.ts';
import { product, rowMajorStrides } from '#ir/types.ts';
import type { HelperName } from '../wgsl-expr.ts';
import { type KernelFamily, Memory, MINUS_INFINITY, rendered, splitIndex } from './family.ts';

/** Statements that compute expressions of one invocation. */
class Statements {
  readonly lines: string[] = [];
  readonly helpers = new Set<HelperName>();
  #count = 0;

  push(...lines: readonly string[]): void {
    this.lines.push(...lines);
  }

  /** The term of an expression over terms. */
  term(expr: Expr, args: readonly string[]): string {
    const code = rendered(expr, 'f32', args, `v${this.#count++}_`);
    this.lines.push(...code.lines);
    for (const helper of code.helpers) this.helpers.add(helper);
    return code.value;
  }
}

/** One pixel along an axis: names of its offset and of its weight, 0 where there is no pixel. */
interface Tap {
  readonly offset: string;
  readonly weight: string;
}

/** The sum over all combinations of the axes' taps; what has no weight does not count, whatever it is. */
function weightedSum(
  code: Statements,
  axes: readonly (readonly Tap[])[],
  load: (at: string) => string,
): void {
  code.push('var s = 0.0;');
  const visit = (
    rest: readonly (readonly Tap[])[],
    offsets: readonly string[],
    weights: readonly string[],
  ): void => {
    const [taps, ...inner] = rest;
    if (taps) {
      for (const { offset, weight } of taps) visit(inner, [...offsets, offset], [...weights, weight]);
      return;
    }
    const w = weights.join(' * ');
    code.push(`s += select(0.0, ${w} * ${load(offsets.join(' + '))}, ${w} != 0.0);`);
  };
  visit(axes, [], []);
}

export interface GridSampleParams extends GridAttrs {
  readonly batch: number;
  readonly channels: number;
  /** Spatial sizes of the image. */
  readonly sizes: readonly number[];
  /** Sampled positions per image. */
  readonly points: number;
}

/** An image at the positions of a grid. */
export const gridSample: KernelFamily<GridSampleParams> = {
  arguments: () => ['x', 'grid', 'y'],
  label: ({ mode, sizes, channels, points }) => `grid_${mode}_${sizes.join('x')}_c${channels}_${points}`,
  emit(params, regions) {
    const { batch, channels, sizes, points } = params;
    const memory = new Memory('f32', regions);
    const code = new Statements();
    const rank = sizes.length;
    const strides = rowMajorStrides(sizes);
    code.push(...splitIndex([batch, channels, points], 'l'), `let g = (l0 * ${points} + l2) * ${rank};`);
    const axes = sizes.map((size, axis) => {
      code.push(`let a${axis} = ${memory.load(1, `g + ${rank - 1 - axis}`)};`);
      const at = code.term(gridPosition(params, size), [`a${axis}`]);
      return tapsAround(code, params.mode, `${axis}`, at).map(({ position, weight }, k): Tap => {
        const pixel = code.term(gridPixel(params, size), [position]);
        const [offset, kept] = [`o${axis}_${k}`, `w${axis}_${k}`];
        code.push(
          `let ${offset} = i32(max(0.0, ${pixel})) * ${strides[axis]};`,
          `let ${kept} = select(0.0, ${weight}, ${pixel} >= 0.0);`,
        );
        return { offset, weight: kept };
      });
    });
    code.push(`let plane = (l0 * ${channels} + l1) * ${product(sizes)};`);
    weightedSum(code, axes, (at) => memory.load(0, `plane + ${at}`));
    code.push(memory.store(2, 'i', 's'));
    const invocations = batch * channels * points;
    return { access: 'f32', lines: code.lines, invocations, helpers: code.helpers };
  },
};

/** The whole positions around another, and their weights. */
function tapsAround(
  code: Statements,
  mode: GridAttrs['mode'],
  axis: string,
  at: string,
): { readonly position: string; readonly weight: string }[] {
  if (mode === 'nearest') return [{ position: `trunc(${at})`, weight: '1.0' }];
  code.push(`let f${axis} = floor(${at});`, `let r${axis} = ${at} - f${axis};`);
  const tap = (step: number, weight: string) => ({ position: `(f${axis} + ${step.toFixed(1)})`, weight });
  if (mode === 'linear') return [tap(0, `1.0 - r${axis}`), tap(1, `r${axis}`)];
  return cubicWeightsOf(GRID_CUBIC).map((weight, k) => tap(k - 1, code.term(weight, [`r${axis}`])));
}

export interface RoiAlignParams extends RoiAttrs {
  readonly batches: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly rois: number;
}

/** Bins of regions, each the mean or the largest of samples. */
export const roiAlign: KernelFamily<RoiAlignParams> = {
  arguments: () => ['x', 'rois', 'batch', 'y'],
  label: ({ mode, rois, channels, size }) => `roi_${mode}_${rois}_c${channels}_${size.join('x')}`,
  emit(params, regions) {
    const { mode, batches, channels, height, width, rois, size } = params;
    const memory = new Memory('u32', regions);
    const [rows = 1, columns = 1] = size;
    const code = new Statements();
    code.push(
      ...splitIndex([rois, channels, rows, columns], 'l'),
      `let given = ${memory.load(2, 'l0', 'i32')};`,
      `let image = select(0, given, given >= 0 && given < ${batches});`,
      `let plane = (image * ${channels} + l1) * ${height * width};`,
    );
    const extent = (axis: 0 | 1, bins: number, name: string) => {
      // x before y
      const [low, high] = [1 - axis, 3 - axis].map((k) => memory.load(1, `l0 * 4 + ${k}`));
      code.push(`let ${name}0 = ${low};`, `let ${name}1 = ${high};`);
      const { start, length, bin } = roiExtent(params, bins);
      const ends = [`${name}0`, `${name}1`];
      code.push(`let ${name}s = ${code.term(start, ends)};`, `let ${name}b = ${code.term(bin, ends)};`);
      const count = `i32(${code.term(roiSamples(params), [`${name}b`])})`;
      // a quotient may be rounded to beyond a whole number
      const less = `f32(max(0, ${count} - 1)) * ${bins}.0 >= ${code.term(length, ends)}`;
      const exact = params.samples > 0 ? count : `select(${count}, max(0, ${count} - 1), ${less})`;
      code.push(`let ${name}n = ${exact};`);
    };
    extent(0, rows, 'y');
    extent(1, columns, 'x');
    const average = mode === 'avg';
    code.push(`var s = ${average ? '0.0' : MINUS_INFINITY};`);
    const sample = (name: string, bin: string, pixels: number) => {
      const k = `k${name}`;
      code.push(`for (var ${k} = 0; ${k} < ${name}n; ${k}++) {`);
      const within = `(f32(${k}) + 0.5) * ${name}b / f32(${name}n)`;
      code.push(`let ${name}a = ${name}s + f32(${bin}) * ${name}b + ${within};`);
      const { inside, low, high, r } = roiTaps(pixels);
      const at = [`${name}a`];
      code.push(
        `let ${name}i = ${code.term(inside, at)} != 0.0;`,
        // outside it is clamped, and does not count
        `let ${name}l = clamp(i32(${code.term(low, at)}), 0, ${pixels - 1});`,
        `let ${name}h = clamp(i32(${code.term(high, at)}), 0, ${pixels - 1});`,
        `let ${name}r = ${code.term(r, at)};`,
      );
    };
    sample('y', 'l2', height);
    sample('x', 'l3', width);
    const collect = (value: string) => (average ? `s += ${value};` : `s = max(s, ${value});`);
    const corner = (row: string, column: string, weight: string) =>
      collect(`${weight} * ${memory.load(0, `plane + ${row} * ${width} + ${column}`)}`);
    code.push(
      'if (yi && xi) {',
      corner('yl', 'xl', '(1.0 - yr) * (1.0 - xr)'),
      corner('yl', 'xh', '(1.0 - yr) * xr'),
      corner('yh', 'xl', 'yr * (1.0 - xr)'),
      corner('yh', 'xh', 'yr * xr'),
      `} else { ${collect('0.0')} }`,
      '}}',
    );
    const value = average ? 's / f32(max(1, yn * xn))' : 'select(s, 0.0, yn * xn == 0)';
    code.push(memory.store(3, 'i', value));
    const invocations = rois * channels * rows * columns;
    return { access: 'u32', lines: code.lines, invocations, helpers: code.helpers };
  },
};

type Pair = readonly [number, number];

export interface DeformParams {
  readonly batch: number;
  readonly channels: number;
  readonly offsetGroups: number;
  readonly input: Pair;
  readonly output: Pair;
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly pads: Pair;
  readonly masked: boolean;
}

/** What each tap of a deformable convolution sees: for each image a matrix [channels·taps, positions]. */
export const deform: KernelFamily<DeformParams> = {
  arguments: ({ masked }) => ['x', 'offset', ...(masked ? ['mask'] : []), 'y'],
  label: ({ channels, kernel, output }) => `deform_c${channels}_${kernel.join('x')}_${output.join('x')}`,
  emit(params, regions) {
    const { batch, channels, offsetGroups, input, output, kernel, masked } = params;
    const memory = new Memory('f32', regions);
    const code = new Statements();
    const taps = product(kernel);
    const points = product(output);
    code.push(
      ...splitIndex([batch, channels, ...kernel, ...output], 'l'),
      `let point = l4 * ${output[1]} + l5;`,
      `let tap = (l0 * ${offsetGroups} + l1 / ${channels / offsetGroups}) * ${taps} + l2 * ${kernel[1]} + l3;`,
    );
    const axes = ([0, 1] as const).map((axis): Tap[] => {
      const { strides, dilations, pads } = params;
      const whole = `l${4 + axis} * ${strides[axis]} - ${pads[axis]} + l${2 + axis} * ${dilations[axis]}`;
      const moved = memory.load(1, `(tap * 2 + ${axis}) * ${points} + point`);
      code.push(`let a${axis} = f32(${whole}) + ${moved};`);
      const size = input[axis];
      return tapsAround(code, 'linear', `${axis}`, `a${axis}`).map(({ position, weight }, k) => {
        const [at, offset, kept] = [`q${axis}_${k}`, `o${axis}_${k}`, `w${axis}_${k}`];
        const inside = `${at} >= 0.0 && ${at} < ${size}.0`;
        code.push(
          `let ${at} = ${position};`,
          `let ${offset} = i32(select(0.0, ${at}, ${inside})) * ${axis === 0 ? input[1] : 1};`,
          `let ${kept} = select(0.0, ${weight}, ${inside});`,
        );
        return { offset, weight: kept };
      });
    });
    code.push(`let plane = (l0 * ${channels} + l1) * ${product(input)};`);
    weightedSum(code, axes, (at) => memory.load(0, `plane + ${at}`));
    const weight = masked ? ` * ${memory.load(2, `tap * ${points} + point`)}` : '';
    code.push(memory.store(masked ? 3 : 2, 'i', `s${weight}`));
    const invocations = batch * channels * taps * points;
    return { access: 'f32', lines: code.lines, invocations, helpers: code.helpers };
  },
};
