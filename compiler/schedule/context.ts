/** What the lowerings of single ops work with, whatever the target: views of operands and results, copies between layouts. */
import { InternalError } from '#ir/diagnostics.ts';
import { type Node, operand, result, tensorOf, type Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { byteSize, bytesOf, type DType, type Layout, type Shape } from '#ir/types.ts';
import type { Home } from './homes.ts';
import type { PackedConstant, ProgramBuilder } from './program.ts';
import {
  broadcastViewStrides,
  hasDensePixels,
  isInLayout,
  layoutStrides,
  type Storage,
  sameStrides,
  sliceView,
  type View,
} from './view.ts';

export abstract class ViewContext<Kernel> {
  readonly builder: ProgramBuilder<Kernel>;
  readonly #layouts: ReadonlyMap<Value, Layout>;
  readonly #homes: ReadonlyMap<Value, Home>;
  /** What is joined, from when its first part is computed. */
  readonly #joined = new Map<Value, View>();
  readonly #views = new Map<Value, View[]>();
  #reads: Map<Value, View> = new Map();
  #node: Node | undefined;

  constructor(
    builder: ProgramBuilder<Kernel>,
    layouts: ReadonlyMap<Value, Layout>,
    homes: ReadonlyMap<Value, Home>,
  ) {
    this.builder = builder;
    this.#layouts = layouts;
    this.#homes = homes;
  }

  /** The element type that values of a type have in the target's memory. */
  protected memoryType(dtype: DType): DType {
    return dtype;
  }

  /** A constant tensor in row-major order. */
  abstract constant(tensor: Tensor): View;
  /** Copies a view to another of the same shape. */
  abstract copy(from: View, to: View): void;
  /** Writes one value over a whole view. */
  abstract fill(to: View, value: number): void;

  /** What follows lowers `node`; undefined for copies that belong to none. */
  beginNode(node: Node | undefined): void {
    this.#node = node;
    this.#reads = new Map();
    this.builder.beginNode(node);
  }

  protected get current(): Node {
    if (!this.#node) throw new InternalError('there is a choice only while a node is lowered');
    return this.#node;
  }

  call(kernel: Kernel, args: readonly View[]): void {
    for (const { storage } of args) this.#noteRead(storage);
    this.builder.call(kernel, args);
  }

  /** Where the calls of the current node, or its result, first read each of its operands. */
  get reads(): ReadonlyMap<Value, View> {
    return this.#reads;
  }

  #noteRead(storage: View['storage']): void {
    for (const value of this.#node?.operands ?? []) {
      if (!value || this.#reads.has(value)) continue;
      const read = this.#views.get(value)?.find((view) => view.storage === storage);
      if (read) this.#reads.set(value, read);
    }
  }

  /** From now on `value` lies at `view`, which may be memory of its own or an operand's. */
  define(value: Value, view: View): void {
    this.#noteRead(view.storage);
    this.#views.set(value, [view]);
  }

  layoutOf(value: Value): Layout {
    return this.#layouts.get(value) ?? 'rowMajor';
  }

  /** New memory for a tensor. */
  scratch(shape: Shape, dtype: DType, layout: Layout = 'rowMajor'): View {
    const storage = this.allocate(byteSize({ shape, dtype }), dtype);
    return { storage, offset: 0, dtype, shape, strides: layoutStrides(shape, dtype, layout) };
  }

  /** Memory for elements of a type. */
  protected allocate(bytes: number, _dtype: DType): Storage {
    return this.builder.allocate(bytes);
  }

  /** New memory for an input or output, in row-major order, whatever a target keeps other values as. */
  port({ type: { shape, dtype: given } }: Value): View {
    const dtype = this.memoryType(given);
    const storage = this.builder.allocate(byteSize({ shape, dtype }));
    return { storage, offset: 0, dtype, shape, strides: layoutStrides(shape, dtype, 'rowMajor') };
  }

  /** Memory for an output of the node: its place in what it is joined to, else its own in the layout that was assigned to it. */
  output(node: Node, index = 0): View {
    const value = result(node, index);
    const view = this.#place(value);
    this.define(value, view);
    return view;
  }

  #place(value: Value): View {
    const begun = this.#joined.get(value);
    if (begun) return begun;
    const { shape, dtype } = value.type;
    const home = this.#homes.get(value);
    if (!home) return this.scratch(shape, this.memoryType(dtype), this.layoutOf(value));
    const whole = this.#place(home.concat);
    this.#joined.set(home.concat, whole);
    return channelsOf(whole, home.channel, shape[1] ?? 0);
  }

  /** The view that values make together where they lie side by side among the channels of one already. */
  joined(values: readonly Value[]): View | undefined {
    const home = values[0] && this.#homes.get(values[0]);
    const whole = home && this.#joined.get(home.concat);
    if (!home || !whole) return undefined;
    let { channel } = home;
    for (const value of values) {
      if (!this.isPart(value, whole, channel)) return undefined;
      channel += value.type.shape[1] ?? 0;
    }
    return channelsOf(whole, home.channel, channel - home.channel);
  }

  /** Was the value computed where this channel of a view begins? */
  isPart(value: Value, whole: View, channel: number): boolean {
    const expected = channelsOf(whole, channel, value.type.shape[1] ?? 0);
    return this.viewsOf(value).some(
      ({ storage, offset, strides }) =>
        storage === expected.storage &&
        offset === expected.offset &&
        sameStrides(expected.shape, strides, expected.strides),
    );
  }

  /** Any view of a value. */
  anyView(value: Value): View {
    const [view] = this.viewsOf(value);
    if (!view) throw new InternalError(`value "${value.name}" is read before it is computed`);
    return view;
  }

  /** A dense view of a value in a layout, made by a copy where there is none. */
  view(value: Value, layout: Layout): View {
    const known = this.viewsOf(value).find((v) => isInLayout(v, layout));
    if (known) return known;
    const source = this.anyView(value);
    const copy = this.scratch(source.shape, source.dtype, layout);
    this.copy(source, copy);
    this.#views.get(value)?.push(copy);
    return copy;
  }

  /** A view of a value whose channels lie side by side; dense or among other channels. A copy where there is none. */
  pixels(value: Value): View {
    return this.viewsOf(value).find(hasDensePixels) ?? this.view(value, 'channelsLast');
  }

  /** A dense row-major view of what stands in operand slot `slot`. */
  rowMajor(node: Node, slot: number): View {
    return this.view(operand(node, slot), 'rowMajor');
  }

  /** Every view of a value that exists by now, its own first. */
  viewsOf(value: Value): readonly View[] {
    const known = this.#views.get(value);
    if (known) return known;
    const tensor = tensorOf(value);
    if (!tensor) return [];
    const view = this.constant(tensor);
    this.#views.set(value, [view]);
    return [view];
  }

  /** Packed words, as a flat view. */
  packed(constant: PackedConstant, key?: string): View {
    const storage = this.builder.constant(constant, key);
    return { storage, offset: 0, dtype: 'f32', shape: [constant.bytes / 4], strides: [4] };
  }

  /**
   * A view of a value with a border of `value` around its spatial axes (axis 2 onwards), channels last; the value itself
   * where there is no border, perhaps among other channels.
   */
  padded(value: Value, begins: readonly number[], ends: readonly number[], border = 0): View {
    if ([...begins, ...ends].every((p) => p === 0)) return this.pixels(value);
    return this.paddedCopy(this.anyView(value), begins, ends, border);
  }

  /** A copy of a view with such a border, channels last. */
  paddedCopy(source: View, begins: readonly number[], ends: readonly number[], border: number): View {
    const grow = (axis: number) => (axis < 2 ? 0 : (begins[axis - 2] ?? 0) + (ends[axis - 2] ?? 0));
    const shape = source.shape.map((size, axis) => size + grow(axis));
    const target = this.scratch(shape, source.dtype, 'channelsLast');
    const starts = shape.map((_, axis) => (axis < 2 ? 0 : (begins[axis - 2] ?? 0)));
    this.border(target, starts, source.shape, border);
    this.copy(source, sliceView(target, starts, source.shape));
    return target;
  }

  /** Fills everything of `target` outside the box at `starts` of shape `inside`. */
  border(target: View, starts: readonly number[], inside: Shape, value: number): void {
    const from = target.shape.map(() => 0);
    const size = [...target.shape];
    target.shape.forEach((whole, axis) => {
      const begin = starts[axis] ?? 0;
      const end = begin + (inside[axis] ?? whole);
      for (const [start, count] of [
        [0, begin],
        [end, whole - end],
      ] as const) {
        if (count <= 0) continue;
        const slabStart = from.map((s, a) => (a === axis ? start : s));
        const slabSize = size.map((s, a) => (a === axis ? count : s));
        this.fill(sliceView(target, slabStart, slabSize), value);
      }
      from[axis] = begin;
      size[axis] = end - begin;
    });
  }

  /**
   * A view of a value that broadcasts to `out`, of its rank, whose elements lie side by side along axis `innermost` or
   * are one value for all of it; a copy in the order of `out` where there is no such view.
   */
  operandFor(value: Value, out: View, innermost: number): View {
    const lead = out.shape.length - value.type.shape.length;
    const full = (view: View): View => ({
      ...view,
      shape: [...new Array<number>(lead).fill(1), ...view.shape],
      strides: [...new Array<number>(lead).fill(0), ...view.strides],
    });
    const fits = (view: View) => {
      const step = broadcastViewStrides(view, out.shape)[innermost] ?? 0;
      return step === 0 || step === bytesOf(view.dtype);
    };
    const known = [this.anyView(value), ...this.viewsOf(value)].map(full).find(fits);
    if (known) return known;
    const layout: Layout = innermost === 1 && out.shape.length > 2 ? 'channelsLast' : 'rowMajor';
    if (lead === 0) return this.view(value, layout);
    const source = full(this.anyView(value));
    const copy = this.scratch(source.shape, source.dtype, layout);
    this.copy(source, copy);
    return copy;
  }
}

const channelsOf = (view: View, start: number, count: number): View =>
  sliceView(
    view,
    view.shape.map((_, axis) => (axis === 1 ? start : 0)),
    view.shape.map((size, axis) => (axis === 1 ? count : size)),
  );
