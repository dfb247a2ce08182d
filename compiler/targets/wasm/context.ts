/** What the lowerings of single ops work with: views of operands and results, copies between layouts, constants. */

import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import type { PackedConstant, ProgramBuilder } from '#compiler/schedule/program.ts';
import {
  axesByStride,
  broadcastViewStrides,
  isInLayout,
  layoutStrides,
  sliceView,
  type View,
} from '#compiler/schedule/view.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { type Expr, formatExpr } from '#ir/expr.ts';
import { epilogueOperands, type Node, operand, result, tensorOf, type Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { byteSize, bytesOf, type DType, elementCount, type Layout, type Shape } from '#ir/types.ts';
import { type Choices, chooseTile, FREE_CHOICES } from './choices.ts';
import type { KernelEpilogue } from './kernels/family.ts';
import type { WasmKernel } from './kernels/index.ts';
import type { WinogradLayer, WinogradPlan } from './lower/winograd-plan.ts';
import { packedCopy } from './pack.ts';

/** An epilogue with the views that its operands are read from. */
export interface Epilogue {
  readonly kernel: KernelEpilogue | null;
  readonly views: readonly View[];
  /** Byte strides of each operand at positions of the node's first output. */
  readonly strides: readonly (readonly number[])[];
}

export interface LowerOptions {
  readonly choices?: Choices | undefined;
  /** The most threads that may run the program together; 1 unless given. */
  readonly threads?: number;
}

export class LowerContext {
  readonly builder: ProgramBuilder<WasmKernel>;
  /** The most that may run the program together. */
  readonly threads: number;
  readonly #layouts: ReadonlyMap<Value, Layout>;
  readonly #choices: Choices;
  #products = 0;
  readonly #views = new Map<Value, View[]>();
  #reads: Map<Value, View> = new Map();
  #node: Node | undefined;

  constructor(
    builder: ProgramBuilder<WasmKernel>,
    layouts: ReadonlyMap<Value, Layout>,
    { choices = FREE_CHOICES, threads = 1 }: LowerOptions = {},
  ) {
    this.builder = builder;
    this.threads = threads;
    this.#layouts = layouts;
    this.#choices = choices;
  }

  /** What follows lowers `node`; undefined for copies that belong to none. */
  beginNode(node: Node | undefined): void {
    this.#node = node;
    this.#reads = new Map();
    this.#products = 0;
    this.builder.beginNode(node);
  }

  /** The tile of a product of `pixels` rows with weights that are packed for it. */
  packedTile(pixels: number, channels: number): readonly [number, number] {
    return this.#choices.tile(this.#current(), this.#products++, pixels, channels);
  }

  /** The tile of a product whose weights lie in rows. */
  rowsTile(pixels: number, channels: number): readonly [number, number] {
    return chooseTile(pixels, channels, this.#choices.costs);
  }

  /** How the current node, a convolution, is computed by minimal filtering, if it is. */
  winograd(layer: WinogradLayer): WinogradPlan | undefined {
    return this.#choices.winograd(this.#current(), layer);
  }

  #current(): Node {
    if (!this.#node) throw new InternalError('there is a choice only while a node is lowered');
    return this.#node;
  }

  call(kernel: WasmKernel, args: readonly View[]): void {
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
    const storage = this.builder.allocate(byteSize({ shape, dtype }));
    return { storage, offset: 0, dtype, shape, strides: layoutStrides(shape, dtype, layout) };
  }

  /** New memory for an output of the node, in the layout that was assigned to it. */
  output(node: Node, index = 0): View {
    const value = result(node, index);
    const view = this.scratch(value.type.shape, value.type.dtype, this.layoutOf(value));
    this.define(value, view);
    return view;
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

  /** A constant tensor in row-major order. */
  constant(tensor: Tensor): View {
    const { shape, dtype } = tensor.type;
    const storage = this.builder.constant(packedCopy(tensor.data));
    return { storage, offset: 0, dtype, shape, strides: layoutStrides(shape, dtype, 'rowMajor') };
  }

  /** Packed words, as a flat view. */
  packed(constant: PackedConstant, key?: string): View {
    const storage = this.builder.constant(constant, key);
    return { storage, offset: 0, dtype: 'f32', shape: [constant.bytes / 4], strides: [4] };
  }

  /** Copies a view to another of the same shape. */
  copy(from: View, to: View): void {
    const size = bytesOf(to.dtype);
    const axes = axesByStride(to);
    const loops = mergeLoops(loopsOver(to.shape, [from.strides, to.strides], axes));
    const inner = loops[loops.length - 1];
    const outer = loops.slice(0, -1);
    if (!inner) {
      this.call({ family: 'copy', params: { loops: [], bytes: size } }, [from, to]);
    } else if (inner.steps[0] === size && inner.steps[1] === size) {
      this.call({ family: 'copy', params: { loops: outer, bytes: inner.count * size } }, [from, to]);
    } else {
      const crossing = outer.findIndex((loop) => loop.steps[0] === size && loop.count >= 4);
      const columns = outer[crossing];
      if (size === 4 && columns && inner.steps[1] === size) {
        const params = {
          outer: outer.filter((_, i) => i !== crossing),
          rows: inner.count,
          columns: columns.count,
          inputStep: inner.steps[0] ?? 0,
          outputStep: columns.steps[1] ?? 0,
        };
        this.call({ family: 'transpose', params }, [from, to]);
      } else {
        this.call({ family: 'copy', params: { loops, bytes: size } }, [from, to]);
      }
    }
  }

  /** Writes one value over a whole view. */
  fill(to: View, value: number): void {
    const size = bytesOf(to.dtype);
    const loops = mergeLoops(loopsOver(to.shape, [to.strides], axesByStride(to)));
    const inner = loops[loops.length - 1];
    const dense = inner?.steps[0] === size;
    const params = {
      loops: dense ? loops.slice(0, -1) : loops,
      bytes: dense ? inner.count * size : size,
      pattern: bitPattern(value, to.dtype),
      elementBytes: size as 1 | 2 | 4 | 8,
    };
    if (elementCount(to.shape) > 0) this.call({ family: 'fill', params }, [to]);
  }

  /**
   * A view of a value with a border of `value` around its spatial axes (axis 2 onwards), channels last; the value itself
   * where there is no border.
   */
  padded(value: Value, begins: readonly number[], ends: readonly number[], border = 0): View {
    if ([...begins, ...ends].every((p) => p === 0)) return this.view(value, 'channelsLast');
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

  /** The epilogue of a node whose output is `out`; `channelAxis` is the axis that kernels vectorise. */
  epilogue(node: Node, out: View, channelAxis: number, wrap: (e: Expr) => Expr = (e) => e): Epilogue {
    const own = node.epilogue;
    const operands = epilogueOperands(node).map((value) => value ?? operand(node, -1));
    return this.epilogueOver(own ? wrap(own) : wrap({ kind: 'arg', index: 0 }), operands, out, channelAxis);
  }

  epilogueOver(expr: Expr, operands: readonly Value[], out: View, channelAxis: number): Epilogue {
    if (expr.kind === 'arg' && operands.length === 0) return { kernel: null, views: [], strides: [] };
    const views = operands.map((value) => this.operandFor(value, out, channelAxis));
    const strides = views.map((view) => broadcastViewStrides(view, out.shape));
    const kinds = strides.map((s) => readingAlong(s[channelAxis] ?? 0, 4));
    return { kernel: { expr: formatExpr(expr), operands: kinds }, views, strides };
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

/** How a kernel reads an operand along its innermost axis. */
export function readingAlong(step: number, elementBytes: number): 'vector' | 'splat' {
  if (step !== 0 && step !== elementBytes)
    throw new InternalError(`an operand is read in steps of ${step} bytes`);
  return step === 0 ? 'splat' : 'vector';
}

const scratchBits = new DataView(new ArrayBuffer(8));

/** The bits of one element. */
export function bitPattern(value: number, dtype: DType): bigint {
  scratchBits.setBigUint64(0, 0n, true);
  if (dtype === 'f32') scratchBits.setFloat32(0, value, true);
  else scratchBits.setBigInt64(0, BigInt(Math.trunc(value)), true);
  return scratchBits.getBigUint64(0, true) & ((1n << BigInt(8 * bytesOf(dtype))) - 1n);
}
