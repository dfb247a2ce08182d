/** The modules that a bundle has beside the baseline: for relaxed SIMD, and for threads. */
import type { ManifestTensor } from '#runtime/abi.ts';
import { type BundleModule, moduleFile } from './bundle/writer.ts';
import type { RunnableModule } from './check/run-module.ts';
import type { CompileGraphOptions } from './compile-options.ts';
import type { LinkedProgram } from './schedule/link.ts';
import type { Port } from './schedule/program.ts';
import {
  type CostProfile,
  type Engine,
  emitLinked,
  type WasmCode,
  type WasmKernel,
} from './targets/wasm/index.ts';

/** A module that a bundle has beside the baseline, and one that shows that it does the same. */
export interface OtherModule extends BundleModule {
  readonly standIn: RunnableModule;
}

export const BASELINE = { engine: 'simd', threads: false, file: moduleFile('simd', false) } as const;

/**
 * The modules for relaxed SIMD and for threads. A stand-in has instructions that every engine has, and memory of one
 * thread; it adds in the same order as the baseline module, so it must give the same bits.
 */
export async function otherModules(
  name: string,
  programs: readonly LinkedProgram<WasmKernel>[],
  baseline: RunnableModule,
  { relaxed = true, threads = 1 }: CompileGraphOptions,
  engines: CostProfile['engines'],
): Promise<OtherModule[]> {
  const constantBytes = baseline.weights.byteLength;
  const wanted = (threads > 1 ? [true, false] : [false]).flatMap((together) =>
    (relaxed ? (['relaxed', 'simd'] as const) : (['simd'] as const)).map((engine) => ({ engine, together })),
  );
  const modules: OtherModule[] = [];
  for (const { engine, together } of wanted) {
    if (engine === BASELINE.engine && together === BASELINE.threads) continue;
    const codeFor = (target: Engine, shared: boolean) =>
      emitLinked(name, programs, constantBytes, {
        ...(engine === 'simd' ? {} : { engine: target }),
        ...(together ? { threads: { shared } } : {}),
      }).bytes;
    modules.push({
      engine,
      threads: together,
      file: moduleFile(engine, together),
      bytes: codeFor(engines[engine], true),
      standIn: await baseline.sibling(codeFor({ ...engines[engine], multiplyAdd: 'separate' }, false)),
    });
  }
  return modules;
}

/** Inputs or outputs where they lie in the memory of a module. */
export const addressed = (ports: readonly Port[], { memory }: WasmCode): ManifestTensor[] =>
  ports.map(({ name, type, offset, count }) => ({
    name,
    dtype: type.dtype,
    shape: type.shape,
    address: memory.arena + offset,
    ...(count ? { count: { axis: count.axis, address: memory.arena + count.offset } } : {}),
  }));
