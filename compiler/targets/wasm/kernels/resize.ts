/** Interpolation along any axes: each output position reads a few input positions with weights from a table. */
import type { Loop } from '#compiler/schedule/loops.ts';
import { load, op } from '../encoder/index.ts';
import {
  advance,
  type Body,
  copyOf,
  EpilogueCode,
  evenestLoop,
  type KernelEpilogue,
  type KernelFamily,
  LANES,
  loadSplat,
  loadVector,
  nest,
  type Pointer,
  partOf,
  storeLanes,
  VECTOR_BYTES,
} from './family.ts';
import type { splat } from './reduce.ts';

export interface ResizeAxis {
  /** Output positions. */
  readonly count: number;
  /** Input positions per output position. */
  readonly taps: number;
  readonly outputStep: number;
  readonly extraSteps: readonly number[];
}

export interface ResizeParams {
  /** Axes that keep their size; steps of [input, output, …epilogue operands]. */
  readonly outer: readonly Loop[];
  /** Axes that change; each has a table of (byte offset: i32, weight: f32) per output position and tap. */
  readonly axes: readonly ResizeAxis[];
  /** Elements side by side that share the weights. */
  readonly columns: number;
  readonly epilogue: KernelEpilogue | null;
}

/** Bytes of one table entry: offset and weight. */
export const RESIZE_ENTRY_BYTES = 8;

export const resize: KernelFamily<ResizeParams> = {
  name: 'resize',
  arguments: (p) => [
    'input',
    ...p.axes.map((_, i) => `table${i}`),
    'output',
    ...(p.epilogue?.operands ?? []).map((_, k) => `extra${k}`),
  ],
  label: (p) => `f32_resize_${p.axes.map((a) => `${a.count}t${a.taps}`).join('x')}x${p.columns}`,
  pieces: (p) => evenestLoop(p.axes.map(({ count }) => ({ count, steps: [] }))).pieces,
  emit(body, p, args, _, team) {
    const input = args[0] as Pointer;
    const tables = args.slice(1, 1 + p.axes.length);
    const [output, ...extras] = args.slice(1 + p.axes.length) as [Pointer, ...Pointer[]];
    const epilogue = new EpilogueCode(body, p.epilogue);
    nest(body, p.outer, [input, output, ...extras], () => {
      const rows = tables.map((table) => copyOf(body, table));
      const out = copyOf(body, output);
      const more = extras.map((e) => copyOf(body, e));
      const loops = p.axes.map(
        (axis, i): Loop => ({
          count: axis.count,
          steps: [
            axis.outputStep,
            ...axis.extraSteps,
            ...p.axes.map((_, j) => (i === j ? axis.taps * RESIZE_ENTRY_BYTES : 0)),
          ],
        }),
      );
      const one = () => position(body, p, input, rows, out, more, epilogue);
      nest(body, loops, [out, ...more, ...rows], one, partOf(body, loops, team));
    });
  },
};

/** One output position: all combinations of the axes' taps, over the columns. */
function position(
  body: Body,
  p: ResizeParams,
  input: Pointer,
  rows: readonly Pointer[],
  output: Pointer,
  extras: readonly Pointer[],
  epilogue: EpilogueCode,
): void {
  let taps: { pointer: Pointer; weight: ReturnType<typeof splat> | undefined }[] = [
    { pointer: copyOf(body, input), weight: undefined },
  ];
  p.axes.forEach((axis, i) => {
    const table = rows[i] as Pointer;
    taps = taps.flatMap(({ pointer, weight }) =>
      Array.from({ length: axis.taps }, (_, t) => {
        const at = body.local('i32');
        body.set(at, op('i32.add', pointer, load('i32.load', table, { offset: t * RESIZE_ENTRY_BYTES })));
        if (axis.taps === 1) return { pointer: at, weight };
        const own = body.local('v128');
        const factor = loadSplat(table, t * RESIZE_ENTRY_BYTES + 4);
        body.set(own, weight ? op('f32x4.mul', weight, factor) : factor);
        return { pointer: at, weight: own };
      }),
    );
  });
  const out = copyOf(body, output);
  const more = extras.map((e, k) => (epilogue.operands[k] === 'vector' ? copyOf(body, e) : e));
  const vector = (lanes: number) => {
    const acc = body.local('v128');
    taps.forEach(({ pointer, weight }, i) => {
      const x = loadVector(pointer);
      const term = weight ? op('f32x4.mul', x, weight) : x;
      body.set(acc, i === 0 ? term : op('f32x4.add', acc, term));
    });
    const value = epilogue.apply(
      body,
      acc,
      more.map((pointer) => ({ pointer, offset: 0 })),
    );
    storeLanes(body, out, value, lanes);
    for (const { pointer } of taps) advance(body, pointer, VECTOR_BYTES);
    advance(body, out, VECTOR_BYTES);
    more.forEach((pointer, k) => {
      if (epilogue.operands[k] === 'vector') advance(body, pointer, VECTOR_BYTES);
    });
  };
  const whole = Math.floor(p.columns / LANES);
  if (whole > 0) nest(body, [{ count: whole, steps: [] }], [], () => vector(LANES));
  if (p.columns % LANES > 0) vector(p.columns % LANES);
}
