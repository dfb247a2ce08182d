/** Kernel program → WebAssembly module. */
import type { Address, KernelProgram } from '#compiler/schedule/program.ts';
import { type Func, type FunctionBody, type Label, ModuleBuilder, type Params } from './encoder/index.ts';
import { addressParams, pointers } from './kernels/family.ts';
import { emitKernel, kernelArguments, kernelKey, kernelLabel, type WasmKernel } from './kernels/index.ts';

const PAGE = 65536;
/** Bytes before the constants: address 0 is never a tensor. */
const GUARD = 64;
/** Bytes behind the arena that vector loads of a last partial vector may read. */
const SLACK = 256;

/** Where the parts of a program lie in the module's memory, in bytes. */
export interface MemoryMap {
  readonly constants: number;
  readonly constantBytes: number;
  readonly arena: number;
  readonly arenaBytes: number;
  readonly pages: number;
}

export interface WasmCode {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly memory: MemoryMap;
  /** Distinct kernel functions, by label, in order. */
  readonly kernels: readonly string[];
}

export interface EmitOptions {
  /** Also export `step(i)`, which runs call i alone: for checks, intermediate values and per-layer timing. */
  readonly steps?: boolean;
  /** Write function names into the module. */
  readonly names?: boolean;
}

export function memoryMap(program: KernelProgram<WasmKernel>): MemoryMap {
  const constantBytes = program.constants.byteLength;
  const arena = Math.ceil((GUARD + constantBytes) / 64) * 64;
  const end = arena + program.arenaBytes + SLACK;
  return {
    constants: GUARD,
    constantBytes,
    arena,
    arenaBytes: program.arenaBytes,
    pages: Math.ceil(end / PAGE),
  };
}

/** One function per distinct kernel; `run` calls them in order with constant addresses. */
export function emitModule(program: KernelProgram<WasmKernel>, options: EmitOptions = {}): WasmCode {
  const memory = memoryMap(program);
  const module = new ModuleBuilder({ names: options.names ?? false });
  module.memory({ export: 'memory', initial: memory.pages, maximum: memory.pages });
  const functions = new Map<string, Func<Params, readonly []>>();
  const labels: string[] = [];
  for (const { kernel } of program.calls) {
    const key = kernelKey(kernel);
    if (functions.has(key)) continue;
    const names = kernelArguments(kernel);
    const label = kernelLabel(kernel);
    const func = module.func({ name: label, params: addressParams(names), results: [] }, (body, params) => {
      emitKernel(body, kernel, pointers(names, params));
    });
    functions.set(key, func);
    labels.push(label);
  }
  const absolute = ({ region, offset }: Address): number =>
    offset + (region === 'arena' ? memory.arena : memory.constants);
  const callOf = (body: FunctionBody<readonly []>, index: number): void => {
    const call = program.calls[index];
    if (!call) return;
    const func = functions.get(kernelKey(call.kernel));
    if (!func) return;
    const names = kernelArguments(call.kernel);
    body.call(
      func,
      Object.fromEntries(names.map((name, i) => [name, absolute(call.arguments[i] as Address)])),
    );
  };
  module.func({ name: 'run', params: {}, results: [], export: 'run' }, (body) => {
    program.calls.forEach((_, i) => {
      callOf(body, i);
    });
  });
  if (options.steps) {
    module.func(
      { name: 'step', params: { index: 'i32' }, results: [], export: 'step' },
      (body, { index }) => {
        const open = (labelsSoFar: readonly Label[]): void => {
          const depth = labelsSoFar.length;
          if (depth < program.calls.length) {
            body.block((label) => open([label, ...labelsSoFar]));
            // leaving block k lands on call k
            callOf(body, program.calls.length - 1 - depth);
            body.return();
            return;
          }
          const [first] = labelsSoFar;
          if (first) body.brTable(index, labelsSoFar, first);
        };
        open([]);
      },
    );
  }
  return { bytes: module.build(), memory, kernels: labels };
}
