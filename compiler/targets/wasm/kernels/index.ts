import type { FunctionBody } from '../encoder/index.ts';
import type { Engine } from '../engines.ts';
import type { Team } from '../team.ts';
import { type DotParams, dot } from './dot.ts';
import type { KernelCaller, KernelFamily, Pointer } from './family.ts';
import { type GemmParams, gemm } from './gemm.ts';
import { IRREGULAR, type IrregularKernel } from './irregular.ts';
import { type MapParams, map } from './map.ts';
import {
  type CopyParams,
  copy,
  type FillParams,
  fill,
  type GatherParams,
  gather,
  type TransposeParams,
  transpose,
} from './move.ts';
import { type ReduceParams, reduce, type SoftmaxParams, softmax } from './reduce.ts';
import { type ResizeParams, resize } from './resize.ts';
import {
  type ContractParams,
  contract,
  type ScalarMapParams,
  type ScalarReduceParams,
  scalarMap,
  scalarReduce,
} from './scalar-map.ts';
import { type WidenParams, widen } from './widen.ts';
import { type WindowParams, window } from './window.ts';
import {
  type WinogradInputParams,
  type WinogradOutputParams,
  winogradInput,
  winogradOutput,
} from './winograd/tiles.ts';
import { type WinogradParams, winograd } from './winograd/winograd.ts';

/** The parameters of every kernel family: what the lowerings produce and `FAMILIES` turns into code. */
export type WasmKernel =
  | IrregularKernel
  | { readonly family: 'gemm'; readonly params: GemmParams }
  | { readonly family: 'dot'; readonly params: DotParams }
  | { readonly family: 'widen'; readonly params: WidenParams }
  | { readonly family: 'winograd'; readonly params: WinogradParams }
  | { readonly family: 'winogradInput'; readonly params: WinogradInputParams }
  | { readonly family: 'winogradOutput'; readonly params: WinogradOutputParams }
  | { readonly family: 'window'; readonly params: WindowParams }
  | { readonly family: 'map'; readonly params: MapParams }
  | { readonly family: 'scalarMap'; readonly params: ScalarMapParams }
  | { readonly family: 'scalarReduce'; readonly params: ScalarReduceParams }
  | { readonly family: 'contract'; readonly params: ContractParams }
  | { readonly family: 'reduce'; readonly params: ReduceParams }
  | { readonly family: 'softmax'; readonly params: SoftmaxParams }
  | { readonly family: 'resize'; readonly params: ResizeParams }
  | { readonly family: 'copy'; readonly params: CopyParams }
  | { readonly family: 'transpose'; readonly params: TransposeParams }
  | { readonly family: 'fill'; readonly params: FillParams }
  | { readonly family: 'gather'; readonly params: GatherParams };

type FamilyName = WasmKernel['family'];
type ParamsOf<F extends FamilyName> = Extract<WasmKernel, { family: F }>['params'];

/** The one list of kernel families. */
export const FAMILIES: { readonly [F in FamilyName]: KernelFamily<ParamsOf<F>> } = {
  gemm,
  dot,
  widen,
  winograd,
  winogradInput,
  winogradOutput,
  window,
  map,
  scalarMap,
  scalarReduce,
  contract,
  reduce,
  softmax,
  resize,
  copy,
  transpose,
  fill,
  gather,
  ...IRREGULAR,
};

const familyOf = (kernel: WasmKernel): KernelFamily<never> => FAMILIES[kernel.family] as KernelFamily<never>;

/** Equal keys, equal code. */
export const kernelKey = (kernel: WasmKernel): string =>
  JSON.stringify(kernel, (_, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value === Number.NEGATIVE_INFINITY ? '-inf' : value,
  );

export const kernelLabel = (kernel: WasmKernel): string => familyOf(kernel).label(kernel.params as never);
export const kernelArguments = (kernel: WasmKernel): readonly string[] =>
  familyOf(kernel).arguments(kernel.params as never);
/** The same kernel as it is best for an engine: over the same data, with the same arguments. */
export const kernelFor = (kernel: WasmKernel, engine: Engine): WasmKernel => {
  const { forEngine } = familyOf(kernel);
  return forEngine
    ? ({ ...kernel, params: forEngine(kernel.params as never, engine) } as WasmKernel)
    : kernel;
};
/** The kernels that a kernel calls. */
export const kernelParts = (kernel: WasmKernel): readonly WasmKernel[] =>
  familyOf(kernel).parts?.(kernel.params as never) ?? [];
/** Whether each thread calls these for itself. */
export const partsAlone = (kernel: WasmKernel): boolean =>
  familyOf(kernel).partsAlone?.(kernel.params as never) ?? false;
export const emitKernel = (
  body: FunctionBody<readonly []>,
  kernel: WasmKernel,
  args: readonly Pointer[],
  call: KernelCaller,
  team: Team,
): void => familyOf(kernel).emit(body, kernel.params as never, args, call, team);
/** Whether threads divide the work of a kernel among themselves. */
export const isDivided = (kernel: WasmKernel): boolean =>
  (familyOf(kernel).pieces?.(kernel.params as never) ?? 1) > 1;
