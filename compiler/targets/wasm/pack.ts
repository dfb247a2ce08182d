/** Weights in the order in which kernels read them. */
import type { PackedConstant } from '#compiler/schedule/program.ts';
import { bytesOfData, type TensorData } from '#ir/tensor.ts';
import { panelWidths } from '#runtime/stored-weights.ts';

/** `count` floats, zero but for what `fill` writes. */
export const packed = (count: number, fill: (target: Float32Array) => void): PackedConstant => ({
  bytes: count * 4,
  write: ({ buffer, byteOffset }) => fill(new Float32Array(buffer, byteOffset, count)),
});

/** Data as it is. */
export function packedCopy(data: TensorData): PackedConstant {
  const source = bytesOfData(data);
  return { bytes: source.byteLength, write: (target) => target.set(source) };
}

/** Where B[k][n] of each group lies in an array of weights: group·groupStride + rows[k] + n·columnStride. */
export interface WeightMatrix {
  readonly source: Float32Array;
  readonly groups: number;
  readonly groupStride: number;
  /** Offset of each k. */
  readonly rows: Int32Array;
  readonly columns: number;
  readonly columnStride: number;
  /** Every weight is multiplied by it. */
  readonly scale?: number;
}

/** The matrix of filters [groups · channels, input channels of a group, taps]: K runs over taps, then input channels. */
export const filterMatrix = (
  groups: number,
  channels: number,
  perGroup: number,
  taps: number,
): Omit<WeightMatrix, 'source'> => ({
  groups,
  groupStride: channels * perGroup * taps,
  rows: Int32Array.from(
    { length: taps * perGroup },
    (_, k) => (k % perGroup) * taps + Math.floor(k / perGroup),
  ),
  columns: channels,
  columnStride: perGroup * taps,
});

/** Packed B of a gemm: for each group, panels of `nr` columns, each [K][columns padded to whole vectors]. */
export function packGemm(matrix: WeightMatrix, nr: number): PackedConstant & { readonly groupBytes: number } {
  const { source, groups, rows, columns, columnStride, scale = 1 } = matrix;
  const widths = panelWidths(columns, nr);
  const groupFloats = rows.length * widths.reduce((n, width) => n + width, 0);
  const fill = (data: Float32Array): void => {
    let to = 0;
    for (let g = 0; g < groups; g++) {
      widths.forEach((width, panel) => {
        const start = panel * nr;
        const used = Math.min(nr, columns - start);
        const first = g * matrix.groupStride + start * columnStride;
        // a column after the other, as most sources have a column's weights side by side
        for (let n = 0; n < used; n++) {
          const from = first + n * columnStride;
          for (let k = 0, at = to + n; k < rows.length; k++, at += width) {
            data[at] = scale * (source[from + (rows[k] as number)] as number);
          }
        }
        to += rows.length * width;
      });
    }
  };
  const panels = widths.map((width) => ({ rows: rows.length, width }));
  return {
    ...packed(Math.max(groups * groupFloats, 4), fill),
    compact: { kind: 'panels', panels: Array.from({ length: groups }, () => panels).flat() },
    groupBytes: groupFloats * 4,
  };
}

/** Weights of one byte, in runs that are read side by side. */
export interface ByteMatrix extends Omit<WeightMatrix, 'source' | 'scale'> {
  readonly source: Uint8Array | Int8Array;
  /** What is subtracted from each weight: one number, or one per column of each group. */
  readonly zeros: ArrayLike<number>;
  /** Rows of a run. */
  readonly run: number;
}

/**
 * Packed B of a dot product: as that of a gemm, but each element is a pair of rows, as i16 less their zero point. A run of
 * odd length ends with a row of zeros.
 */
export function packDot(matrix: ByteMatrix, nr: number): PackedConstant & { readonly groupBytes: number } {
  const { source, groups, rows, columns, columnStride, zeros, run } = matrix;
  const widths = panelWidths(columns, nr);
  const runs = run === 0 ? 0 : rows.length / run;
  const pairs = Math.ceil(run / 2);
  const zeroOf = (column: number): number => zeros[zeros.length === 1 ? 0 : column] ?? 0;
  const fill = (data: Int16Array): void => {
    let to = 0;
    for (let g = 0; g < groups; g++) {
      widths.forEach((width, panel) => {
        const start = panel * nr;
        for (let n = 0; n < Math.min(nr, columns - start); n++) {
          const from = g * matrix.groupStride + (start + n) * columnStride;
          const zero = zeroOf(g * columns + start + n);
          for (let r = 0; r < runs; r++) {
            const first = to + 2 * (r * pairs * width + n);
            for (let k = 0; k < run; k++) {
              const at = first + 2 * width * (k >> 1) + (k & 1);
              data[at] = (source[from + (rows[r * run + k] as number)] as number) - zero;
            }
          }
        }
        to += 2 * runs * pairs * width;
      });
    }
  };
  const groupBytes = 4 * runs * pairs * widths.reduce((n, width) => n + width, 0);
  return {
    bytes: groups * groupBytes,
    write: ({ buffer, byteOffset }) => fill(new Int16Array(buffer, byteOffset, (groups * groupBytes) / 2)),
    groupBytes,
  };
}

/** A number per channel, each group padded to whole vectors. */
export function packBias(bias: Float32Array | Int32Array, groups: number, channels: number): PackedConstant {
  const width = Math.ceil(channels / 4) * 4;
  return packed(groups * width, (floats) => {
    const data = bias instanceof Int32Array ? new Int32Array(floats.buffer, floats.byteOffset) : floats;
    for (let g = 0; g < groups; g++) data.set(bias.subarray(g * channels, (g + 1) * channels), g * width);
  });
}

/** Depthwise weights [C, 1, taps] as [taps][C padded to whole vectors]. */
export function packDepthwise(weight: Float32Array, channels: number, taps: number): PackedConstant {
  const width = Math.ceil(channels / 4) * 4;
  const fill = (data: Float32Array): void => {
    for (let c = 0; c < channels; c++) {
      for (let t = 0; t < taps; t++) data[t * width + c] = weight[c * taps + t] ?? 0;
    }
  };
  const panels = [{ rows: taps, width }];
  return { ...packed(taps * width, fill), compact: { kind: 'panels', panels } };
}
