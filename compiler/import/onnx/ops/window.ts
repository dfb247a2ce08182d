/** Convolution and pooling: auto_pad becomes explicit pads, what is left out its default. */
import type { Value } from '#ir/graph.ts';
import { tensor } from '#ir/tensor.ts';
import { samePadding, transposedOutputSize, type WindowAxis, windowAxes } from '#ir/window.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

interface WindowAttrs {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
}

/** Larger strides, dilations and pads are no network's. */
const MAX_STEP = 2 ** 20;

export function entries(node: NodeImport, name: string, length: number, fallback: number): readonly number[] {
  const list = node.attrs.ints(name);
  if (!list || list.length === 0) return new Array<number>(length).fill(fallback);
  if (list.length !== length) {
    node.refuse(`${name} has ${list.length} entries; ${length} are needed for ${node.op}`, 'shape-mismatch');
  }
  if (list.some((v) => Math.abs(v) > MAX_STEP)) node.refuse(`${name} is [${list.join(',')}]`);
  return list;
}

function spatialRank(node: NodeImport): number {
  const rank = node.shape(0).length - 2;
  if (rank < 1 || rank > 3) node.refuse(`${node.op} over ${rank} spatial axes; 1 to 3 are supported`);
  return rank;
}

type AutoPad = 'NOTSET' | 'VALID' | 'SAME_UPPER' | 'SAME_LOWER';
const AUTO_PADS: readonly string[] = ['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'];

function autoPad(node: NodeImport): AutoPad {
  const word = node.attrs.string('auto_pad', 'NOTSET') || 'NOTSET';
  if (!AUTO_PADS.includes(word)) node.refuse(`auto_pad "${word}" is not known`);
  return word as AutoPad;
}

/** Begins, then ends. */
const joined = (pairs: readonly (readonly [number, number])[]): number[] => [
  ...pairs.map(([begin]) => begin),
  ...pairs.map(([, end]) => end),
];

export function windowAttrs(node: NodeImport, kernel: readonly number[]): WindowAttrs {
  const rank = kernel.length;
  const strides = entries(node, 'strides', rank, 1);
  const dilations = entries(node, 'dilations', rank, 1);
  if ([...strides, ...dilations, ...kernel].some((v) => v < 1)) {
    node.refuse(
      `kernel [${kernel.join(',')}], strides [${strides.join(',')}] and dilations [${dilations.join(',')}] must be positive`,
      'shape-mismatch',
    );
  }
  const mode = autoPad(node);
  if (mode === 'NOTSET') return { strides, dilations, pads: entries(node, 'pads', 2 * rank, 0) };
  if (mode === 'VALID') return { strides, dilations, pads: new Array<number>(2 * rank).fill(0) };
  const axes = windowAxes({ kernel, strides, dilations, pads: [] });
  const pairs = axes.map((axis, i) => samePadding(axis, node.shape(0)[i + 2] ?? 0, mode === 'SAME_UPPER'));
  return { strides, dilations, pads: joined(pairs) };
}

/** The kernel's sizes as the weight has them, which `kernel_shape` must repeat if it is there. */
export function weightKernel(node: NodeImport, slot = 1): readonly number[] {
  const rank = spatialRank(node);
  const kernel = node.shape(slot).slice(2);
  if (kernel.length !== rank) {
    node.refuse(`the weight has rank ${kernel.length + 2}, the input ${rank + 2}`, 'shape-mismatch');
  }
  const said = entries(node, 'kernel_shape', rank, 0);
  if (said.some((size, i) => size !== 0 && size !== kernel[i])) {
    node.refuse(
      `kernel_shape is [${said.join(',')}]; the weight is [${node.shape(slot).join(',')}]`,
      'shape-mismatch',
    );
  }
  return kernel;
}

const conv: ImportRule = (node) => {
  node.requireFloats();
  const attrs = windowAttrs(node, weightKernel(node));
  return node.emit('Conv', node.inputs.slice(0, 3), { ...attrs, group: node.attrs.int('group', 1) });
};

/**
 * `output_shape`, or SAME (input × stride), says how much of the full result is cut off; where it asks for more than
 * there is, the rest is output padding.
 */
const convTranspose: ImportRule = (node) => {
  node.requireFloats();
  const kernel = weightKernel(node);
  const rank = kernel.length;
  const mode = autoPad(node);
  const strides = entries(node, 'strides', rank, 1);
  const dilations = entries(node, 'dilations', rank, 1);
  const outputPadding = [...entries(node, 'output_padding', rank, 0)];
  const group = node.attrs.int('group', 1);
  const input = node.shape(0).slice(2);
  const given = node.attrs.ints('output_shape');
  const same = mode === 'SAME_UPPER' || mode === 'SAME_LOWER';
  let pads = mode === 'NOTSET' ? entries(node, 'pads', 2 * rank, 0) : new Array<number>(2 * rank).fill(0);
  if (given?.length || same) {
    // the whole shape is also seen
    const wanted = given?.length ? given.slice(-rank) : input.map((size, i) => size * (strides[i] ?? 1));
    const axes: readonly WindowAxis[] = windowAxes({ kernel, strides, dilations, pads: [] });
    pads = joined(
      axes.map((axis, i) => {
        const total = transposedOutputSize(axis, input[i] ?? 0, outputPadding[i] ?? 0) - (wanted[i] ?? 0);
        if (total < 0) {
          outputPadding[i] = (outputPadding[i] ?? 0) - total;
          return [0, 0];
        }
        const half = Math.floor(total / 2);
        return mode === 'SAME_UPPER' ? [half, total - half] : [total - half, half];
      }),
    );
  }
  return node.emit('ConvTranspose', node.inputs.slice(0, 3), {
    strides,
    dilations,
    pads,
    group,
    outputPadding,
  });
};

function poolAttrs(node: NodeImport) {
  const rank = spatialRank(node);
  const kernel =
    node.attrs.ints('kernel_shape') ?? node.refuse(`${node.op} has no kernel_shape`, 'graph-invalid');
  if (kernel.length !== rank || kernel.some((k) => k < 1 || k > MAX_STEP)) {
    node.refuse(`kernel_shape is [${kernel.join(',')}] for ${rank} spatial axes`, 'shape-mismatch');
  }
  return {
    kernel,
    ...windowAttrs(node, kernel),
    ceil: autoPad(node) === 'NOTSET' && node.attrs.flag('ceil_mode'),
  };
}

const maxPool: ImportRule = (node) => {
  if (node.wants(1)) {
    const columnMajor = node.attrs.flag('storage_order');
    return node.emit('MaxPoolWithIndices', [node.input(0)], { ...poolAttrs(node), columnMajor });
  }
  return node.emit('MaxPool', [node.input(0)], poolAttrs(node)).slice(0, 1);
};

const averagePool: ImportRule = (node) =>
  node.emit('AveragePool', [node.input(0)], {
    ...poolAttrs(node),
    countIncludePad: node.attrs.flag('count_include_pad'),
  });

const lpPool: ImportRule = (node) =>
  node.emit('LpPool', [node.input(0)], { ...poolAttrs(node), p: node.attrs.int('p', 2) });

const spatialAxes = (node: NodeImport): readonly number[] =>
  node
    .shape(0)
    .map((_, axis) => axis)
    .slice(2);

const globalMaxPool: ImportRule = (node): readonly Value[] =>
  node.emit('ReduceMax', [node.input(0)], { axes: spatialAxes(node), keepDims: true });

/** (Σ |x|^p)^(1/p): the two common norms are reductions. */
const globalLpPool: ImportRule = (node) => {
  node.requireFloats();
  const p = node.attrs.int('p', 2);
  const attrs = { axes: spatialAxes(node), keepDims: true };
  if (p === 1) return node.emit('ReduceL1', [node.input(0)], attrs);
  if (p === 2) return node.emit('ReduceL2', [node.input(0)], attrs);
  const scalar = (value: number) => node.literal(tensor('f32', [], [value]));
  const powers = node.step('Pow', [node.step('Abs', [node.input(0)], {}), scalar(p)], {});
  return node.emit('Pow', [node.step('ReduceSum', [powers], attrs), scalar(1 / p)], {});
};

export const WINDOWS = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: (node) => node.emit('GlobalAveragePool', [node.input(0)], {}),
  LpPool: lpPool,
  GlobalMaxPool: globalMaxPool,
  GlobalLpPool: globalLpPool,
} satisfies Record<string, ImportRule>;
