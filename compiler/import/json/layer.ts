/** What the layer kinds build with: nodes with names, weights with keys, problems with paths. */
import type { Builder } from '#ir/builder.ts';
import type { OpAttrsInput, OpName, Value } from '#ir/graph.ts';
import { OpError } from '#ir/op.ts';
import { formatShape, type Shape } from '#ir/types.ts';
import { extent, outputSize, samePadding, type Window, windowAxes } from '#ir/window.ts';
import { shapeProblem } from '../onnx/element-types.ts';
import type { InitName, PaddingList, PaddingValue, Values } from './kinds.ts';
import { at, type Path, type Problems } from './problems.ts';
import type { Weights } from './weights.ts';

/** A value, or nothing where a problem that is reported keeps it from being. */
export type Flow = Value | undefined;

export interface LayerPlace {
  readonly kind: string;
  /** The path of its options: `layers[4].conv`. */
  readonly path: Path;
  readonly used: Path | undefined;
  /** The containers that it is in: `stage1.0`; empty at the top. */
  readonly container: string;
  readonly name: string;
}

export interface Workshop {
  readonly builder: Builder;
  readonly weights: Weights;
  readonly problems: Problems;
}

interface WeightOptions {
  readonly init?: InitName | undefined;
  readonly values?: Values | undefined;
  /** The option that has the values. */
  readonly option?: string;
  readonly fan: readonly [number, number];
}

export interface WindowOptions {
  readonly kernel?: number | readonly number[] | undefined;
  readonly stride?: number | readonly number[] | undefined;
  readonly dilation?: number | readonly number[] | undefined;
  readonly padding?: PaddingValue | undefined;
}

export class Layer {
  readonly place: LayerPlace;
  readonly #shop: Workshop;

  constructor(place: LayerPlace, shop: Workshop) {
    this.place = place;
    this.#shop = shop;
  }

  /** Reports a problem of an option; returns undefined for convenience. */
  wrong(option: string, message: string, hint?: string): undefined {
    const { path, used } = this.place;
    this.#shop.problems.report(option === '' ? path : option.split('.').reduce(at, path), message, {
      hint,
      used,
    });
  }

  /**
   * Adds a node. `part` names it within a layer that is several nodes: `stage1.sep/depthwise`; a layer of one node is
   * `stage1/conv1`.
   */
  op<K extends OpName>(op: K, inputs: readonly Value[], attrs: OpAttrsInput<K>, part = ''): Flow {
    return this.ops(op, inputs, attrs, part)?.[0];
  }

  ops<K extends OpName>(
    op: K,
    inputs: readonly (Value | undefined)[],
    attrs: OpAttrsInput<K>,
    part = '',
  ): readonly Value[] | undefined {
    const { container, name, kind } = this.place;
    const layer = part === '' || container === '' ? name : `${container}.${name}`;
    const full = part !== '' ? `${layer}/${part}` : container === '' ? name : `${container}/${name}`;
    try {
      const node = this.#shop.builder.node(op, inputs, attrs, {
        name: full,
        ...(part === '' ? {} : { origin: kind }),
      });
      const problem = node.outputs.map(({ type }) => shapeProblem(type.shape)).find((p) => p !== undefined);
      if (problem !== undefined) return this.wrong('', `its result is too large: ${problem}`);
      return node.outputs;
    } catch (error) {
      if (error instanceof OpError || error instanceof RangeError) return this.wrong('', error.message);
      throw error;
    }
  }

  /** A weight; `key` says which of the layer's: `depthwise.weight`. */
  weight(key: string, shape: Shape, options: WeightOptions): Flow {
    const { container, name, path } = this.place;
    const full = [container, name, key].filter((s) => s !== '').join('.');
    const constant = this.#shop.weights.constant({
      key: full,
      shape,
      init: options.init ?? 'heNormal',
      fan: options.fan,
      values: options.values,
      path: options.option !== undefined && options.values !== undefined ? at(path, options.option) : path,
    });
    return constant && this.#shop.builder.constant(full, constant);
  }

  /** `true`, or what is not said where a norm does not follow: zeros, unless numbers are given. */
  bias(key: string, given: boolean | Values | undefined, channels: number, hasNorm: boolean): Flow | 'none' {
    const wanted = given ?? !hasNorm;
    if (wanted === false) return 'none';
    const values = wanted === true ? undefined : wanted;
    return this.weight(key, [channels], { init: 'zeros', values, option: 'bias', fan: [1, 1] });
  }

  scalar(value: number): Value {
    return this.#shop.builder.scalar(value, `${this.place.name}.constant`);
  }

  /** One number per spatial axis. */
  perAxis(
    option: string,
    value: number | readonly number[] | undefined,
    fallback: number | readonly number[],
    rank: number,
  ): number[] | undefined {
    const given = value ?? fallback;
    if (typeof given === 'number') return new Array<number>(rank).fill(given);
    if (given.length === rank) return [...given];
    return this.wrong(option, `${given.length} numbers for ${axes(rank)} of the input`);
  }

  /** How many spatial axes the input has. */
  rank(x: Value): number | undefined {
    const rank = x.type.shape.length - 2;
    if (rank >= 1 && rank <= 3) return rank;
    return this.wrong('', `its input is ${formatShape(x.type.shape)} and has no spatial axes`);
  }

  /** Kernel, stride, dilation and pads in numbers. */
  window(
    x: Value,
    options: WindowOptions,
    fallback: Required<Pick<WindowOptions, 'kernel' | 'padding'>> & {
      readonly stride?: number | readonly number[];
    },
  ): Window | undefined {
    const rank = this.rank(x);
    if (rank === undefined) return undefined;
    const kernel = this.perAxis('kernel', options.kernel, fallback.kernel ?? 3, rank);
    const strides = this.perAxis('stride', options.stride, fallback.stride ?? 1, rank);
    const dilations = this.perAxis('dilation', options.dilation, 1, rank);
    if (!kernel || !strides || !dilations) return undefined;
    const window = { kernel, strides, dilations, pads: [] };
    const pads = this.#pads(x, window, options.padding ?? fallback.padding ?? 'same');
    return pads && { ...window, pads };
  }

  /** Does the window fit its input? Reports it if not. */
  fits(x: Value, window: Window): boolean {
    const spatial = x.type.shape.slice(2);
    const axesOf = windowAxes(window);
    if (axesOf.every((axis, i) => outputSize(axis, spatial[i] ?? 0) >= 1)) return true;
    const sizes = axesOf.map(extent);
    const holes = sizes.join() === window.kernel.join() ? '' : `, with dilation ${sizes.join('×')},`;
    const padded = window.pads.some((p) => p > 0) ? ` padded by ${window.pads.join(', ')}` : '';
    this.wrong(
      'kernel',
      `${window.kernel.join('×')}${holes} does not fit the input of ${spatial.join('×')}${padded}`,
      'use a smaller kernel, more padding, or less stride before it',
    );
    return false;
  }

  #pads(x: Value, window: Window, padding: PaddingValue): number[] | undefined {
    const axesOf = windowAxes(window);
    if (typeof padding !== 'string') return this.padList('padding', padding, axesOf.length);
    const pairs = axesOf.map((axis, i): readonly [number, number] => {
      if (padding === 'valid') return [0, 0];
      if (padding === 'causal' && i === 0) return [extent(axis) - 1, 0];
      return samePadding(axis, x.type.shape[i + 2] ?? 0, true);
    });
    return joined(pairs);
  }

  /** Begins, then ends. */
  padList(option: string, padding: PaddingList, rank: number): number[] | undefined {
    const list = typeof padding === 'number' ? new Array<number>(rank).fill(padding) : padding;
    if (list.length !== rank)
      return this.wrong(option, `${list.length} entries for ${axes(rank)} of the input`);
    return joined(list.map((p) => (typeof p === 'number' ? [p, p] : p)));
  }
}

const axes = (rank: number): string => (rank === 1 ? 'one spatial axis' : `${rank} spatial axes`);

const joined = (pairs: readonly (readonly [number, number])[]): number[] => [
  ...pairs.map(([begin]) => begin),
  ...pairs.map(([, end]) => end),
];
