/** Weights rounded to what can be stored in two bytes, or in one. */
import { cloneGraph } from '#ir/clone.ts';
import { constantOf, type Graph, opDef } from '#ir/graph.ts';
import type { Constant } from '#ir/tensor.ts';
import { elementCount, type Shape } from '#ir/types.ts';
import { halfToFloat } from '#runtime/stored-weights.ts';
import { floatToHalf } from './half.ts';

/** Smaller ones stay: they are little to download, and much may depend on each. */
const LEAST = 256;

/** A copy of the graph whose convolution and matrix weights are rounded. */
export function roundWeights(graph: Graph, format: 'f16' | 'i8'): Graph {
  const rounded = new Map<Constant, Constant>();
  for (const node of graph.nodes) {
    const { channelAxis } = opDef(node.op);
    const weight = node.operands[1];
    const constant = weight && constantOf(weight);
    if (!channelAxis || !constant) continue;
    const { type, data } = constant;
    if (!(data instanceof Float32Array) || elementCount(type.shape) < LEAST) continue;
    const axis = format === 'i8' ? channelAxis(node.attrs as never, type.shape) : null;
    const values = axis === null ? roundToHalves(data) : roundToBytes(data, type.shape, axis);
    rounded.set(constant, { type, data: values });
  }
  return cloneGraph(graph, (constant) => rounded.get(constant) ?? constant);
}

/** The nearest numbers of half precision. */
export const roundToHalves = (data: Float32Array): Float32Array =>
  data.map((x) => halfToFloat(floatToHalf(x)));

/**
 * Symmetric, a scale per channel: the largest magnitude is 127 of it. Scales have 16 bits, so that all products are exact,
 * and the scale can be found again from the largest.
 */
function roundToBytes(data: Float32Array, shape: Shape, axis: number): Float32Array {
  const channels = shape[axis] ?? 1;
  const inner = elementCount(shape.slice(axis + 1));
  const channelOf = (i: number) => Math.floor(i / inner) % channels;
  const largest = new Float64Array(channels);
  data.forEach((x, i) => {
    const c = channelOf(i);
    largest[c] = Math.max(largest[c] as number, Math.abs(x));
  });
  const scales = largest.map((x) => to16Bits(x / 127));
  return data.map((x, i) => {
    const scale = scales[channelOf(i)] as number;
    return scale === 0 ? 0 : Math.max(-127, Math.min(127, Math.round(x / scale))) * scale;
  });
}

/** The nearest number of 16 significant bits. */
function to16Bits(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return 0;
  const unit = 2 ** (Math.floor(Math.log2(x)) - 15);
  return Math.round(x / unit) * unit;
}
