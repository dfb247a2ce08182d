import { FunctionBody } from './body.ts';
import { ByteWriter } from './bytes.ts';
import { FunctionEmitter, VALUE_TYPE_CODE } from './emitter.ts';
import { EncoderError } from './error.ts';
import type { Ex, Func, Global, Local, Operand, Params, Results } from './expression.ts';
import { toEx } from './expression.ts';
import type { ValueType } from './instructions.ts';

export interface MemorySpec {
  /** Taken from the importer under this name instead of being created by the module. */
  readonly import?: { readonly module: string; readonly name: string };
  readonly export?: string;
  /** In pages of 64 KiB. */
  readonly initial: number;
  /** In pages of 64 KiB; a shared memory must have it. */
  readonly maximum?: number;
  readonly shared?: boolean;
}

export interface FuncSpec<P extends Params, R extends Results> {
  readonly name: string;
  readonly params: P;
  readonly results: R;
  readonly export?: string;
}

export interface GlobalSpec<T extends ValueType> {
  readonly type: T;
  readonly mutable: boolean;
  /** A constant. */
  readonly init: Operand<NoInfer<T>>;
  readonly export?: string;
}

export interface ModuleOptions {
  /** Write the names of functions into the module, for profilers and stack traces. Default false. */
  readonly names?: boolean;
}

export type ParamLocals<P extends Params> = { readonly [K in keyof P]: Local<P[K]> };

/** Writes the statements of a function; returns the result, or nothing when it ends with `return` or `unreachable`. */
export type FuncDefinition<P extends Params, R extends Results> = (
  body: FunctionBody<R>,
  params: ParamLocals<P>,
) => R extends readonly [infer T extends ValueType] ? Operand<T> | undefined : void;

/** A WebAssembly module with at most one memory. The same calls give the same bytes. */
export class ModuleBuilder {
  readonly #names: boolean;
  readonly #types = new Map<string, number>();
  readonly #functions: { readonly func: Func; readonly type: number; code: Uint8Array | undefined }[] = [];
  readonly #globals: { readonly global: Global; readonly init: Ex }[] = [];
  readonly #exports = new Map<string, { readonly kind: number; readonly index: number }>();
  readonly #data: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  #memory: MemorySpec | undefined;
  #needsMemory: string | undefined;

  constructor({ names = false }: ModuleOptions = {}) {
    this.#names = names;
  }

  /** Declares the memory. Throws when there is one already. */
  memory(spec: MemorySpec): void {
    const { initial, maximum, shared = false } = spec;
    if (this.#memory !== undefined) throw new EncoderError('the module has a memory already');
    if (shared && maximum === undefined) throw new EncoderError('a shared memory needs a maximum');
    if (maximum !== undefined && maximum < initial) throw new EncoderError('memory: maximum below initial');
    for (const pages of [initial, maximum ?? initial]) {
      if (!Number.isInteger(pages) || pages < 0 || pages > 65_536)
        throw new EncoderError(`memory: ${pages} pages`);
    }
    this.#memory = spec;
    if (spec.export !== undefined) this.#export(spec.export, EXPORT_KIND.memory, 0);
  }

  /** Declares and defines a function. */
  func<const P extends Params, const R extends Results>(
    spec: FuncSpec<P, R>,
    definition: FuncDefinition<P, R>,
  ): Func<P, R> {
    const func = this.declare(spec);
    this.define(func, definition);
    return func;
  }

  /** Fixes the index and the type of a function, so that others can call it before `define`. */
  declare<const P extends Params, const R extends Results>(spec: FuncSpec<P, R>): Func<P, R> {
    const { name, params, results } = spec;
    const reordered = Object.keys(params).find((key) => /^\d/.test(key));
    if (reordered !== undefined)
      throw new EncoderError(`${name}: parameter ${reordered} begins with a digit`);
    const index = this.#functions.length;
    const func: Func<P, R> = { kind: 'func', name, params, results, index, owner: this };
    this.#functions.push({ func, type: this.#typeIndex(Object.values(params), results), code: undefined });
    if (spec.export !== undefined) this.#export(spec.export, EXPORT_KIND.func, index);
    return func;
  }

  /** Gives a declared function its statements, once. */
  define<P extends Params, R extends Results>(func: Func<P, R>, definition: FuncDefinition<P, R>): void {
    const { name, params, results } = func;
    const entry = this.#functions[func.index];
    if (entry?.func !== func) throw new EncoderError(`${name} belongs to another module`);
    if (entry.code !== undefined) throw new EncoderError(`${name} is defined twice`);
    const emitter = new FunctionEmitter(params, results, this);
    const locals = Object.entries(params).map(([key, type], slot): [string, Local] => [
      key,
      { kind: 'local', type, slot, owner: emitter },
    ]);
    try {
      const value: unknown = definition(
        new FunctionBody(emitter, results),
        Object.fromEntries(locals) as ParamLocals<P>,
      );
      const [type] = results;
      if (type === undefined && value !== undefined)
        throw new EncoderError('a function without results returns a value');
      if (type !== undefined && (value !== undefined || emitter.reachable)) {
        emitter.value(toEx(type, value, 'result'));
      }
      entry.code = emitter.finish();
    } catch (error) {
      throw error instanceof EncoderError ? new EncoderError(`in ${name}: ${error.message}`) : error;
    }
    if (emitter.usesMemory) this.#needsMemory ??= name;
  }

  global<T extends ValueType>(spec: GlobalSpec<T>): Global<T> {
    const { type, mutable } = spec;
    const init = toEx(type, spec.init, 'global');
    if (init.kind !== 'operation' || init.name !== `${type}.const`) {
      throw new EncoderError('a global must be initialised with a constant');
    }
    const global: Global<T> = { kind: 'global', type, mutable, index: this.#globals.length, owner: this };
    this.#globals.push({ global, init });
    if (spec.export !== undefined) this.#export(spec.export, EXPORT_KIND.global, global.index);
    return global;
  }

  /** Exports a function or a global under one more name. */
  export(name: string, what: Func | Global): void {
    if (what.owner !== this) throw new EncoderError(`export ${name} belongs to another module`);
    this.#export(name, EXPORT_KIND[what.kind], what.index);
  }

  /** Bytes copied to the address `offset` when the module is instantiated. */
  data(offset: number, bytes: Uint8Array): void {
    this.#data.push({ offset, bytes });
  }

  /** The module in the binary format. Throws when a function is undefined or the memory that it uses is missing. */
  build(): Uint8Array<ArrayBuffer> {
    const memory = this.#memory;
    this.#checkMemory();
    const writer = new ByteWriter().raw([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    section(writer, SECTION.type, [...this.#types.keys()].map(typeEntry));
    section(writer, SECTION.import, memory?.import === undefined ? [] : [importEntry(memory, memory.import)]);
    section(
      writer,
      SECTION.function,
      this.#functions.map(({ type }) => new ByteWriter().u32(type)),
    );
    section(
      writer,
      SECTION.memory,
      memory === undefined || memory.import !== undefined ? [] : [limits(memory)],
    );
    section(writer, SECTION.global, this.#globals.map(globalEntry));
    section(
      writer,
      SECTION.export,
      Array.from(this.#exports, ([name, { kind, index }]) =>
        new ByteWriter().text(name).byte(kind).u32(index),
      ),
    );
    section(
      writer,
      SECTION.code,
      this.#functions.map(({ func, code }) => {
        if (code === undefined) throw new EncoderError(`${func.name} is declared but not defined`);
        return new ByteWriter().sized(code);
      }),
    );
    section(writer, SECTION.data, this.#data.map(dataEntry));
    if (this.#names)
      writer.byte(SECTION.custom).sized(nameSection(this.#functions.map(({ func }) => func.name)));
    return writer.finish();
  }

  #checkMemory(): void {
    const memory = this.#memory;
    if (memory === undefined) {
      const user = this.#data.length > 0 ? 'a data segment' : this.#needsMemory;
      if (user !== undefined) throw new EncoderError(`${user} needs a memory`);
      return;
    }
    for (const { offset, bytes } of this.#data) {
      if (offset + bytes.length > memory.initial * 65_536) {
        throw new EncoderError(`data of ${bytes.length} bytes at ${offset} ends outside the initial memory`);
      }
    }
  }

  #typeIndex(params: readonly ValueType[], results: Results): number {
    const key = `${params.join(' ')}:${results.join(' ')}`;
    const index = this.#types.get(key) ?? this.#types.size;
    this.#types.set(key, index);
    return index;
  }

  #export(name: string, kind: number, index: number): void {
    if (this.#exports.has(name)) throw new EncoderError(`${name} is exported twice`);
    this.#exports.set(name, { kind, index });
  }
}

const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  memory: 5,
  global: 6,
  export: 7,
  code: 10,
  data: 11,
} as const;

const EXPORT_KIND = { func: 0, memory: 2, global: 3 } as const;

const FUNCTION_TYPE = 0x60;
const FUNCTION_NAMES = 1;

/** A section of entries behind their count; nothing when there are none. */
function section(writer: ByteWriter, id: number, entries: readonly ByteWriter[]): void {
  if (entries.length === 0) return;
  const content = new ByteWriter().u32(entries.length);
  for (const entry of entries) content.raw(entry.finish());
  writer.byte(id).sized(content.finish());
}

/** `key` is "param param:result". */
function typeEntry(key: string): ByteWriter {
  const writer = new ByteWriter().byte(FUNCTION_TYPE);
  for (const list of key.split(':')) {
    const types = list.split(' ').filter((type): type is ValueType => type !== '');
    writer.u32(types.length).raw(types.map((type) => VALUE_TYPE_CODE[type]));
  }
  return writer;
}

function importEntry(
  memory: MemorySpec,
  from: { readonly module: string; readonly name: string },
): ByteWriter {
  return new ByteWriter()
    .text(from.module)
    .text(from.name)
    .byte(EXPORT_KIND.memory)
    .raw(limits(memory).finish());
}

function limits({ initial, maximum, shared = false }: MemorySpec): ByteWriter {
  const writer = new ByteWriter().byte((maximum === undefined ? 0 : 1) | (shared ? 2 : 0)).u32(initial);
  return maximum === undefined ? writer : writer.u32(maximum);
}

function globalEntry({ global, init }: { readonly global: Global; readonly init: Ex }): ByteWriter {
  const writer = new ByteWriter().byte(VALUE_TYPE_CODE[global.type]).byte(global.mutable ? 1 : 0);
  return constantExpression(writer, init);
}

function dataEntry({ offset, bytes }: { readonly offset: number; readonly bytes: Uint8Array }): ByteWriter {
  return constantExpression(new ByteWriter().byte(0), toEx('i32', offset, 'data')).sized(bytes);
}

function constantExpression(writer: ByteWriter, constant: Ex): ByteWriter {
  const emitter = new FunctionEmitter({}, [constant.type], {});
  emitter.value(constant);
  return writer.raw(emitter.finish().subarray(1));
}

function nameSection(names: readonly string[]): Uint8Array {
  const map = new ByteWriter().u32(names.length);
  names.forEach((name, index) => {
    map.u32(index).text(name);
  });
  return new ByteWriter().text('name').byte(FUNCTION_NAMES).sized(map.finish()).finish();
}
