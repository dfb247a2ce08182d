/** Pooling, resizing, padding, and moves between channels and space. */
import type { Value } from '#ir/graph.ts';
import { formatShape } from '#ir/types.ts';
import { extent, windowAxes } from '#ir/window.ts';
import { divisorsOf, multiplesAround } from '../hints.ts';
import type { OptionsOf } from '../kinds.ts';
import type { Flow, Layer } from '../layer.ts';

function poolWindow(layer: Layer, x: Value, o: OptionsOf<'maxPool'>) {
  const fallback = { kernel: o.kernel, stride: o.stride ?? o.kernel, padding: 'valid' as const };
  const window = layer.window(x, o, fallback);
  if (!window) return undefined;
  const most = windowAxes(window).map((axis) => extent(axis) - 1);
  const wide = windowAxes(window).findIndex((a, i) => Math.max(a.padBegin, a.padEnd) > (most[i] ?? 0));
  if (wide >= 0) {
    const limit = Math.min(...most);
    return layer.wrong(
      'padding',
      `pads of ${window.pads.join(', ')} are not smaller than the window of ${windowAxes(window).map(extent).join('×')}`,
      `a window must touch its input: "padding": ${limit} is the most, or write a larger "kernel"`,
    );
  }
  if (!layer.fits(x, window)) return undefined;
  return { ...window, ceil: o.ceil ?? false };
}

function maxPool(layer: Layer, x: Value, o: OptionsOf<'maxPool'>): Flow {
  const window = poolWindow(layer, x, o);
  return window && layer.op('MaxPool', [x], window);
}

function averagePool(layer: Layer, x: Value, o: OptionsOf<'averagePool'>): Flow {
  const { includePadding = false, ...pool } = o;
  const window = poolWindow(layer, x, pool);
  return window && layer.op('AveragePool', [x], { ...window, countIncludePad: includePadding });
}

function globalPool(layer: Layer, x: Value, { mode = 'average' }: OptionsOf<'globalPool'>): Flow {
  if (layer.rank(x) === undefined) return undefined;
  if (mode === 'average') return layer.op('GlobalAveragePool', [x], {});
  const axes = x.type.shape.map((_, axis) => axis).slice(2);
  return layer.op('ReduceMax', [x], { axes, keepDims: true });
}

function interpolate(layer: Layer, x: Value, o: OptionsOf<'interpolate'>): Flow {
  const rank = layer.rank(x);
  if (rank === undefined) return undefined;
  if ((o.scale === undefined) === (o.size === undefined))
    return layer.wrong(
      '',
      o.scale === undefined ? 'it needs scale or size' : 'it has both scale and size',
      o.scale === undefined ? 'for example { "interpolate": 2 }' : 'take one of them away',
    );
  const spatial = x.type.shape.slice(2);
  const scale = o.scale === undefined ? undefined : layer.perAxis('scale', o.scale, 1, rank);
  const sizes =
    o.size === undefined
      ? spatial.map((size, i) => Math.floor(size * (scale?.[i] ?? 1)))
      : layer.perAxis('size', o.size, 1, rank);
  if (!sizes || (o.scale !== undefined && !scale)) return undefined;
  if (!sizes.every(Number.isSafeInteger))
    return layer.wrong('scale', 'its result is too large', 'write a smaller factor');
  if (sizes.some((s) => s < 1))
    return layer.wrong(
      'scale',
      `it makes ${sizes.join('×')} of ${spatial.join('×')}`,
      `a size is at least 1: write ${1 / Math.min(...spatial)} or more, or "globalPool"`,
    );
  const mode = o.mode ?? 'nearest';
  if (o.alignCorners && mode === 'nearest')
    return layer.wrong(
      'alignCorners',
      'it goes with linear and cubic',
      'add "mode": "linear", or take it away',
    );
  const linear = o.alignCorners ? ('align_corners' as const) : ('half_pixel' as const);
  return layer.op('Resize', [x], {
    mode,
    coordinates: mode === 'nearest' ? 'asymmetric' : linear,
    nearestMode: mode === 'nearest' ? 'floor' : 'round_prefer_floor',
    scales: [1, 1, ...(scale ?? sizes.map((size, i) => size / (spatial[i] ?? 1)))],
    sizes: [...x.type.shape.slice(0, 2), ...sizes],
  });
}

function pad(layer: Layer, x: Value, o: OptionsOf<'pad'>): Flow {
  const rank = layer.rank(x);
  const pads = rank && layer.padList('padding', o.padding, rank);
  if (!rank || !pads) return undefined;
  if (o.mode === 'reflect') {
    const most = x.type.shape.slice(2).map((size) => size - 1);
    const wide = pads.findIndex((p, i) => p > (most[i % rank] ?? 0));
    if (wide >= 0)
      return layer.wrong(
        'padding',
        `${pads[wide]} is more than an axis of ${(most[wide % rank] ?? 0) + 1} can reflect`,
        `${most[wide % rank]} is the most there; "mode": "edge" has no such limit`,
      );
  }
  if (o.value !== undefined && (o.mode ?? 'constant') !== 'constant')
    return layer.wrong(
      'value',
      `it goes with "constant", not "${o.mode}"`,
      'take it away, or write "mode": "constant"',
    );
  const all = [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)];
  return layer.op('Pad', [x], { mode: o.mode ?? 'constant', pads: all, value: o.value ?? 0 });
}

function channelShuffle(layer: Layer, x: Value, { groups }: OptionsOf<'channelShuffle'>): Flow {
  const channels = x.type.shape[1] ?? 1;
  if (channels % groups !== 0)
    return layer.wrong(
      'groups',
      `${groups} does not divide ${channels} input channels`,
      `${divisorsOf([channels])} would`,
    );
  return layer.op('ChannelShuffle', [x], { groups });
}

function depthToSpace(layer: Layer, x: Value, { block, order = 'CRD' }: OptionsOf<'depthToSpace'>): Flow {
  const channels = x.type.shape[1] ?? 1;
  const rank = layer.rank(x);
  if (rank === undefined) return undefined;
  if (rank !== 2)
    return layer.wrong(
      '',
      `its input is ${formatShape(x.type.shape)}; blocks have two spatial axes`,
      `write { "transposed": ${channels} } or { "interpolate": 2 }, which take any number of axes`,
    );
  if (channels % (block * block) !== 0)
    return layer.wrong(
      'block',
      `${block}×${block} does not divide ${channels} input channels`,
      `${divisorsOf([channels], (d) => d * d)} would; so would ${multiplesAround(block * block, channels)} channels before it`,
    );
  return layer.op('DepthToSpace', [x], { blocksize: block, mode: order });
}

export const SPATIAL = {
  maxPool,
  averagePool,
  globalPool,
  interpolate,
  pad,
  channelShuffle,
  depthToSpace,
  flatten: (layer: Layer, x: Value, _: OptionsOf<'flatten'>) => layer.op('Flatten', [x], { axis: 1 }),
} as const;
