/**
 * Runs a compiled program node by node and reads values out of its memory: for the compile-time check, for intermediate
 * tensors and for finding the first layer that differs.
 */
import { CompileError, diagnostic, InternalError } from '#ir/diagnostics.ts';
import { trim } from '#ir/evaluate.ts';
import type { Value } from '#ir/graph.ts';
import { allocate, bytesOfData, type Tensor, viewBytes } from '#ir/tensor.ts';
import { bytesOf, elementCount, formatType, sameType } from '#ir/types.ts';
import { type NodeStep, type Placement, type Port, writeConstants } from '../schedule/program.ts';
import {
  type Engine,
  emitModule,
  MEMORY_IMPORT,
  type MemoryMap,
  STEP_CHUNK,
  type WasmCode,
  type WasmProgram,
} from '../targets/wasm/index.ts';

function memoryFor({ constantParts }: WasmProgram, { constants, pages }: MemoryMap): WebAssembly.Memory {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  writeConstants(constantParts, new Uint8Array(memory.buffer, constants));
  return memory;
}

/** The code of a program, with steps, and memory that is laid out for it and has its constants. */
export interface SteppedModule {
  readonly code: WasmCode;
  readonly memory: WebAssembly.Memory;
}

/** A program loaded into an instance of its own. */
export class Stepper {
  readonly program: WasmProgram;
  readonly #memory: Uint8Array;
  readonly #map: MemoryMap;
  readonly #step: (index: number) => void;

  private constructor(
    program: WasmProgram,
    map: MemoryMap,
    memory: WebAssembly.Memory,
    instance: WebAssembly.Instance,
  ) {
    const { step } = instance.exports;
    if (typeof step !== 'function') throw new InternalError('the checking module lacks its export');
    this.program = program;
    this.#map = map;
    this.#memory = new Uint8Array(memory.buffer);
    const call = step as (chunk: number, index: number) => void;
    this.#step = (index) => call(Math.floor(index / STEP_CHUNK), index % STEP_CHUNK);
  }

  /** @param options.module of this program, with `step`; one is made, with memory of its own, where not given */
  static async load(
    program: WasmProgram,
    { module, engine }: { readonly module?: SteppedModule | undefined; readonly engine?: Engine } = {},
  ): Promise<Stepper> {
    const code = module?.code ?? emitModule(program, { steps: true, ...(engine && { engine }) });
    const memory = module?.memory ?? memoryFor(program, code.memory);
    const imports = { [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: memory } };
    const { stepBytes } = code;
    if (!stepBytes) throw new InternalError('the module was made without steps');
    const { instance } = await WebAssembly.instantiate(stepBytes, imports);
    return new Stepper(program, code.memory, memory, instance);
  }

  /** Writes the inputs, by name. @throws CompileError for one that is missing or ill-typed. */
  setInputs(inputs: ReadonlyMap<string, Tensor>): void {
    for (const port of this.program.inputs) {
      const tensor = inputs.get(port.name);
      if (!tensor || !sameType(tensor.type, port.type)) {
        const got = tensor ? `got ${formatType(tensor.type)}` : 'none was given';
        throw new CompileError([
          diagnostic('input-invalid', port.name, `expected ${formatType(port.type)}, ${got}`),
        ]);
      }
      this.#memory.set(bytesOfData(tensor.data), this.#map.arena + port.offset);
    }
  }

  /** Runs the calls of one node. */
  runNode(step: NodeStep): void {
    for (let i = 0; i < step.callCount; i++) this.#step(step.firstCall + i);
  }

  /** Runs every node; `before` and `after` may read its operands and results while they are in memory. */
  run(hooks: { before?: (step: NodeStep) => void; after?: (step: NodeStep) => void } = {}): void {
    for (const step of this.program.steps) {
      hooks.before?.(step);
      this.runNode(step);
      hooks.after?.(step);
    }
    this.finish();
  }

  /** Runs what belongs to no node: it brings the outputs into row-major order. Needed before `outputs`. */
  finish(): void {
    this.program.calls.forEach((call, i) => {
      if (!call.node) this.#step(i);
    });
  }

  /** Copies a value out of memory, in row-major order. */
  read(value: Value, { view, address }: Placement): Tensor {
    const { shape, dtype } = view;
    const size = bytesOf(dtype);
    const base = address.offset + (address.region === 'arena' ? this.#map.arena : this.#map.constants);
    const count = elementCount(shape);
    const source = viewBytes(dtype, this.#memory.subarray(base % size, this.#memory.length));
    const data = allocate(dtype, count) as Float32Array;
    const strides = view.strides.map((s) => s / size);
    const row = shape[shape.length - 1] ?? 1;
    const step = strides[shape.length - 1] ?? 0;
    const at = new Int32Array(shape.length);
    let start = Math.floor(base / size);
    for (let i = 0; i < count; i += row) {
      for (let k = 0, offset = start; k < row; k++, offset += step) {
        data[i + k] = (source as Float32Array)[offset] as number;
      }
      for (let axis = shape.length - 2; axis >= 0; axis--) {
        const next = (at[axis] ?? 0) + 1;
        start += strides[axis] ?? 0;
        if (next < (shape[axis] ?? 1)) {
          at[axis] = next;
          break;
        }
        start -= next * (strides[axis] ?? 0);
        at[axis] = 0;
      }
    }
    return { type: value.type, data };
  }

  outputs(): Map<string, Tensor> {
    return new Map(this.program.outputs.map((port) => [port.name, this.#readPort(port)]));
  }

  /** Outputs as a user sees them: cut to the positions that count. */
  trimmedOutputs(): Map<string, Tensor> {
    const whole = this.outputs();
    return new Map(
      this.program.outputs.map((port) => {
        const tensor = whole.get(port.name) ?? this.#readPort(port);
        const { count } = port;
        if (!count) return [port.name, tensor];
        const size = this.#readPort({ ...port, type: { dtype: 'i64', shape: [] }, offset: count.offset });
        return [port.name, trim(tensor, count.axis, Number(size.data[0]))];
      }),
    );
  }

  #readPort(port: Port): Tensor {
    const bytes = elementCount(port.type.shape) * bytesOf(port.type.dtype);
    const start = this.#map.arena + port.offset;
    return { type: port.type, data: viewBytes(port.type.dtype, this.#memory.slice(start, start + bytes)) };
  }
}
