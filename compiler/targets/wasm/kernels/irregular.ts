/** The families of kernels that go where data says, or element by element: correct first, scalar code. */
import type { SuppressParams } from '#compiler/schedule/operands.ts';
import { type ColumnsParams, columns, type LargestParams, largest } from './blocks.ts';
import { type NonZeroParams, nonZero, suppress } from './find.ts';
import {
  type GatherAtParams,
  gatherAt,
  type ScatterAtParams,
  scatterAt,
  type UnpoolParams,
  unpool,
} from './indexed.ts';
import { type ArgReduceParams, argReduce, type ScanParams, scan, type TopKParams, topK } from './lines.ts';
import {
  type DeformParams,
  deform,
  type GridSampleParams,
  gridSample,
  type RoiAlignParams,
  roiAlign,
} from './sample.ts';

export type IrregularKernel =
  | { readonly family: 'gatherAt'; readonly params: GatherAtParams }
  | { readonly family: 'scatterAt'; readonly params: ScatterAtParams }
  | { readonly family: 'unpool'; readonly params: UnpoolParams }
  | { readonly family: 'scan'; readonly params: ScanParams }
  | { readonly family: 'argReduce'; readonly params: ArgReduceParams }
  | { readonly family: 'topK'; readonly params: TopKParams }
  | { readonly family: 'nonZero'; readonly params: NonZeroParams }
  | { readonly family: 'suppress'; readonly params: SuppressParams }
  | { readonly family: 'gridSample'; readonly params: GridSampleParams }
  | { readonly family: 'roiAlign'; readonly params: RoiAlignParams }
  | { readonly family: 'deform'; readonly params: DeformParams }
  | { readonly family: 'largest'; readonly params: LargestParams }
  | { readonly family: 'columns'; readonly params: ColumnsParams };

export const IRREGULAR = {
  gatherAt,
  scatterAt,
  unpool,
  scan,
  argReduce,
  topK,
  nonZero,
  suppress,
  gridSample,
  roiAlign,
  deform,
  largest,
  columns,
} as const;
