/** Compares outputs with onnxruntime's within the bounds that the project promises for whole networks. */
import { elementCount, type Shape } from '#ir/types.ts';

export interface Comparison {
  /** max |a − b| / max |a| over the whole output. */
  readonly relative: number;
  /** Smallest cosine over the channels (axis 1) whose norm is above 1e-3 of the largest. */
  readonly cosine: number;
}

/** Promised: relative error ≤ 1e-4 of the largest magnitude … */
export const RELATIVE_BOUND = 1e-4;
/** … and cosine ≥ 0.99999 per output channel. */
export const COSINE_BOUND = 0.99999;

export function compareOutputs(want: Float32Array, got: Float32Array, shape: Shape): Comparison {
  if (want.length !== got.length) return { relative: Number.POSITIVE_INFINITY, cosine: 0 };
  let worst = 0;
  let largest = Number.MIN_VALUE;
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs((want[i] as number) - (got[i] as number));
    worst = difference <= worst ? worst : difference;
    largest = Math.max(largest, Math.abs(want[i] as number));
  }
  return { relative: worst / largest, cosine: smallestCosine(want, got, shape) };
}

function smallestCosine(want: Float32Array, got: Float32Array, shape: Shape): number {
  // a channel of one value has no direction: then the whole output is compared as one vector
  const spatial = elementCount(shape.slice(2));
  const channels = spatial > 1 ? (shape[1] ?? 1) : 1;
  const size = spatial > 1 ? spatial : want.length;
  const count = want.length / size;
  const norms: { ww: number; gg: number; wg: number }[] = Array.from({ length: channels }, () => ({
    ww: 0,
    gg: 0,
    wg: 0,
  }));
  for (let block = 0; block < count; block++) {
    const sum = norms[block % channels];
    if (!sum) continue;
    for (let i = block * size; i < (block + 1) * size; i++) {
      const a = want[i] as number;
      const b = got[i] as number;
      sum.ww += a * a;
      sum.gg += b * b;
      sum.wg += a * b;
    }
  }
  const largest = Math.max(...norms.map((n) => n.ww));
  const heard = norms.filter((n) => Math.sqrt(n.ww) > 1e-3 * Math.sqrt(largest));
  return Math.min(1, ...heard.map((n) => n.wg / Math.sqrt(n.ww * n.gg)));
}
