/** Kernel program → WebAssembly module. */

import type { LinkedProgram } from '#compiler/schedule/link.ts';
import type { Address, KernelCall, KernelProgram } from '#compiler/schedule/program.ts';
import { fail } from '#ir/diagnostics.ts';
import { choose } from './choose.ts';
import {
  type Ex,
  type Func,
  type FunctionBody,
  i32,
  ModuleBuilder,
  op,
  type Params,
} from './encoder/index.ts';
import type { Engine } from './engines.ts';
import { addressParams, pointers } from './kernels/family.ts';
import {
  emitKernel,
  isDivided,
  kernelArguments,
  kernelFor,
  kernelKey,
  kernelLabel,
  kernelParts,
  partsAlone,
  type WasmKernel,
} from './kernels/index.ts';
import { ALONE, type Team } from './team.ts';
import { THREAD_CELLS_END, ThreadCrew } from './threads.ts';

const PAGE = 65536;
const MOST_PAGES = 65536;
/** Bytes before the constants: address 0 is never a tensor, and threads meet there. */
const GUARD = THREAD_CELLS_END;
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
  /** The same module with `step`, where that is asked for. */
  readonly stepBytes?: Uint8Array<ArrayBuffer>;
  readonly memory: MemoryMap;
  /** Distinct kernel functions, by label, in order. */
  readonly kernels: readonly string[];
}

export interface EmitOptions {
  /**
   * Also a module that exports, of the first program, `step(i / STEP_CHUNK, i % STEP_CHUNK)`, which runs call i alone: for
   * checks and intermediate values.
   */
  readonly steps?: boolean;
  /** The engine that the kernels are made for; baseline SIMD, as they are lowered, unless given. */
  readonly engine?: Engine;
  /** Code that several threads run together; the memory is shared but in checks. */
  readonly threads?: { readonly shared: boolean };
  /** Write function names into the module. */
  readonly names?: boolean;
}

export const memoryMap = ({ graph, constantBytes, arenaBytes }: KernelProgram<WasmKernel>): MemoryMap =>
  layOut(graph.name, constantBytes, arenaBytes);

function layOut(name: string, constantBytes: number, arenaBytes: number): MemoryMap {
  const arena = Math.ceil((GUARD + constantBytes) / 64) * 64;
  const end = arena + arenaBytes + SLACK;
  const pages = Math.ceil(end / PAGE);
  if (pages > MOST_PAGES) {
    const size = `${(end / 2 ** 30).toFixed(1)} GiB`;
    fail('memory-limit', name, `it needs ${size} of memory; WebAssembly has at most 4 GiB`);
  }
  return { constants: GUARD, constantBytes, arena, arenaBytes, pages };
}

/** The name of the memory that a module takes from outside: modules for several engines take turns in one. */
export const MEMORY_IMPORT = { module: 'convolith', name: 'memory' } as const;

/** The export that runs specialisation `index`. */
export const runExport = (index: number): string => (index === 0 ? 'run' : `run${index}`);

/** One function per distinct kernel; `run` calls them in order with constant addresses. */
export const emitModule = (program: KernelProgram<WasmKernel>, options: EmitOptions = {}): WasmCode =>
  emitLinked(program.graph.name, [program], program.constantBytes, options);

/** Programs over one set of constants, in one memory that is large enough for each; kernels that are equal are shared. */
export function emitLinked(
  name: string,
  programs: readonly LinkedProgram<WasmKernel>[],
  constantBytes: number,
  options: EmitOptions = {},
): WasmCode {
  const memory = layOut(name, constantBytes, Math.max(0, ...programs.map((p) => p.arenaBytes)));
  const module = new ModuleBuilder({ names: options.names ?? false });
  const shared = options.threads?.shared ?? false;
  module.memory({ import: MEMORY_IMPORT, initial: memory.pages, maximum: memory.pages, shared });
  const crew = options.threads && new ThreadCrew(module);
  const functions = new KernelFunctions(module, crew ?? ALONE, options.engine);
  for (const { kernel } of programs.flatMap((p) => p.calls)) functions.of(kernel);
  const absolute = ({ region, offset }: Address): number =>
    offset + (region === 'arena' ? memory.arena : memory.constants);
  const emitCall = (body: FunctionBody<readonly []>, call: KernelCall<WasmKernel> | undefined): void => {
    if (!call) return;
    functions.call(
      body,
      call.kernel,
      call.arguments.map((address) => i32(absolute(address))),
    );
  };
  if (crew) {
    crew.define(programs.length, runExport, (body, i) =>
      emitTogether(body, crew, programs[i]?.calls ?? [], emitCall),
    );
  } else {
    programs.forEach(({ calls }, i) => {
      module.func({ name: runExport(i), params: {}, results: [], export: runExport(i) }, (body) => {
        for (const call of calls) emitCall(body, call);
      });
    });
  }
  const bytes = module.build();
  const [first] = programs;
  if (!options.steps || !first) return { bytes, memory, kernels: functions.labels };
  emitStep(module, first.calls.length, (body, index) => emitCall(body, first.calls[index]));
  return { bytes, stepBytes: module.build(), memory, kernels: functions.labels };
}

/** Calls in order: threads share those that can be divided and meet after each; the first does the rest. */
function emitTogether(
  body: FunctionBody<readonly []>,
  crew: ThreadCrew,
  calls: readonly KernelCall<WasmKernel>[],
  emitCall: (body: FunctionBody<readonly []>, call: KernelCall<WasmKernel>) => void,
): void {
  for (let at = 0; at < calls.length; ) {
    const next = calls[at] as KernelCall<WasmKernel>;
    if (isDivided(next.kernel)) {
      emitCall(body, next);
      at++;
    } else {
      const from = at;
      while (at < calls.length && !isDivided((calls[at] as KernelCall<WasmKernel>).kernel)) at++;
      crew.byFirst(body, () => {
        for (const call of calls.slice(from, at)) emitCall(body, call);
      });
    }
    crew.meet(body);
  }
}

/** A function for each distinct kernel, made when it is first asked for. */
class KernelFunctions {
  readonly labels: string[] = [];
  readonly #module: ModuleBuilder;
  readonly #team: Team;
  readonly #engine: Engine | undefined;
  readonly #functions = new Map<string, Func<Params, readonly []>>();

  constructor(module: ModuleBuilder, team: Team, engine: Engine | undefined) {
    this.#module = module;
    this.#team = team;
    this.#engine = engine;
  }

  /** @param team who runs it: the whole team, or in a part that threads run for themselves one alone */
  of(lowered: WasmKernel, team: Team = this.#team): Func<Params, readonly []> {
    const kernel = this.#engine ? kernelFor(lowered, this.#engine) : lowered;
    const key = `${team === this.#team ? '' : 'alone '}${kernelKey(kernel)}`;
    const known = this.#functions.get(key);
    if (known) return known;
    const within = partsAlone(kernel) ? ALONE : team;
    for (const part of kernelParts(kernel)) this.of(part, within);
    const names = kernelArguments(kernel);
    const label = kernelLabel(kernel);
    const func = this.#module.func(
      { name: label, params: addressParams(names), results: [] },
      (body, params) => {
        const call = (part: WasmKernel, args: readonly Ex<'i32'>[]) => this.call(body, part, args, within);
        emitKernel(body, kernel, pointers(names, params), call, team);
      },
    );
    this.#functions.set(key, func);
    this.labels.push(label);
    return func;
  }

  call(
    body: FunctionBody<readonly []>,
    kernel: WasmKernel,
    args: readonly Ex<'i32'>[],
    team: Team = this.#team,
  ): void {
    const names = kernelArguments(kernel);
    const values = Object.fromEntries(names.map((name, i) => [name, args[i] as Ex<'i32'>]));
    body.call(this.of(kernel, team), values);
  }
}

/** Calls that one dispatching function chooses among: each nests a block. */
export const STEP_CHUNK = 128;

/** `step(i)` runs call i alone. Long programs dispatch in two levels. */
function emitStep(
  module: ModuleBuilder,
  calls: number,
  callOf: (body: FunctionBody<readonly []>, index: number) => void,
): void {
  const chunks: Func<{ readonly index: 'i32' }, readonly []>[] = [];
  for (let first = 0; first < calls; first += STEP_CHUNK) {
    const name = `step_${first}`;
    chunks.push(
      module.func({ name, params: { index: 'i32' }, results: [] }, (body, { index }) => {
        choose(body, index, Math.min(STEP_CHUNK, calls - first), (i) => callOf(body, first + i));
      }),
    );
  }
  module.func(
    { name: 'step', params: { chunk: 'i32', index: 'i32' }, results: [], export: 'step' },
    (body, { chunk, index }) => {
      // chunks of chunks are not needed below 128² calls; above, a chain of tests reaches every one
      for (let base = 0; base < chunks.length; base += STEP_CHUNK) {
        const local = body.local('i32');
        body.set(local, op('i32.sub', chunk, i32(base)));
        const count = Math.min(STEP_CHUNK, chunks.length - base);
        body.if(op('i32.lt_u', local, i32(count)), () => {
          choose(body, local, count, (i) => {
            const func = chunks[base + i];
            if (func) body.call(func, { index });
          });
        });
      }
    },
  );
}
