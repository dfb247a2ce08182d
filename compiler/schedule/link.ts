/** Several programs of one network over one set of constants. */
import { InternalError } from '#ir/diagnostics.ts';
import type { Address, CompactForm, ConstantPart, KernelCall, KernelProgram, Port } from './program.ts';

/** A program whose constants lie in a pool. */
export interface LinkedProgram<P> {
  readonly calls: readonly KernelCall<P>[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly arenaBytes: number;
}

interface Entry {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly compact: CompactForm | undefined;
}

const ALIGNMENT = 16;

/** Constants of several programs; equal ones are kept once. */
export class ConstantPool {
  #entries: Entry[] = [];
  #byHash = new Map<string, Entry[]>();
  #size = 0;

  get constantBytes(): number {
    return this.#size;
  }

  /** Keeps of the program only its calls and, of its constants, those that are not there yet. */
  add<P>(program: KernelProgram<P>): LinkedProgram<P> {
    const { constantParts, inputs, outputs, arenaBytes } = program;
    const placed = constantParts.map((part) => {
      const bytes = new Uint8Array(part.bytes);
      part.write(bytes);
      return this.#place(bytes, part.compact);
    });
    const moved = ({ region, offset }: Address): Address => {
      if (region === 'arena') return { region, offset };
      const index = partAt(constantParts, offset);
      return { region, offset: offset - (constantParts[index]?.offset ?? 0) + (placed[index] ?? 0) };
    };
    const calls = program.calls.map(({ kernel, arguments: args }) => ({
      kernel,
      arguments: args.map(moved),
      // which would keep the graph with its weights
      node: undefined,
    }));
    return { calls, inputs, outputs, arenaBytes };
  }

  /** All of them, ascending. */
  get constantParts(): ConstantPart[] {
    return this.#entries.map(({ bytes, offset, compact }) => ({
      offset,
      bytes: bytes.length,
      write: (target) => target.set(bytes),
      ...(compact && { compact }),
    }));
  }

  #place(bytes: Uint8Array, compact: CompactForm | undefined): number {
    const key = `${bytes.length}:${hash(bytes)}`;
    const alike = this.#byHash.get(key) ?? [];
    const known = alike.find((entry) => entry.bytes.every((byte, i) => byte === bytes[i]));
    if (known) return known.offset;
    const entry = { bytes, offset: this.#size, compact };
    this.#entries.push(entry);
    this.#byHash.set(key, [...alike, entry]);
    this.#size = Math.ceil((this.#size + bytes.length) / ALIGNMENT) * ALIGNMENT;
    return entry.offset;
  }
}

/** The part that an address is inside of. */
function partAt(parts: readonly ConstantPart[], offset: number): number {
  let low = 0;
  let high = parts.length;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if ((parts[middle]?.offset ?? 0) <= offset) low = middle;
    else high = middle;
  }
  const { offset: start = 0, bytes = 0 } = parts[low] ?? {};
  if (offset < start || offset > start + bytes) throw new InternalError(`constant ${offset} is part of none`);
  return low;
}

/** FNV-1a over bytes. */
function hash(bytes: Uint8Array): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) value = Math.imul(value ^ (bytes[i] as number), 0x01000193);
  return value >>> 0;
}
