/** The two transforms around the products of a Winograd convolution, each for one tile and all channels. */

import { type TileSize, winogradTransform } from '../../../../winograd/transforms.ts';
import { type Ex, i32, type Local, op, select } from '../../encoder/index.ts';
import type { MultiplyAdd } from '../../engines.ts';
import {
  advance,
  type Body,
  copyOf,
  EpilogueCode,
  type KernelEpilogue,
  type KernelFamily,
  LANES,
  loadVector,
  nest,
  type Pointer,
  plus,
  storeLanes,
  VECTOR_BYTES,
  vectorsOf,
} from '../family.ts';
import { multiplyByMatrix } from './combine.ts';

/** Rows and columns of a channels-last picture, and the bytes from one to the next. */
export interface Plane {
  readonly size: readonly [number, number];
  readonly steps: readonly [number, number];
}

export interface WinogradInputParams {
  readonly outputs: TileSize;
  readonly channels: number;
  readonly input: Plane;
  /** Bytes from one element of the transformed tile to the next. */
  readonly planeBytes: number;
  /** `separate` unless given. */
  readonly multiplyAdd?: MultiplyAdd;
}

/** Bytes that the input transform writes its tile at the border, and both transforms their halves. */
export const edgeBytes = ({ outputs, input }: Pick<WinogradInputParams, 'outputs' | 'input'>): number =>
  winogradTransform(outputs).size ** 2 * Math.max(input.steps[1], VECTOR_BYTES);
export const halfBytes = (outputs: TileSize): number => winogradTransform(outputs).size ** 2 * VECTOR_BYTES;

/**
 * Bᵀ d B of the tile whose first input is at `row`, `column`, which may lie outside: there the input is zero. A tile at
 * the border is copied first, so that there is one code for all.
 */
export const winogradInput: KernelFamily<WinogradInputParams> = {
  name: 'winogradInput',
  arguments: () => ['input', 'row', 'column', 'edge', 'half', 'output'],
  label: (p) => `f32_winograd_in${p.outputs}_${p.input.size.join('x')}x${p.channels}`,
  forEngine: (p, { multiplyAdd }) => ({ ...p, multiplyAdd }),
  emit(body, p, args) {
    const [input, row, column, edge, half, output] = args as [
      Pointer,
      Pointer,
      Pointer,
      Pointer,
      Pointer,
      Pointer,
    ];
    const { size, input: matrix } = winogradTransform(p.outputs);
    const [rowStep, columnStep] = p.input.steps;
    const from = body.local('i32');
    const step = body.local('i32');
    const inside = p.input.size.map((n, axis) =>
      n < size ? i32(0) : op('i32.le_u', axis === 0 ? row : column, i32(n - size)),
    ) as [Ex<'i32'>, Ex<'i32'>];
    body.if(
      op('i32.and', ...inside),
      () => {
        body.set(from, addressOf(input, row, rowStep, column, columnStep));
        body.set(step, i32(rowStep));
      },
      () => {
        copyBorderTile(body, p, { input, row, column, edge });
        body.set(from, edge);
        body.set(step, i32(size * columnStep));
      },
    );
    const to = copyOf(body, output);
    nest(body, [{ count: vectorsOf(p.channels), steps: [VECTOR_BYTES, VECTOR_BYTES] }], [from, to], () => {
      // columns first: each becomes a column of the half-transformed tile
      const source = copyOf(body, from);
      const middle = copyOf(body, half);
      nest(body, [{ count: size, steps: [columnStep, VECTOR_BYTES] }], [source, middle], () => {
        const line = copyOf(body, source);
        const x = body.locals('v128', size);
        x.forEach((local, i) => {
          body.set(local, loadVector(line));
          if (i < size - 1) body.set(line, op('i32.add', line, step));
        });
        multiplyByMatrix(body, matrix, x, p.multiplyAdd, (i, value) => {
          body.store('v128.store', middle, value, { offset: i * size * VECTOR_BYTES });
        });
      });
      const target = copyOf(body, to);
      const rows = { count: size, steps: [size * VECTOR_BYTES, size * p.planeBytes] };
      const source2 = copyOf(body, half);
      nest(body, [rows], [source2, target], () => {
        const x = body.locals('v128', size);
        x.forEach((local, j) => {
          body.set(local, loadVector(source2, j * VECTOR_BYTES));
        });
        multiplyByMatrix(body, matrix, x, p.multiplyAdd, (j, value) => {
          body.store('v128.store', target, value, { offset: j * p.planeBytes });
        });
      });
    });
  },
};

/** The address of a row and column. */
export const addressOf = (
  base: Ex<'i32'>,
  row: Ex<'i32'>,
  rowStep: number,
  column: Ex<'i32'>,
  columnStep: number,
): Ex<'i32'> =>
  op(
    'i32.add',
    op('i32.add', base, op('i32.mul', row, i32(rowStep))),
    op('i32.mul', column, i32(columnStep)),
  );

/** What lies inside of a tile, row by row, into a zeroed one. */
function copyBorderTile(
  body: Body,
  { outputs, channels, input: plane }: WinogradInputParams,
  { input, row, column, edge }: Record<'input' | 'row' | 'column' | 'edge', Pointer>,
): void {
  const { size } = winogradTransform(outputs);
  const [height, width] = plane.size;
  const [rowStep, columnStep] = plane.steps;
  body.op('memory.fill', edge, i32(0), i32(size * size * columnStep));
  const [first, end, y] = [body.local('i32'), body.local('i32'), body.local('i32')];
  body.set(first, bounded(body, column, { least: 0 }));
  body.set(end, bounded(body, op('i32.add', column, i32(size)), { most: width }));
  const to = copyOf(body, edge);
  body.set(to, op('i32.add', edge, op('i32.mul', op('i32.sub', first, column), i32(columnStep))));
  const bytes = body.local('i32');
  // of the last position only its own channels: in a grouped convolution others follow
  body.set(bytes, plus(op('i32.mul', op('i32.sub', end, first), i32(columnStep)), channels * 4 - columnStep));
  body.if(op('i32.gt_s', end, first), () => {
    body.set(y, row);
    body.count(0, size, 1, () => {
      body.if(op('i32.lt_u', y, i32(height)), () => {
        body.op('memory.copy', to, addressOf(input, y, rowStep, first, columnStep), bytes);
      });
      advance(body, y, 1);
      advance(body, to, size * columnStep);
    });
  });
}

/** A number no less than `least` or no more than `most`. */
function bounded(
  body: Body,
  value: Ex<'i32'>,
  limit: { readonly least: number } | { readonly most: number },
): Ex<'i32'> {
  const held = body.local('i32');
  body.set(held, value);
  return 'least' in limit
    ? select(held, i32(limit.least), op('i32.gt_s', held, i32(limit.least)))
    : select(held, i32(limit.most), op('i32.lt_s', held, i32(limit.most)));
}

export interface WinogradOutputParams {
  readonly outputs: TileSize;
  readonly channels: number;
  /** Bytes from one element of the tile of products to the next. */
  readonly planeBytes: number;
  /** Bytes from one row and from one column of the output to the next. */
  readonly steps: readonly [number, number];
  readonly bias: boolean;
  readonly epilogue: KernelEpilogue | null;
  /** The same of each operand of the epilogue. */
  readonly extraSteps: readonly (readonly [number, number])[];
  /** `separate` unless given. */
  readonly multiplyAdd?: MultiplyAdd;
}

/** Aᵀ m A of one tile, bias and epilogue; of it the first `rows` and `columns` are stored. */
export const winogradOutput: KernelFamily<WinogradOutputParams> = {
  name: 'winogradOutput',
  arguments: (p) => [
    'input',
    ...(p.bias ? ['bias'] : []),
    'half',
    'rows',
    'columns',
    'output',
    ...(p.epilogue?.operands ?? []).map((_, k) => `extra${k}`),
  ],
  label: (p) => `f32_winograd_out${p.outputs}_${p.channels}`,
  forEngine: (p, { multiplyAdd }) => ({ ...p, multiplyAdd }),
  emit(body, p, args) {
    const at = p.bias ? 1 : 0;
    const input = copyOf(body, args[0] as Pointer);
    const bias = p.bias ? copyOf(body, args[1] as Pointer) : undefined;
    const [half, rows, columns] = args.slice(at + 1) as [Pointer, Pointer, Pointer];
    const output = copyOf(body, args[at + 4] as Pointer);
    const extras = args.slice(at + 5).map((e) => copyOf(body, e));
    const epilogue = new EpilogueCode(body, p.epilogue, p.multiplyAdd);
    const moving = [input, ...(bias ? [bias] : []), output, ...extras];
    const steps = [
      VECTOR_BYTES,
      ...(bias ? [VECTOR_BYTES] : []),
      VECTOR_BYTES,
      ...epilogue.operands.map((kind) => (kind === 'vector' ? VECTOR_BYTES : 0)),
    ];
    const vector = (lanes: number) =>
      outputVector(body, p, epilogue, { input, bias, half, rows, columns, output, extras, lanes });
    nest(body, [{ count: Math.floor(p.channels / LANES), steps }], moving, () => vector(LANES));
    if (p.channels % LANES === 0) return;
    // `nest` leaves the pointers where they were
    moving.forEach((pointer, k) => {
      advance(body, pointer, Math.floor(p.channels / LANES) * (steps[k] ?? 0));
    });
    vector(p.channels % LANES);
  },
};

interface OutputCode {
  readonly input: Pointer;
  readonly bias: Pointer | undefined;
  readonly half: Pointer;
  readonly rows: Local<'i32'>;
  readonly columns: Local<'i32'>;
  readonly output: Pointer;
  readonly extras: readonly Pointer[];
  readonly lanes: number;
}

function outputVector(body: Body, p: WinogradOutputParams, epilogue: EpilogueCode, c: OutputCode): void {
  const { size, outputs, output: matrix } = winogradTransform(p.outputs);
  const source = copyOf(body, c.input);
  const middle = copyOf(body, c.half);
  const lines = { count: size, steps: [size * p.planeBytes, VECTOR_BYTES] };
  // a row of the products becomes a column of the half: then each output column is a run of vectors
  nest(body, [lines], [source, middle], () => {
    const x = body.locals('v128', size);
    x.forEach((local, j) => {
      body.set(local, loadVector(source, j * p.planeBytes));
    });
    multiplyByMatrix(body, matrix, x, p.multiplyAdd, (k, value) => {
      body.store('v128.store', middle, value, { offset: k * size * VECTOR_BYTES });
    });
  });
  const column = copyOf(body, c.half);
  const out = copyOf(body, c.output);
  const extras = c.extras.map((e) => copyOf(body, e));
  body.count(0, c.columns, 1, () => {
    const x = body.locals('v128', size);
    x.forEach((local, i) => {
      body.set(local, loadVector(column, i * VECTOR_BYTES));
    });
    const results = body.locals('v128', outputs);
    multiplyByMatrix(body, matrix, x, p.multiplyAdd, (i, value) => {
      body.set(results.at(i), c.bias ? op('f32x4.add', value, loadVector(c.bias)) : value);
    });
    results.forEach((value, i) => {
      const store = () => {
        const operands = extras.map((pointer, k) => ({
          pointer,
          offset: i * (p.extraSteps[k]?.[0] ?? 0),
        }));
        storeLanes(body, out, epilogue.apply(body, value, operands), c.lanes, i * p.steps[0]);
      };
      if (i === 0) store();
      else body.if(op('i32.gt_s', c.rows, i32(i)), store);
    });
    advance(body, column, size * VECTOR_BYTES);
    advance(body, out, p.steps[1]);
    extras.forEach((e, k) => {
      advance(body, e, p.extraSteps[k]?.[1] ?? 0);
    });
  });
}
