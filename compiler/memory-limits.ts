/** Networks that no target has room for, told before kernels are chosen for them. */
import { CompileError, fail } from '#ir/diagnostics.ts';
import { type Graph, opCost, type Value } from '#ir/graph.ts';
import { byteSize, elementCount } from '#ir/types.ts';
import type { CompileTarget } from './compile-options.ts';
import { type GpuPrecision, HALF_BYTES, WORD_BYTES } from './targets/webgpu/words.ts';

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

interface Limit {
  /** Of one value. */
  bytes({ type }: Value): number;
  readonly most: number;
  readonly text: string;
}

const LIMITS: Readonly<Record<CompileTarget, Limit>> = {
  wasm: {
    bytes: ({ type }) => byteSize(type),
    most: 2 ** 32,
    text: 'WebAssembly has at most 4 GiB',
  },
  // graphics APIs have the size of what is bound in 32 bits (Vulkan, maxStorageBufferRange)
  webgpu: {
    bytes: ({ type }) => WORD_BYTES * elementCount(type.shape),
    most: 2 ** 32 - 1,
    text: 'WebGPU binds less than 4 GiB, a word for each element',
  },
};

/** Inputs are all there when a run begins, and outputs when it ends. @throws CompileError `memory-limit` */
export function checkPorts(graph: Graph, targets: readonly CompileTarget[] = ['wasm']): void {
  const ports = { inputs: graph.inputs, outputs: graph.outputs.map(({ value }) => value) };
  for (const target of targets) {
    const { bytes, most, text } = LIMITS[target];
    for (const [what, values] of Object.entries(ports)) {
      const sum = [...new Set(values)].reduce((total, value) => total + bytes(value), 0);
      if (sum > most) fail('memory-limit', graph.name, `its ${what} take ${gibibytes(sum)}; ${text}`);
    }
  }
}

/** No kernel for a GPU keeps a product to itself. @throws CompileError `memory-limit` */
export function checkProducts({ nodes }: Graph, precision: GpuPrecision = 'f32'): void {
  const { most, text } = LIMITS.webgpu;
  const elementBytes = precision === 'f16' ? HALF_BYTES : WORD_BYTES;
  for (const node of nodes) {
    const bytes = elementBytes * Math.max(...node.outputs.map(({ type }) => elementCount(type.shape)));
    if (bytes > most && opCost(node).macs > 0)
      fail('memory-limit', node.name, `its result takes ${gibibytes(bytes)}; ${text}`);
  }
}

/** All that is computed lies in one buffer. @throws CompileError `memory-limit` */
export function checkArena(name: string, arenaBytes: number): void {
  const { most, text } = LIMITS.webgpu;
  if (arenaBytes > most)
    fail('memory-limit', name, `what it computes takes ${gibibytes(arenaBytes)}; ${text}`);
}

/** What a network for WebGPU alone should give is computed on WebAssembly, whose limit is not the network's. */
export function onWebAssembly<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    throw new CompileError(
      error.diagnostics.map((one) =>
        one.code === 'memory-limit'
          ? { ...one, message: `before there is a bundle for WebGPU, its layers are checked: ${one.message}` }
          : one,
      ),
    );
  }
}
