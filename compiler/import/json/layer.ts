/** What the layer kinds build with: nodes with names, weights with keys, problems with paths. */
import type { Builder } from '#ir/builder.ts';
import type { Node, OpAttrsInput, OpName, Value } from '#ir/graph.ts';
import { OpError } from '#ir/op.ts';
import { formatShape, type Shape } from '#ir/types.ts';
import { extent, outputSize, samePadding, type Window, windowAxes } from '#ir/window.ts';
import { shapeProblem } from '../onnx/element-types.ts';
import { written } from './hints.ts';
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
  /** Its options as they stand in the description. */
  readonly written: unknown;
}

/** What of a place a layer of the description has by itself. */
export type WrittenPlace = Pick<LayerPlace, 'path' | 'name' | 'written'>;

export interface Workshop {
  readonly builder: Builder;
  /** The layers that nodes come from. */
  readonly made: Map<Node, LayerPlace>;
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
  wrong(option: string, message: string, hint: string): undefined {
    this.#shop.problems.report(this.#pathOf(option), message, { hint, used: this.place.used });
  }

  /** The path of an option (`norm.groups`), as far as it is written. */
  #pathOf(option: string): Path {
    let { path, written: value } = this.place;
    for (const key of option.split('.')) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) break;
      path = at(path, key);
      value = (value as Readonly<Record<string, unknown>>)[key];
    }
    return path;
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
      this.#shop.made.set(node, this.place);
      const problem = node.outputs.map(({ type }) => shapeProblem(type.shape)).find((p) => p !== undefined);
      if (problem !== undefined) return this.wrong('', `its result is too large: ${problem}`, SMALLER);
      return node.outputs;
    } catch (error) {
      if (error instanceof OpError || error instanceof RangeError) {
        const shapes = inputs.flatMap((v) => (v ? [formatShape(v.type.shape)] : []));
        const other = `it reads ${shapes[0]}; change its options, or the layers before it, so that they fit`;
        return this.wrong('', error.message, /too large/.test(error.message) ? SMALLER : other);
      }
      throw error;
    }
  }

  /** Are there values left for `init` to make? Reports it if not. */
  mayHaveInit(init: InitName | undefined, allGiven: boolean): boolean {
    if (init === undefined || !allGiven) return true;
    this.wrong('init', 'its weights are written down, so that none are made', 'take it away, or the weights');
    return false;
  }

  /** A weight; `key` says which of the layer's: `depthwise.weight`. */
  weight(key: string, shape: Shape, options: WeightOptions): Flow {
    const { container, name, path, used } = this.place;
    const full = [container, name, key].filter((s) => s !== '').join('.');
    const constant = this.#shop.weights.constant({
      key: full,
      shape,
      init: options.init ?? 'heNormal',
      fan: options.fan,
      values: options.values,
      path:
        options.option !== undefined && options.values !== undefined ? this.#pathOf(options.option) : path,
      used,
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
    const list = Array.from({ length: rank }, (_, i) => given[i] ?? given.at(-1) ?? 1);
    return this.wrong(
      option,
      `${counted(given.length, 'number')} for ${axes(rank)} of the input`,
      `for example "${option}": ${written(list)}; one number alone is for all axes`,
    );
  }

  /** How many spatial axes the input has. */
  rank(x: Value): number | undefined {
    const rank = x.type.shape.length - 2;
    if (rank >= 1 && rank <= 3) return rank;
    const { kind } = this.place;
    const given = x.source.kind === 'input';
    const size = x.type.shape[1] ?? 1;
    const before = given
      ? `give the input spatial axes, for example "shape": ${written([1, size])}`
      : 'put it before "flatten", where there are some';
    return this.wrong(
      '',
      `its input is ${formatShape(x.type.shape)} and has no spatial axes`,
      `"${kind}" needs spatial axes: ${before}${kind.endsWith('ool') || !CONVOLVES.test(kind) ? '' : ', or use "dense"'}`,
    );
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
    const holes = sizes.join() === window.kernel.join() ? '' : `, ${sizes.join('×')} with its dilation,`;
    const padded = window.pads.some((p) => p > 0) ? ` padded by ${window.pads.join(', ')}` : '';
    const most = axesOf.map(
      ({ dilation, padBegin, padEnd }, i) =>
        Math.floor(((spatial[i] ?? 1) + padBegin + padEnd - 1) / dilation) + 1,
    );
    const kernel = window.kernel.map((k, i) => Math.min(k, most[i] ?? k));
    this.wrong(
      'kernel',
      `a kernel of ${window.kernel.join('×')}${holes} does not fit the input of ${spatial.join('×')}${padded}`,
      `a kernel of ${kernel.join('×')} would fit, or "padding": "same"`,
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
    if (list.length !== rank) {
      const fitting = Array.from({ length: rank }, (_, i) => list[i] ?? list.at(-1) ?? 0);
      return this.wrong(
        option,
        `${counted(list.length, 'entry')} for ${axes(rank)} of the input`,
        `for example "padding": ${written(fitting)}; one number alone is for all sides`,
      );
    }
    return joined(list.map((p) => (typeof p === 'number' ? [p, p] : p)));
  }
}

/** Most numbers that a value may have are beyond any machine: what is asked for is a slip. */
const SMALLER = 'make it smaller: its sizes, factors or channels, or the input';

/** Kinds for which a dense layer does the same without space. */
const CONVOLVES = /^(conv|pointwise|grouped|dilated|depthwise|spatially|flattened|transposed)/;

const counted = (count: number, what: 'number' | 'entry'): string =>
  `${count === 1 ? 'one' : count} ${count === 1 ? what : what === 'entry' ? 'entries' : 'numbers'}`;

const axes = (rank: number): string => (rank === 1 ? 'one spatial axis' : `${rank} spatial axes`);

const joined = (pairs: readonly (readonly [number, number])[]): number[] => [
  ...pairs.map(([begin]) => begin),
  ...pairs.map(([, end]) => end),
];
