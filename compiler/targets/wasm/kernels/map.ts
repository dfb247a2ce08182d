/** Elementwise expressions over f32 (and bool and byte) tensors of any layout, with broadcasting. */

import type { Loop } from '#compiler/schedule/loops.ts';
import { parseExpr } from '#ir/expr.ts';
import type { MultiplyAdd } from '../engines.ts';
import { SimdExpr } from '../simd-expr.ts';
import { unevenness } from '../team.ts';
import {
  advance,
  advanceBy,
  copyOf,
  evenestLoop,
  type KernelFamily,
  LANES,
  nest,
  overPieces,
  type Pointer,
  partOf,
} from './family.ts';
import { laneBytes, loadLanes, type ReadType, splatLanes, storeTyped } from './lanes.ts';

export interface MapParams {
  /** Steps of [output, …inputs]. */
  readonly outer: readonly Loop[];
  /** Elements side by side in the output. */
  readonly count: number;
  /** Per input: is it read along with the output, or one value for the whole run? */
  readonly inputs: readonly ('vector' | 'splat')[];
  /** Element types of the inputs, then of the output, which is no i32. */
  readonly types: readonly ReadType[];
  readonly expr: string;
  /** In functions that are polynomials; `separate` unless given. */
  readonly multiplyAdd?: MultiplyAdd;
}

const UNROLL = 2;

const RUN = UNROLL * LANES;

const unrolledRuns = (p: MapParams): number => Math.floor(p.count / RUN);
const hasRest = (p: MapParams): boolean => p.count % RUN > 0;
const elementPieces = (p: MapParams): number => Math.ceil(p.count / RUN);

/** Whether threads share the lines, or the elements of each line. */
const byLines = (p: MapParams): boolean =>
  unevenness(evenestLoop(p.outer).pieces) <= unevenness(Math.max(1, elementPieces(p)));

export const map: KernelFamily<MapParams> = {
  name: 'map',
  arguments: (p) => [...p.inputs.map((_, k) => `input${k}`), 'output'],
  label: (p) => `${p.types[p.types.length - 1]}_map_${p.outer.reduce((n, l) => n * l.count, p.count)}`,
  forEngine: (p, { multiplyAdd }) => ({ ...p, multiplyAdd }),
  pieces: (p) => (byLines(p) ? evenestLoop(p.outer).pieces : elementPieces(p)),
  emit(body, p, args, _, team) {
    const code = new SimdExpr(parseExpr(p.expr), body, p.multiplyAdd);
    const output = args[args.length - 1] as Pointer;
    const inputs = args.slice(0, -1);
    const typeOf = (k: number): ReadType => p.types[k] ?? 'f32';
    const outputType = typeOf(inputs.length);
    if (outputType === 'i32') throw new RangeError('a map of floats has no i32 results');
    const line = () => {
      const out = copyOf(body, output);
      const ins = inputs.map((e, k) => (p.inputs[k] === 'vector' ? copyOf(body, e) : e));
      const splats = inputs.map((e, k) => {
        if (p.inputs[k] === 'vector') return undefined;
        const local = body.local('v128');
        body.set(local, splatLanes(typeOf(k), e));
        return local;
      });
      const run = (vectors: number, lanes: number) => {
        for (let v = 0; v < vectors; v++) {
          const operands = ins.map((pointer, k) => {
            const splat = splats[k];
            if (splat) return splat;
            const local = body.local('v128');
            body.set(local, loadLanes(typeOf(k), pointer, v * laneBytes(typeOf(k))));
            return local;
          });
          storeTyped(body, outputType, out, code.render(operands), lanes, v * laneBytes(outputType));
        }
        ins.forEach((pointer, k) => {
          if (p.inputs[k] === 'vector') advance(body, pointer, vectors * laneBytes(typeOf(k)));
        });
        advance(body, out, vectors * laneBytes(outputType));
      };
      const bytesOf = (type: ReadType) => UNROLL * laneBytes(type);
      overPieces(body, unrolledRuns(p), byLines(p) ? undefined : team.share(body, elementPieces(p)), {
        skip(first) {
          ins.forEach((pointer, k) => {
            if (p.inputs[k] === 'vector') advanceBy(body, pointer, first, bytesOf(typeOf(k)));
          });
          advanceBy(body, out, first, bytesOf(outputType));
        },
        piece: () => run(UNROLL, LANES),
        rest: hasRest(p)
          ? () => {
              if (p.count % RUN >= LANES) run(1, LANES);
              if (p.count % LANES > 0) run(1, p.count % LANES);
            }
          : undefined,
      });
    };
    nest(body, p.outer, [output, ...inputs], line, byLines(p) ? partOf(body, p.outer, team) : undefined);
  },
};
