/** Ops that move elements; what says where to is a constant by now, and becomes an attribute. */
import { read } from '#ir/tensor.ts';
import type { ImportRule, NodeImport } from '../rule.ts';

const transpose: ImportRule = (node) => {
  const rank = node.shape(0).length;
  const perm = node.attrs.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return node.emit('Transpose', [node.input(0)], { perm: perm.map((axis) => node.axis(axis, rank)) });
};

const concat: ImportRule = (node) => {
  const inputs = node.inputs.map((_, i) => node.input(i));
  const axis = node.attrs.int('axis') ?? node.refuse('Concat has no axis', 'graph-invalid');
  return node.emit('Concat', inputs, { axis: node.axis(axis, node.shape(0).length) });
};

/** The bounds of Slice: attributes before opset 10, inputs since. */
function sliceBounds(node: NodeImport) {
  if (node.opset < 10) {
    const starts = node.attrs.ints('starts') ?? node.refuse('Slice has no starts', 'graph-invalid');
    const ends = node.attrs.ints('ends') ?? node.refuse('Slice has no ends', 'graph-invalid');
    return { starts, ends, axes: node.attrs.ints('axes'), steps: undefined };
  }
  return {
    starts: node.requiredNumbers(1, 'starts'),
    ends: node.requiredNumbers(2, 'ends'),
    axes: node.knownNumbers(3, 'axes'),
    steps: node.knownNumbers(4, 'steps'),
  };
}

/** Negative bounds count from the end, and all are clamped to the axis, as in NumPy. */
const slice: ImportRule = (node) => {
  const sizes = [...node.shape(0)];
  const rank = sizes.length;
  const given = sliceBounds(node);
  const axes = (given.axes ?? given.starts.map((_, i) => i)).map((axis) => node.axis(axis, rank));
  for (const list of [given.ends, axes, given.steps ?? axes]) {
    if (list.length !== given.starts.length)
      node.refuse('Slice has lists of different lengths', 'graph-invalid');
  }
  const starts = new Array<number>(rank).fill(0);
  const steps = new Array<number>(rank).fill(1);
  axes.forEach((axis, i) => {
    const size = node.shape(0)[axis] ?? 0;
    const step = given.steps?.[i] ?? 1;
    if (step === 0) node.refuse('a step of Slice is 0', 'graph-invalid');
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
    const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high);
    const start = Math.max(clamp(given.starts[i] ?? 0), 0);
    const count = Math.max(0, Math.ceil((clamp(given.ends[i] ?? 0) - start) / step));
    sizes[axis] = count;
    // the step of a single element says nothing, and may be anything
    starts[axis] = count === 0 ? 0 : start;
    steps[axis] = count > 1 ? step : 1;
  });
  return node.emit('Slice', [node.input(0)], { starts, steps, sizes });
};

/** Equal pieces, the last one smaller where they do not come out even. */
const split: ImportRule = (node) => {
  const axis = node.axis(node.attrs.int('axis', 0), node.shape(0).length);
  const size = node.shape(0)[axis] ?? 0;
  const given =
    node.opset < 13
      ? (node.attrs.ints('split') ?? node.knownNumbers(1, 'split'))
      : node.knownNumbers(1, 'split');
  const pieces = node.attrs.int('num_outputs') ?? node.outputs.length;
  if (!given && pieces !== node.outputs.length) {
    node.refuse(`num_outputs is ${pieces}; the node has ${node.outputs.length}`, 'graph-invalid');
  }
  const piece = Math.ceil(size / pieces);
  const sizes = given ?? node.outputs.map((_, i) => Math.max(0, Math.min(piece, size - i * piece)));
  if (sizes.length < node.outputs.length)
    node.refuse(`${sizes.length} pieces for ${node.outputs.length} outputs`, 'graph-invalid');
  return node.emit('Split', [node.input(0)], { axis, sizes });
};

const PAD_MODES = ['constant', 'reflect', 'edge', 'wrap'] as const;

/** Attributes before opset 11, inputs since; with axes since 18. */
const pad: ImportRule = (node) => {
  const rank = node.shape(0).length;
  const word = node.attrs.string('mode', 'constant');
  const mode = PAD_MODES.find((m) => m === word) ?? node.refuse(`padding mode "${word}" is not known`);
  const given =
    node.opset >= 11
      ? node.requiredNumbers(1, 'pads')
      : (node.attrs.ints('pads') ?? node.refuse('Pad has no pads', 'graph-invalid'));
  const axes =
    (node.opset >= 18 ? node.knownNumbers(3, 'axes') : undefined) ?? node.shape(0).map((_, axis) => axis);
  if (given.length !== 2 * axes.length) {
    node.refuse(`${given.length} pads for ${axes.length} axes`, 'shape-mismatch');
  }
  const pads = new Array<number>(2 * rank).fill(0);
  axes.forEach((axis, i) => {
    const at = node.axis(axis, rank);
    pads[at] = given[i] ?? 0;
    pads[rank + at] = given[axes.length + i] ?? 0;
  });
  return node.emit('Pad', [node.input(0)], { mode, pads, value: padValue(node) });
};

function padValue(node: NodeImport): number {
  if (node.opset < 11) return node.attrs.float('value', 0);
  if (!node.inputs[2]) return 0;
  const known = node.known(2) ?? node.refuse('Pad with a value that is not a constant is not supported');
  return known.data.length === 0 ? 0 : read(known.data, 0);
}

const gather: ImportRule = (node) => {
  const axis = node.axis(node.attrs.int('axis', 0), node.shape(0).length);
  return node.emit('Gather', [node.input(0), node.input(1)], { axis });
};

const depthToSpace: ImportRule = (node) => {
  const blocksize =
    node.attrs.int('blocksize') ?? node.refuse('DepthToSpace has no blocksize', 'graph-invalid');
  const word = node.attrs.string('mode', 'DCR');
  const mode = word === 'CRD' || word === 'DCR' ? word : node.refuse(`mode "${word}" is not known`);
  return node.emit('DepthToSpace', [node.input(0)], { blocksize, mode });
};

const tile: ImportRule = (node) =>
  node.emit('Tile', [node.input(0)], { repeats: node.requiredNumbers(1, 'repeats') });

export const MOVEMENTS = {
  Transpose: transpose,
  Concat: concat,
  Slice: slice,
  Split: split,
  Pad: pad,
  Gather: gather,
  DepthToSpace: depthToSpace,
  Expand: (node) => node.emit('Expand', [node.input(0)], { shape: node.requiredNumbers(1, 'shape') }),
  Tile: tile,
} satisfies Record<string, ImportRule>;
