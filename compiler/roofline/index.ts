/**
 * Predicted time of each layer: the longer of its arithmetic at the rates of the machine and of its traffic at the bandwidth
 * of the memory where it lies (Williams, Waterman and Patterson, Roofline, 2009), for the kernels that compile chooses.
 */
import type { Node } from '#ir/graph.ts';
import { byteSize } from '#ir/types.ts';
import { nodeCost } from '#passes/analysis/cost.ts';
import type { EngineName } from '#runtime/engines.ts';
import type { NodeStep } from '../schedule/program.ts';
import type { WasmKernel, WasmProgram } from '../targets/wasm/index.ts';
import type { MachineProfile } from '../tune/profile.ts';
import { winogradTransform } from '../winograd/transforms.ts';
import { arithmeticNs, productRows } from './kernels.ts';
import { type Rates, ratesOf } from './rates.ts';

export type Bound = 'compute' | 'memory' | 'calls';

export interface PredictedLayer {
  readonly node: Node;
  /** Of these it is the larger of the first two and the third; in nanoseconds. */
  readonly ns: number;
  readonly computeNs: number;
  readonly memoryNs: number;
  readonly callNs: number;
  readonly bound: Bound;
}

/** Every node that became calls, in order. */
export function predictLayers(
  program: WasmProgram,
  profile: MachineProfile,
  engine: EngineName,
): readonly PredictedLayer[] {
  const rates = ratesOf(profile, engine);
  return program.steps
    .filter(({ callCount }) => callCount > 0)
    .map((step) => predictStep(step, program, rates));
}

function predictStep(step: NodeStep, program: WasmProgram, rates: Rates): PredictedLayer {
  const { calls } = program;
  const { node, firstCall, callCount } = step;
  const kernels = calls.slice(firstCall, firstCall + callCount).map(({ kernel }) => kernel);
  let computeNs = 0;
  let movedNs = 0;
  for (const kernel of kernels) {
    const ns = arithmeticNs(kernel, rates);
    if (ns === undefined) movedNs += moveNs(kernel, rates);
    else computeNs += ns;
  }
  const rows = kernels.map(productRows).find((n) => n !== undefined);
  const { activationNs, weightNs } = trafficNs(node, program, rows, rates);
  const callNs = callCount * rates.callNs;
  // what moves before or after the arithmetic is beside it; a layer that only moves is as long as its traffic
  const work =
    computeNs > 0
      ? Math.max(computeNs, activationNs) + weightNs + movedNs
      : Math.max(activationNs + weightNs, movedNs);
  const memoryNs = work - computeNs;
  const bound = callNs > work ? 'calls' : computeNs >= memoryNs ? 'compute' : 'memory';
  return { node, ns: work + callNs, computeNs, memoryNs, callNs, bound };
}

interface Traffic {
  readonly activationNs: number;
  readonly weightNs: number;
}

/**
 * Activations come from where a layer's own fit. Weights come from where those of the whole network do; a product hides a
 * part of that behind its arithmetic, which is measured for main memory and taken to be in proportion for caches.
 */
function trafficNs(
  node: Node,
  { constantBytes, steps, calls }: WasmProgram,
  rows: number | undefined,
  rates: Rates,
): Traffic {
  const { bytesRead, bytesWritten } = nodeCost(node);
  const constants = [...new Set(node.operands)]
    .filter((value) => value?.source.kind === 'constant')
    .reduce((sum, value) => sum + (value ? byteSize(value.type) : 0), 0);
  const activations = bytesRead - constants + bytesWritten;
  const far = rates.bandwidth(Number.POSITIVE_INFINITY) / rates.bandwidth(constantBytes);
  return {
    activationNs: activations / rates.bandwidth(Math.max(1, activations)),
    weightNs:
      rows === undefined
        ? constants / rates.bandwidth(Math.max(1, constantBytes))
        : packedBytes(node, steps, calls, constants) * rates.streamed(rows) * far,
  };
}

/** Weights as they are read: of minimal filtering, more than the model has. */
function packedBytes(
  node: Node,
  steps: WasmProgram['steps'],
  calls: WasmProgram['calls'],
  constants: number,
): number {
  const step = steps.find((one) => one.node === node);
  const kernels = step ? calls.slice(step.firstCall, step.firstCall + step.callCount) : [];
  for (const { kernel } of kernels) {
    if (kernel.family !== 'winograd') continue;
    const { outputs, weightBytes, groups } = kernel.params;
    return winogradTransform(outputs).size ** 2 * weightBytes * groups.count;
  }
  return constants;
}

/** A copy beside the work of a layer: what it reads and writes. */
function moveNs(kernel: WasmKernel, rates: Rates): number {
  if (kernel.family !== 'copy') return 0;
  const bytes = kernel.params.loops.reduce((n, { count }) => n * count, kernel.params.bytes);
  return (2 * bytes) / rates.bandwidth(2 * bytes);
}
