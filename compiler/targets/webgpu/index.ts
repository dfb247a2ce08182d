/** The WebGPU target: WGSL for the very shapes of a network. */
import { homesOf } from '#compiler/schedule/homes.ts';
import { lowerNodes } from '#compiler/schedule/lower.ts';
import { type KernelProgram, ProgramBuilder } from '#compiler/schedule/program.ts';
import { type Diagnostic, diagnostic } from '#ir/diagnostics.ts';
import { type Graph, tensorOf } from '#ir/graph.ts';
import { assignLayouts } from '#passes/layout/assign-layouts.ts';
import type { Target } from '../target.ts';
import { LowerContext } from './context.ts';
import { emitProgram, type GpuCode } from './emit.ts';
import type { GpuKernel } from './kernels/index.ts';
import { leaving, lowerNode, refusal } from './lower/index.ts';
import { type GpuChoices, USUAL_CHOICES } from './tiles.ts';
import { beyondHalves, beyondWords, type GpuPrecision } from './words.ts';

export { type Bank, bankBytes, writeBank } from './banks.ts';
export { checkCode } from './check-code.ts';
export { emitProgram, type GpuCode } from './emit.ts';
export { type GpuKernel, kernelLabel } from './kernels/index.ts';
export { refusal } from './lower/index.ts';
export { type GpuMemory, memoryOf } from './memory.ts';
export { pictureCode } from './picture.ts';
export {
  type GpuChoices,
  type MinimalTile,
  minimalTilesFor,
  type Tile,
  type TileLimits,
  tilesFor,
  USUAL_CHOICES,
  usualTile,
} from './tiles.ts';
export { GPU_PRECISIONS, type GpuPrecision, WORD_BYTES } from './words.ts';

export type GpuProgram = KernelProgram<GpuKernel>;

/** Why the target cannot run a graph, with floats kept in a precision. */
export function unsupported(graph: Graph, precision: GpuPrecision = 'f32'): Diagnostic[] {
  const wide = graph.outputs.flatMap(({ name, value }) => {
    const tensor = tensorOf(value);
    const beyond = tensor && beyondWords(tensor);
    if (beyond !== undefined) return [diagnostic('target-unsupported', name, `${beyond} is beyond 32 bits`)];
    return [];
  });
  const large = graph.values.flatMap((value) => {
    const tensor = precision === 'f16' ? tensorOf(value) : undefined;
    const beyond = tensor && beyondHalves(tensor);
    if (beyond === undefined) return [];
    return [diagnostic('target-unsupported', value.name, `${beyond} is beyond half precision`)];
  });
  return [
    ...wide,
    ...large,
    ...graph.nodes.flatMap((node) => {
      const reason = refusal(node);
      return reason === undefined
        ? []
        : [diagnostic('target-unsupported', node.name, `${node.op} on WebGPU: ${reason}`)];
    }),
  ];
}

/** Lowers a graph whose weights are present and whose nodes are all supported. */
export function lowerGraph(
  graph: Graph,
  precision: GpuPrecision = 'f32',
  choices: GpuChoices = USUAL_CHOICES,
): GpuProgram {
  const builder = new ProgramBuilder<GpuKernel>();
  const layouts = assignLayouts(graph);
  return lowerNodes<GpuKernel, LowerContext>(
    graph,
    new LowerContext(builder, layouts, homesOf(graph, layouts), precision, leaving(graph), choices),
    lowerNode,
  );
}

export const webgpuTarget: Target<GpuKernel, GpuCode> = {
  name: 'webgpu',
  unsupported,
  lower: (graph) => lowerGraph(graph),
  emit: emitProgram,
};
