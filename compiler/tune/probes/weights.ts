/** Products with weights from far away, and with the same few again and again: the difference is what reading them costs. */
import { Builder } from '#ir/builder.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { ENGINES } from '../../targets/wasm/engines.ts';
import { layerRun, seeded } from './layers.ts';
import type { Probe } from './least.ts';

/** Sides of the matrices: 64 MiB, and 256 KiB. */
const FAR = 4096;
const NEAR = 256;

export interface StreamProbes {
  readonly far: Probe;
  readonly near: Probe;
  /** What one run of `near` is of the multiply-adds of one of `far`. */
  readonly part: number;
  /** Of the far weights. */
  readonly bytes: number;
}

/** Of so many rows at a time. */
export async function streamProbes(rows: number): Promise<StreamProbes> {
  return {
    far: await productOf(rows, FAR),
    near: await productOf(rows, NEAR),
    part: (NEAR / FAR) ** 2,
    bytes: 4 * FAR ** 2,
  };
}

async function productOf(rows: number, side: number): Promise<Probe> {
  const b = new Builder('stream');
  b.output('y', b.op('MatMul', [b.input('x', [rows, side]), b.constant('w', seeded([side, side]))], {}));
  const [node] = b.graph.nodes;
  if (!node) throw new InternalError('the probe has no node');
  return { run: await layerRun(b.graph, node, ENGINES.simd) };
}
