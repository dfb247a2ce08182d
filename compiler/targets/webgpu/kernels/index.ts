import type { SuppressParams } from '#compiler/schedule/operands.ts';
import { type LargestParams, largest, type TopKParams, topK, type UnpoolParams, unpool } from './choose.ts';
import { type ColumnsParams, columns } from './columns.ts';
import { type ConvParams, conv } from './conv.ts';
import type { KernelFamily } from './family.ts';
import { type NonZeroParams, nonZero, type SuppressedParams, suppress, suppressed } from './find.ts';
import {
  type ArgParams,
  argBest,
  type GatherParams,
  gather,
  type ResizeParams,
  resize,
  type ScatterParams,
  scatter,
} from './indexed.ts';
import { type MapParams, map } from './map.ts';
import {
  type ContractParams,
  contract,
  type DenseParams,
  dense,
  type MatMulParams,
  matmul,
} from './product.ts';
import { type RecurrentParams, recurrent } from './recurrent.ts';
import { type ReduceParams, reduce, type ScanParams, type SoftmaxParams, scan, softmax } from './reduce.ts';
import {
  type DeformParams,
  deform,
  type GridSampleParams,
  gridSample,
  type RoiAlignParams,
  roiAlign,
} from './sample.ts';
import { type WindowParams, window } from './window.ts';
import { type WinogradParams, winograd } from './winograd.ts';

/** The parameters of every kernel family: what the lowerings produce and `FAMILIES` turns into code. */
export type GpuKernel =
  | { readonly family: 'conv'; readonly params: ConvParams }
  | { readonly family: 'winograd'; readonly params: WinogradParams }
  | { readonly family: 'window'; readonly params: WindowParams }
  | { readonly family: 'matmul'; readonly params: MatMulParams }
  | { readonly family: 'dense'; readonly params: DenseParams }
  | { readonly family: 'map'; readonly params: MapParams }
  | { readonly family: 'reduce'; readonly params: ReduceParams }
  | { readonly family: 'softmax'; readonly params: SoftmaxParams }
  | { readonly family: 'scan'; readonly params: ScanParams }
  | { readonly family: 'resize'; readonly params: ResizeParams }
  | { readonly family: 'gather'; readonly params: GatherParams }
  | { readonly family: 'scatter'; readonly params: ScatterParams }
  | { readonly family: 'argBest'; readonly params: ArgParams }
  | { readonly family: 'recurrent'; readonly params: RecurrentParams }
  | { readonly family: 'gridSample'; readonly params: GridSampleParams }
  | { readonly family: 'roiAlign'; readonly params: RoiAlignParams }
  | { readonly family: 'deform'; readonly params: DeformParams }
  | { readonly family: 'columns'; readonly params: ColumnsParams }
  | { readonly family: 'largest'; readonly params: LargestParams }
  | { readonly family: 'topK'; readonly params: TopKParams }
  | { readonly family: 'unpool'; readonly params: UnpoolParams }
  | { readonly family: 'contract'; readonly params: ContractParams }
  | { readonly family: 'nonZero'; readonly params: NonZeroParams }
  | { readonly family: 'suppress'; readonly params: SuppressParams }
  | { readonly family: 'suppressed'; readonly params: SuppressedParams };

type FamilyName = GpuKernel['family'];
type ParamsOf<F extends FamilyName> = Extract<GpuKernel, { family: F }>['params'];

/** The one list of kernel families. */
const FAMILIES: { readonly [F in FamilyName]: KernelFamily<ParamsOf<F>> } = {
  conv,
  winograd,
  window,
  matmul,
  dense,
  map,
  reduce,
  softmax,
  scan,
  resize,
  gather,
  scatter,
  argBest,
  recurrent,
  gridSample,
  roiAlign,
  deform,
  columns,
  largest,
  topK,
  unpool,
  contract,
  nonZero,
  suppress,
  suppressed,
};

export const familyOf = (kernel: GpuKernel): KernelFamily<never> =>
  FAMILIES[kernel.family] as KernelFamily<never>;
export const kernelLabel = (kernel: GpuKernel): string => familyOf(kernel).label(kernel.params as never);
