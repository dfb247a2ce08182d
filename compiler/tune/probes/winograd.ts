/** The parts of minimal filtering on their own: the kernel runs with but one kind of its parts. */
import { Builder } from '#ir/builder.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { writeConstants } from '../../schedule/program.ts';
import { BUILT_IN_COSTS } from '../../targets/wasm/costs.ts';
import { memoryMap } from '../../targets/wasm/emit.ts';
import { type Ex, type Func, ModuleBuilder, type Params } from '../../targets/wasm/encoder/index.ts';
import { lowerGraph, MEMORY_IMPORT, type WasmKernel } from '../../targets/wasm/index.ts';
import { addressParams, pointers, vectorsOf } from '../../targets/wasm/kernels/family.ts';
import { emitKernel, kernelArguments, kernelKey, kernelParts } from '../../targets/wasm/kernels/index.ts';
import type { WinogradParams } from '../../targets/wasm/kernels/winograd/winograd.ts';
import { ALONE } from '../../targets/wasm/team.ts';
import type { TileSize } from '../../winograd/transforms.ts';
import { TunedChoices } from '../choices.ts';
import { loneLayer } from '../layer.ts';
import { seeded } from './layers.ts';
import type { Probe } from './least.ts';

type PartName = 'winogradInput' | 'winogradOutput' | 'gemm';

interface FilteringShape {
  readonly outputs: TileSize;
  /** Of inputs, and of outputs. */
  readonly channels: number;
  /** Tiles along each side of the picture, and of a block. */
  readonly tiles: number;
  readonly block: number;
}

/** A convolution 3×3 by minimal filtering, of which the probe runs one kind of parts. */
async function partProbe(
  { outputs, channels, tiles, block }: FilteringShape,
  part: PartName,
  change: (params: WinogradParams) => WinogradParams = (params) => params,
): Promise<Probe> {
  const size = outputs * tiles;
  const b = new Builder('filtering');
  const x = b.input('x', [1, channels, size, size]);
  const bias = b.constant('b', seeded([channels]));
  b.output('y', b.conv(x, b.constant('w', seeded([channels, channels, 3, 3])), { pads: [1, 1, 1, 1], bias }));
  const [source] = b.graph.nodes;
  if (!source) throw new InternalError('the probe has no node');
  const { graph, node } = loneLayer(source);
  const plan = { way: 'winograd', outputs, block: [block, block] } as const;
  const choices = new TunedChoices((layer) => (layer === node ? plan : undefined), BUILT_IN_COSTS);
  const program = lowerGraph(graph, { choices });
  const call = program.calls.find(({ kernel }) => kernel.family === 'winograd');
  if (call?.kernel.family !== 'winograd') throw new InternalError('the probe is not filtered');
  const map = memoryMap(program);
  const module = new ModuleBuilder();
  module.memory({ import: MEMORY_IMPORT, initial: map.pages, maximum: map.pages });
  const parts = new Parts(module, part);
  parts.define({ family: 'winograd', params: change(call.kernel.params) }, 'probe');
  const memory = new WebAssembly.Memory({ initial: map.pages, maximum: map.pages });
  writeConstants(program.constantParts, new Uint8Array(memory.buffer, map.constants));
  const imports = { [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: memory } };
  const { instance } = await WebAssembly.instantiate(module.build(), imports);
  const { probe } = instance.exports;
  if (typeof probe !== 'function') throw new InternalError('the probe lacks its export');
  const addresses = call.arguments.map(
    ({ region, offset }) => offset + (region === 'arena' ? map.arena : map.constants),
  );
  return { run: () => probe(...addresses) };
}

/** Functions of kernels that call, of their parts, only those of one family. */
class Parts {
  readonly #module: ModuleBuilder;
  readonly #only: PartName;
  readonly #functions = new Map<string, Func<Params, readonly []>>();

  constructor(module: ModuleBuilder, only: PartName) {
    this.#module = module;
    this.#only = only;
  }

  define(kernel: WasmKernel, name?: string): Func<Params, readonly []> {
    const names = kernelArguments(kernel);
    const code = (part: WasmKernel) => {
      const key = kernelKey(part);
      const known = this.#functions.get(key) ?? this.define(part);
      this.#functions.set(key, known);
      return known;
    };
    for (const part of kernelParts(kernel)) if (part.family === this.#only) code(part);
    const called = { name: name ?? kernel.family, params: addressParams(names), results: [] } as const;
    return this.#module.func({ ...called, ...(name && { export: name }) }, (body, params) => {
      const call = (part: WasmKernel, args: readonly Ex<'i32'>[]) => {
        if (part.family !== this.#only) return;
        const own = kernelArguments(part);
        body.call(code(part), Object.fromEntries(own.map((one, i) => [one, args[i] as Ex<'i32'>])));
      };
      emitKernel(body, kernel, pointers(names, params), call, ALONE);
    });
  }
}

const SHAPES: Readonly<Record<TileSize, FilteringShape>> = {
  2: { outputs: 2, channels: 64, tiles: 14, block: 7 },
  4: { outputs: 4, channels: 64, tiles: 7, block: 4 },
};

export interface FilteringProbes {
  readonly input: Probe;
  readonly output: Probe;
  /** Vectors of tiles that one run transforms. */
  readonly vectors: number;
}

export async function filteringProbes(outputs: TileSize): Promise<FilteringProbes> {
  const shape = SHAPES[outputs];
  const vectors = shape.tiles ** 2 * vectorsOf(shape.channels);
  return {
    input: await partProbe(shape, 'winogradInput'),
    output: await partProbe(shape, 'winogradOutput'),
    vectors,
  };
}

/** 9 MiB of weights that few tiles go by. */
const WEIGHTS: FilteringShape = { outputs: 4, channels: 256, tiles: 4, block: 4 };

/** Products of many weights, and of the same few again and again: the difference is what reading them costs. */
export async function weightProbes(): Promise<{
  readonly far: Probe;
  readonly near: Probe;
  readonly bytes: number;
}> {
  return {
    far: await partProbe(WEIGHTS, 'gemm'),
    near: await partProbe(WEIGHTS, 'gemm', (params) => ({ ...params, weightBytes: 0 })),
    bytes: 36 * WEIGHTS.channels ** 2 * 4,
  };
}
