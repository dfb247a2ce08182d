/**
 * What each preset counts for one node, once more and plainly, from what its documentation says of it: products are
 * counted weight by weight, and an op that is not listed is an error.
 */
import { type Node, operand } from '#ir/graph.ts';

type Shape = readonly number[];

interface Plain {
  readonly op: string;
  readonly x: Shape;
  /** Shapes of the second and third input, where there are any. */
  readonly w: Shape;
  readonly c: Shape | undefined;
  readonly y: Shape;
  readonly attrs: Readonly<Record<string, unknown>>;
}

export type NaiveCounts = Readonly<Record<NaivePreset, number>>;
const NAIVE_PRESETS = [
  'convolith',
  'torchvision',
  'fvcore',
  'torch',
  'thop',
  'onnx-tool',
  'tf-profiler',
  'papers',
  'multiplications',
] as const;
type NaivePreset = (typeof NAIVE_PRESETS)[number];

export function naiveCounts(node: Node): NaiveCounts {
  const plain = {
    op: node.op,
    x: operand(node, 0).type.shape,
    w: node.operands[1]?.type.shape ?? [],
    c: node.operands[2]?.type.shape,
    y: node.outputs[0]?.type.shape ?? [],
    attrs: node.attrs as Readonly<Record<string, unknown>>,
  };
  const [fvcore = 0, thop = 0, onnxTool = 0, tf = 0] = others(plain);
  const macs = products(plain);
  return {
    convolith: macs,
    torchvision: macs,
    papers: macs,
    multiplications: macs,
    torch: macs + macs,
    fvcore,
    thop,
    'onnx-tool': onnxTool,
    'tf-profiler': tf,
  };
}

export function addCounts(counts: Iterable<NaiveCounts>): NaiveCounts {
  const sums = Object.fromEntries(NAIVE_PRESETS.map((name) => [name, 0])) as Record<NaivePreset, number>;
  for (const count of counts) for (const name of NAIVE_PRESETS) sums[name] += count[name];
  return sums;
}

function size(shape: Shape): number {
  let n = 1;
  for (const s of shape) n *= s;
  return n;
}

/** Positions of a batch of maps, channels left out. */
const positions = (shape: Shape): number => size(shape) / (shape[1] ?? 1);

/** Every weight is used once per position: of the output, or where the convolution is transposed of the input. */
function products({ op, x, w, y }: Plain): number {
  switch (op) {
    case 'Conv':
      return positions(y) * size(w);
    case 'ConvTranspose':
      return positions(x) * size(w);
    case 'Gemm':
      return (x[0] ?? 1) * size(w);
    case 'MatMul':
      return size(x.slice(0, -1)) * size(w);
    default:
      return 0;
  }
}

/** fvcore, thop, onnx-tool, tf-profiler. */
function others(node: Plain): readonly number[] {
  const { op, x, w, c, y, attrs } = node;
  const macs = products(node);
  const [before, after] = [size(x), size(y)];
  const bias = c === undefined ? 0 : after;
  const each = (instructions: number) => [0, 0, instructions * after, 0];
  switch (op) {
    case 'Conv':
    case 'Gemm':
      return [macs, macs, macs + bias, 2 * macs + bias];
    case 'MatMul':
      return [macs, macs, macs, 2 * macs];
    case 'ConvTranspose': {
      const [cin = 1, cout = 1, ...taps] = w;
      const byOutput = after * size(taps) * cin;
      const area = size(attrs.strides as Shape);
      return [macs, byOutput, after * size(taps) * cout + bias, Math.floor((2 * byOutput) / area) + bias];
    }
    case 'BatchNormalization':
      return [2 * before, 4 * before, (1 + 24 + 4 + 1 + 1) * before, 0];
    case 'LayerNormalization':
      return [5 * before, 4 * before, 7 * before + (29 * before) / (x.at(-1) ?? 1), 0];
    case 'MaxPool':
      return [0, 0, after * size(attrs.kernel as Shape), after * size(attrs.kernel as Shape)];
    case 'AveragePool': {
      const window = size(attrs.kernel as Shape);
      const [fvcore, thop] = window === 1 ? [before, 2 * after] : [0, after];
      return [fvcore, thop, after * window, after * window];
    }
    case 'GlobalAveragePool':
      return [before, (before / after + 1) * after, before + 4 * after, before];
    case 'ReduceMean':
      return [0, 0, before, before];
    case 'Resize':
      // all of the zoo are bilinear
      return [4 * after, 11 * after, 4 * after, 0];
    case 'Add':
    case 'Mul':
      return [0, 0, after, after];
    case 'Div':
      return [0, 0, 4 * after, after];
    case 'Relu':
      return each(1);
    case 'Clip':
      return each(2);
    case 'HardSigmoid':
      return each(4);
    case 'HardSwish':
      return each(5);
    case 'Sigmoid':
      return each(32);
    case 'Tanh':
      return each(2 * (32 + 2 + 4));
    case 'Erf':
    case 'Flatten':
    case 'Reshape':
    case 'Transpose':
    case 'Concat':
    case 'Slice':
    case 'Pad':
    case 'DepthToSpace':
      return each(0);
    default:
      throw new Error(`no rule for ${op}`);
  }
}
