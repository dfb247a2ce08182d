/** Weights in the order in which kernels read them. */

/** Packed B of a gemm: for each group, panels of `nr` columns, each [K][columns padded to whole vectors]. */
export function packGemm(
  groups: number,
  depth: number,
  channels: number,
  nr: number,
  at: (group: number, k: number, n: number) => number,
): { readonly data: Float32Array; readonly groupBytes: number } {
  const panels: { start: number; columns: number; width: number }[] = [];
  for (let start = 0; start < channels; start += nr) {
    const columns = Math.min(nr, channels - start);
    panels.push({ start, columns, width: Math.ceil(columns / 4) * 4 });
  }
  const groupFloats = panels.reduce((n, p) => n + depth * p.width, 0);
  const data = new Float32Array(Math.max(groups * groupFloats, 4));
  let to = 0;
  for (let g = 0; g < groups; g++) {
    for (const { start, columns, width } of panels) {
      for (let k = 0; k < depth; k++) {
        for (let n = 0; n < columns; n++) data[to + n] = at(g, k, start + n);
        to += width;
      }
    }
  }
  return { data, groupBytes: groupFloats * 4 };
}

/** A bias per channel, each group padded to whole vectors. */
export function packBias(bias: Float32Array, groups: number, channels: number): Float32Array {
  const width = Math.ceil(channels / 4) * 4;
  const data = new Float32Array(groups * width);
  for (let g = 0; g < groups; g++) data.set(bias.subarray(g * channels, (g + 1) * channels), g * width);
  return data;
}

/** Depthwise weights [C, 1, taps] as [taps][C padded to whole vectors]. */
export function packDepthwise(weight: Float32Array, channels: number, taps: number): Float32Array {
  const width = Math.ceil(channels / 4) * 4;
  const data = new Float32Array(taps * width);
  for (let c = 0; c < channels; c++) {
    for (let t = 0; t < taps; t++) data[t * width + c] = weight[c * taps + t] ?? 0;
  }
  return data;
}
