/** What the lowerings of single ops work with on this target. Every element is one word, or half of one. */

import { ViewContext } from '#compiler/schedule/context.ts';
import type { Home } from '#compiler/schedule/homes.ts';
import { type Loop, loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import type { PackedConstant, ProgramBuilder } from '#compiler/schedule/program.ts';
import {
  axesByStride,
  broadcastViewStrides,
  isInLayout,
  layoutStrides,
  type Storage,
  type View,
} from '#compiler/schedule/view.ts';
import { type Expr, formatExpr } from '#ir/expr.ts';
import { epilogueOperands, type Node, operand, result, type Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { type DType, elementCount, type Layout } from '#ir/types.ts';
import type { KernelEpilogue } from './kernels/family.ts';
import type { GpuKernel } from './kernels/index.ts';
import type { GpuChoices, MinimalTile, Tile } from './tiles.ts';
import type { Domain } from './wgsl-expr.ts';
import { type GpuPrecision, WORD_BYTES, type Word, wordOf, wordsOf } from './words.ts';

/** An epilogue with the views that its operands are read from. */
export interface Epilogue {
  readonly kernel: KernelEpilogue | null;
  readonly views: readonly View[];
}

export class LowerContext extends ViewContext<GpuKernel> {
  readonly #halves: boolean;
  readonly #leaving: ReadonlySet<Value>;
  readonly #choices: GpuChoices;

  constructor(
    builder: ProgramBuilder<GpuKernel>,
    layouts: ReadonlyMap<Value, Layout>,
    homes: ReadonlyMap<Value, Home>,
    precision: GpuPrecision,
    leaving: ReadonlySet<Value>,
    choices: GpuChoices,
  ) {
    super(builder, layouts, homes);
    this.#halves = precision === 'f16';
    this.#leaving = leaving;
    this.#choices = choices;
  }

  /** Of the layer that is lowered, with rows of so many pixels and so many quads of channels in all. */
  tile(row: number, quads: number): Tile {
    return this.#choices.tile(this.current, row, quads);
  }

  /** Likewise, of one that minimal filtering fits. */
  minimal(): MinimalTile | undefined {
    return this.#choices.minimal(this.current);
  }

  protected override allocate(bytes: number, dtype: DType): Storage {
    return this.builder.allocate(bytes, this.#halves && dtype === 'f32' ? 'halves' : 'arena');
  }

  /** What leaves the network is whole: then it needs no copy. */
  override output(node: Node, index = 0): View {
    const value = result(node, index);
    const view = this.#leaving.has(value) ? this.port(value) : undefined;
    // in another order a copy is needed in any case
    if (!view || !isInLayout(view, this.layoutOf(value))) return super.output(node, index);
    this.define(value, view);
    return view;
  }

  protected override memoryType(dtype: DType): DType {
    return wordOf(dtype);
  }

  constant(tensor: Tensor): View {
    const words = packedWords(wordsOf(tensor));
    const dtype = wordOf(tensor.type.dtype);
    const view = dtype === 'f32' ? this.packed(words) : this.table(words);
    return {
      ...view,
      dtype,
      shape: tensor.type.shape,
      strides: layoutStrides(tensor.type.shape, dtype, 'rowMajor'),
    };
  }

  copy(from: View, to: View): void {
    this.map('x0', [from], to, to.dtype);
  }

  fill(to: View, value: number): void {
    if (elementCount(to.shape) > 0) this.map({ kind: 'const', value }, [], to, to.dtype);
  }

  /** An elementwise call; `output` is the element type of the result, which its word may be wider than. */
  map(
    expr: string | Expr,
    inputs: readonly View[],
    out: View,
    output: DType,
    domain: Domain = wordIn(out),
  ): void {
    if (elementCount(out.shape) === 0) return;
    const strides = [out.strides, ...inputs.map((view) => broadcastViewStrides(view, out.shape))];
    const loops = inWords(mergeLoops(loopsOver(out.shape, strides, axesByStride(out))));
    const floats = domain === 'f32' && [out, ...inputs].every((view) => view.dtype === 'f32');
    const vectors = floats && output === 'f32' && readsVectors(loops, [out, ...inputs]);
    this.call(
      {
        family: 'map',
        params: {
          loops,
          inputs: inputs.map(wordIn),
          output,
          domain: vectors ? 'vec4f' : domain,
          expr: typeof expr === 'string' ? expr : formatExpr(expr),
        },
      },
      [out, ...inputs],
    );
  }

  /** Floats. */
  override packed(constant: PackedConstant): View {
    return super.packed(this.#halves ? { ...constant, half: true } : constant);
  }

  /** Words of any type. */
  table(constant: PackedConstant): View {
    return super.packed(constant);
  }

  /** Memory with data of its own, as floats. */
  floats(data: Float32Array): View {
    return this.packed(packedWords(data));
  }

  /** The epilogue of a node whose output is `out`; steps in words. */
  epilogue(node: Node, out: View): Epilogue {
    const operands = epilogueOperands(node).map((value) => value ?? operand(node, -1));
    return this.epilogueOver(node.epilogue ?? { kind: 'arg', index: 0 }, operands, out);
  }

  epilogueOver(expr: Expr, operands: readonly Value[], out: View): Epilogue {
    if (expr.kind === 'arg' && operands.length === 0) return { kernel: null, views: [] };
    const views = operands.map((value) => this.anyView(value));
    const strides = views.map((view) => broadcastViewStrides(view, out.shape).map(toWords));
    return { kernel: { expr: formatExpr(expr), strides }, views };
  }
}

export const toWords = (bytes: number): number => bytes / WORD_BYTES;
export const wordIn = (view: View): Word => view.dtype as Word;

/** Loops whose steps are words in place of bytes. */
export const inWords = (loops: readonly Loop[]): Loop[] =>
  loops.map(({ count, steps }) => ({ count, steps: steps.map(toWords) }));

/** Does the view begin at a multiple of four words? */
export const isAligned = (view: View): boolean => view.offset % (4 * WORD_BYTES) === 0;

/**
 * Can a nest of loops be run four elements at a time? The first view must lie along the innermost loop, each other along it
 * or still; whatever lies along it must be at multiples of four words everywhere else.
 */
function readsVectors(loops: readonly Loop[], views: readonly View[]): boolean {
  const inner = loops[loops.length - 1];
  if (!inner || inner.count % 4 !== 0 || inner.steps[0] !== 1) return false;
  return views.every((view, k) => {
    const step = inner.steps[k] ?? 0;
    if (step === 0) return true;
    return (
      step === 1 && isAligned(view) && loops.slice(0, -1).every((loop) => (loop.steps[k] ?? 0) % 4 === 0)
    );
  });
}

export const packedWords = (words: Float32Array | Int32Array | Uint32Array): PackedConstant => ({
  bytes: words.byteLength,
  write: (target) => target.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength)),
});
