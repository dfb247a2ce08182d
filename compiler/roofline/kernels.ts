/** What the arithmetic of a kernel takes where no memory is waited for, from the rates of a machine. */
import { children, type Expr, parseExpr } from '#ir/expr.ts';
import { type Loop, wholeAndRest } from '../schedule/loops.ts';
import type { WasmKernel } from '../targets/wasm/index.ts';
import type { KernelEpilogue } from '../targets/wasm/kernels/family.ts';
import type { ProductParams } from '../targets/wasm/kernels/gemm.ts';
import type { WindowParams } from '../targets/wasm/kernels/window.ts';
import type { WinogradParams } from '../targets/wasm/kernels/winograd/winograd.ts';
import { logisticArgument } from '../targets/wasm/simd-expr.ts';
import { type Tile, tileCost, tilesOfWidth } from '../targets/wasm/tiles.ts';
import { winogradTransform } from '../winograd/transforms.ts';
import type { Rates } from './rates.ts';

/** Nanoseconds; undefined for kernels that only move, whose time is that of memory. */
export function arithmeticNs(kernel: WasmKernel, rates: Rates): number | undefined {
  switch (kernel.family) {
    case 'gemm':
    case 'dot':
      return productNs(kernel.params, rates);
    case 'winograd':
      return winogradNs(kernel.params, rates);
    case 'window':
      return windowNs(kernel.params, rates);
    case 'map': {
      const { outer, count, expr } = kernel.params;
      return times(outer) * count * (rates.elements.moved + expressionNs(parseExpr(expr), rates));
    }
    case 'reduce': {
      const { before, kept, reduced, inner } = kernel.params;
      const each = rates.elements.operation + expressionNs(parseExpr(before), rates);
      return times(kept) * times(reduced) * inner.count * each;
    }
    case 'transpose': {
      const { outer, rows, columns } = kernel.params;
      return times(outer) * rows * columns * rates.elements.transposed;
    }
    default:
      return undefined;
  }
}

const times = (loops: readonly Loop[]): number => loops.reduce((n, { count }) => n * count, 1);

function productNs(p: ProductParams, rates: Rates): number {
  const { outer, pixels, groups, taps, run, channels, tile, epilogue } = p;
  const rows = times(outer) * groups.count;
  const cost = Math.min(...ownTiles(tile, channels, rates).map((t) => tileCost(t, pixels.count, channels)));
  const outputs = rows * pixels.count * channels;
  return (rows * cost * times(taps) * run) / rates.peak + outputs * epilogueNs(epilogue, rates);
}

/** The tiles of the engine that read what is packed for a tile: the one with the best time is taken. */
function ownTiles(
  [pixels, width]: readonly [number, number],
  channels: number,
  rates: Rates,
): readonly Tile[] {
  const { tiles } = rates.costs.engines[rates.engine];
  const fitting = tilesOfWidth(tiles, width, channels);
  return fitting.length > 0 ? fitting : [{ pixels, channels: width, efficiency: 1 }];
}

function winogradNs(p: WinogradParams, rates: Rates): number {
  const { outputs, outer, groups, inputChannels, channels, output, block, tile, epilogue } = p;
  const elements = winogradTransform(outputs).size ** 2;
  const images = times(outer) * groups.count;
  const [down, across] = output.size.map((n) => Math.ceil(n / outputs)) as [number, number];
  const { input, output: back } = rates.costs.winograd;
  const [best] = ownTiles(tile, channels, rates);
  const blocks = wholeAndRest(down, block[0]).flatMap(([rows, n]) =>
    wholeAndRest(across, block[1]).map(([columns, k]) => ({ tiles: rows * columns, times: n * k })),
  );
  const products = blocks.reduce(
    (sum, one) => sum + one.times * elements * inputChannels * tileCost(best as Tile, one.tiles, channels),
    0,
  );
  const transforms =
    down * across * (Math.ceil(inputChannels / 4) * input[outputs] + Math.ceil(channels / 4) * back[outputs]);
  const results = output.size[0] * output.size[1] * channels;
  return images * ((products + transforms) / rates.peak + results * epilogueNs(epilogue, rates));
}

/** Rows that go by one column of weights at a time; undefined of kernels without such. */
export function productRows(kernel: WasmKernel): number | undefined {
  if (kernel.family === 'winograd') return kernel.params.block[0] * kernel.params.block[1];
  return kernel.family === 'gemm' || kernel.family === 'dot' ? kernel.params.pixels.count : undefined;
}

function windowNs(p: WindowParams, rates: Rates): number {
  const { combine, outer, axes, channels, epilogue } = p;
  const over = (of: (segment: WindowParams['axes'][number]['segments'][number]) => number) =>
    axes.reduce((n, axis) => n * axis.segments.reduce((sum, segment) => sum + of(segment), 0), times(outer));
  const taps = over(({ count, taps: own }) => count * own) * channels;
  const outputs = over(({ count }) => count) * channels;
  const [first] = axes;
  const stride = first ? Math.round(first.inputStep / Math.max(1, first.tapStep)) : 1;
  const each =
    combine === 'multiplyAdd' ? 1 / rates.window(first?.kernel ?? 3, stride) : rates.elements.pooled;
  return taps * each + outputs * epilogueNs(epilogue, rates);
}

const epilogueNs = (epilogue: KernelEpilogue | null, rates: Rates): number =>
  epilogue ? expressionNs(parseExpr(epilogue.expr), rates) : 0;

/** Of one element; simple operations and functions, each beside reading and writing. */
export function expressionNs(e: Expr, rates: Rates): number {
  const { elements } = rates;
  const logit = e.kind === 'binary' ? logisticArgument(e) : undefined;
  if (logit) return elements.logistic + expressionNs(logit, rates);
  const inside = children(e).reduce((sum, child) => sum + expressionNs(child, rates), 0);
  if (e.kind === 'arg' || e.kind === 'const') return 0;
  const name = e.kind === 'select' ? 'select' : e.fn;
  return inside + (isMeasured(name) ? elements[name] : elements.operation * (FEW[name] ?? 1));
}

const isMeasured = (name: string): name is 'exp' | 'log' | 'tanh' | 'erf' =>
  name === 'exp' || name === 'log' || name === 'tanh' || name === 'erf';

/** Functions that are not measured, in simple operations. */
const FEW: Readonly<Record<string, number>> = {
  div: 4,
  sqrt: 6,
  pow: 80,
  mod: 8,
  sin: 60,
  cos: 60,
  tan: 90,
  asin: 60,
  acos: 60,
  atan: 60,
  sinh: 60,
  cosh: 60,
  asinh: 90,
  acosh: 90,
  atanh: 90,
};
