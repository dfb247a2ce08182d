/** How fast memory is, by how much of it is gone through again and again. */
export interface BandwidthPoint {
  readonly bytes: number;
  readonly gigabytesPerSecond: number;
}

/** Bytes per nanosecond: between measured sizes by the logarithm of the size; beyond them as at the last. */
export function bandwidthAt(measured: readonly BandwidthPoint[], bytes: number): number {
  const sorted = [...measured].sort((a, b) => a.bytes - b.bytes);
  const above = sorted.findIndex((one) => one.bytes >= bytes);
  const next = sorted[above];
  const before = sorted[above - 1];
  if (!next) return sorted.at(-1)?.gigabytesPerSecond ?? Number.POSITIVE_INFINITY;
  if (!before) return next.gigabytesPerSecond;
  const part = Math.log(bytes / before.bytes) / Math.log(next.bytes / before.bytes);
  return before.gigabytesPerSecond + part * (next.gigabytesPerSecond - before.gigabytesPerSecond);
}
