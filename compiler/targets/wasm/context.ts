/** What the lowerings of single ops work with: views of operands and results, copies between layouts, constants. */

import { ViewContext } from '#compiler/schedule/context.ts';
import type { Home } from '#compiler/schedule/homes.ts';
import { loopsOver, mergeLoops } from '#compiler/schedule/loops.ts';
import type { ProgramBuilder } from '#compiler/schedule/program.ts';
import { axesByStride, broadcastViewStrides, layoutStrides, type View } from '#compiler/schedule/view.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { type Expr, formatExpr } from '#ir/expr.ts';
import { epilogueOperands, type Node, operand, type Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { bytesOf, type DType, elementCount, type Layout } from '#ir/types.ts';
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

export class LowerContext extends ViewContext<WasmKernel> {
  /** The most that may run the program together. */
  readonly threads: number;
  readonly #choices: Choices;
  #products = 0;

  constructor(
    builder: ProgramBuilder<WasmKernel>,
    layouts: ReadonlyMap<Value, Layout>,
    homes: ReadonlyMap<Value, Home>,
    { choices = FREE_CHOICES, threads = 1 }: LowerOptions = {},
  ) {
    super(builder, layouts, homes);
    this.threads = threads;
    this.#choices = choices;
  }

  override beginNode(node: Node | undefined): void {
    super.beginNode(node);
    this.#products = 0;
  }

  /** The tile of a product of `pixels` rows with weights that are packed for it. */
  packedTile(pixels: number, channels: number): readonly [number, number] {
    return this.#choices.tile(this.current, this.#products++, pixels, channels);
  }

  /** The tile of a product whose weights lie in rows. */
  rowsTile(pixels: number, channels: number): readonly [number, number] {
    return chooseTile(pixels, channels, this.#choices.costs);
  }

  /** How the current node, a convolution, is computed by minimal filtering, if it is. */
  winograd(layer: WinogradLayer): WinogradPlan | undefined {
    return this.#choices.winograd(this.current, layer);
  }

  /** A constant tensor in row-major order. */
  constant(tensor: Tensor): View {
    const { shape, dtype } = tensor.type;
    const storage = this.builder.constant(packedCopy(tensor.data));
    return { storage, offset: 0, dtype, shape, strides: layoutStrides(shape, dtype, 'rowMajor') };
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
