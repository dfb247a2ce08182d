/**
 * The kernel program: the second level of the IR. A list of kernel calls over a static arena, the epilogues inside the
 * kernels, the constants packed. What a kernel's parameters are is the target's business.
 */
import type { Graph, Node, Value } from '#ir/graph.ts';
import type { TensorType } from '#ir/types.ts';
import { type ArenaRequest, liveSizes, planArena } from '#passes/analysis/liveness.ts';
import type { FilterShape, Panel } from '#runtime/stored-weights.ts';
import type { Storage, View } from './view.ts';

/** A byte address, relative to the start of the arena or of the constants. */
export interface Address {
  readonly region: Storage['kind'];
  readonly offset: number;
}

export interface KernelCall<P> {
  readonly kernel: P;
  readonly arguments: readonly Address[];
  /** The node it computes, or helps to compute. */
  readonly node: Node | undefined;
}

/** A node in the program. A node without calls is only another view of its operand. */
export interface NodeStep {
  readonly node: Node;
  readonly firstCall: number;
  readonly callCount: number;
  /** Before its first call. */
  readonly operands: ReadonlyMap<Value, Placement>;
  /** After its last call. */
  readonly results: ReadonlyMap<Value, Placement>;
}

/** Where a value of the graph lies while it is alive. */
export interface Placement {
  readonly address: Address;
  readonly view: View;
}

export interface Port {
  readonly name: string;
  readonly type: TensorType;
  /** Byte offset in the arena; the data is dense and in row-major order. */
  readonly offset: number;
  /** Where the size of an axis depends on data: where the i64 lies that says how many of its positions count. */
  readonly count?: { readonly axis: number; readonly offset: number };
}

/** An output on its way to become a port. */
interface OutputView {
  readonly name: string;
  readonly type: TensorType;
  readonly view: View;
  readonly count: { readonly axis: number; readonly view: View } | undefined;
}

/** Data that is made where it is to lie, as the largest part of a network should be in memory once. */
export interface PackedConstant {
  readonly bytes: number;
  /** Fills `target`, which has `bytes` bytes, is zero, and begins at a multiple of 16. */
  write(target: Uint8Array): void;
  /** Floats that the target keeps in half precision; they are written, and their offsets count, as if they were whole. */
  readonly half?: true;
  /** Of floats that are weights: how they can be stored in fewer bytes. */
  readonly compact?: CompactForm;
}

/** Panels of which each column is of one channel; or filters that `write` transforms. */
export type CompactForm =
  | { readonly kind: 'panels'; readonly panels: readonly Panel[] }
  | { readonly kind: 'winograd'; readonly filters: Float32Array; readonly shape: FilterShape };

/** A constant among the others. */
export interface ConstantPart extends PackedConstant {
  readonly offset: number;
}

/** Writes all constants, at their offsets. */
export function writeConstants(parts: readonly ConstantPart[], target: Uint8Array): void {
  for (const part of parts) part.write(target.subarray(part.offset, part.offset + part.bytes));
}

export interface KernelProgram<P> {
  readonly graph: Graph;
  readonly calls: readonly KernelCall<P>[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly constantBytes: number;
  /** The constants one by one, ascending. */
  readonly constantParts: readonly ConstantPart[];
  readonly arenaBytes: number;
  /** Of the arena of floats in half precision, as if they were whole; 0 where a target has none. */
  readonly halvesBytes: number;
  /** Largest number of bytes alive at once; no plan can be smaller. */
  readonly arenaLowerBound: number;
  /** Bytes alive while each call runs. */
  readonly liveBytes: readonly number[];
  /** Per node, in order: which calls it became, and where its operands and results lie at that time. */
  readonly steps: readonly NodeStep[];
}

interface PendingCall<P> {
  readonly kernel: P;
  readonly arguments: readonly { readonly storage: Storage; readonly offset: number }[];
  readonly node: Node | undefined;
}

const ALIGNMENT = 16;

/** Collects calls, storages and constants; `finish` places every storage in one arena. */
export class ProgramBuilder<P> {
  #calls: PendingCall<P>[] = [];
  #nextId = 0;
  #lifetimes = new Map<number, { storage: Storage; start: number; end: number }>();
  #constants: { storage: Storage; part: ConstantPart }[] = [];
  #constantBytes = 0;
  #constantCache = new Map<string, Storage>();
  #node: Node | undefined;

  /** Calls made from now on belong to `node`. */
  beginNode(node: Node | undefined): void {
    this.#node = node;
  }

  /** New memory of an arena; alive from its first to its last use as an argument. */
  allocate(bytes: number, kind: 'arena' | 'halves' = 'arena'): Storage {
    return { id: this.#nextId++, kind, bytes: Math.max(bytes, 4) };
  }

  /** Packed constant data. A `key` lets equal data be stored once. */
  constant(constant: PackedConstant, key?: string): Storage {
    const { bytes } = constant;
    const known = key === undefined ? undefined : this.#constantCache.get(key);
    if (known) return known;
    const storage: Storage = { id: this.#nextId++, kind: 'constant', bytes };
    this.#constants.push({ storage, part: { ...constant, offset: this.#constantBytes } });
    this.#constantBytes = align(this.#constantBytes + bytes);
    if (key !== undefined) this.#constantCache.set(key, storage);
    return storage;
  }

  call(kernel: P, args: readonly (View | { readonly storage: Storage; readonly offset: number })[]): void {
    for (const { storage } of args) this.#touch(storage, this.#calls.length);
    this.#calls.push({
      kernel,
      arguments: args.map(({ storage, offset }) => ({ storage, offset })),
      node: this.#node,
    });
  }

  /** Keeps a storage alive to the last call made so far: results of one node must not overwrite each other. */
  liveToHere(storage: Storage): void {
    if (this.#lifetimes.has(storage.id)) this.#touch(storage, this.#calls.length - 1);
  }

  /** Keeps a storage alive from before the first call: an input. */
  liveFromStart(storage: Storage): void {
    this.#touch(storage, -1);
  }

  /** Keeps a storage alive after the last call: an output. */
  liveToEnd(storage: Storage): void {
    this.#touch(storage, Number.MAX_SAFE_INTEGER);
  }

  #touch(storage: Storage, at: number): void {
    if (storage.kind === 'constant') return;
    const life = this.#lifetimes.get(storage.id);
    if (!life) this.#lifetimes.set(storage.id, { storage, start: at, end: at });
    else {
      life.start = Math.min(life.start, at);
      life.end = Math.max(life.end, at);
    }
  }

  finish(
    graph: Graph,
    inputs: readonly { name: string; view: View }[],
    outputs: readonly OutputView[],
    reads: ReadonlyMap<Node, ReadonlyMap<Value, View>>,
    viewsOf: (value: Value) => readonly View[],
  ): KernelProgram<P> {
    const last = this.#calls.length;
    const requestsFor = (kind: Storage['kind']): ArenaRequest<number>[] =>
      [...this.#lifetimes.values()]
        .filter(({ storage }) => storage.kind === kind)
        .map(({ storage, start, end }) => ({
          id: storage.id,
          bytes: storage.bytes,
          alignment: ALIGNMENT,
          start: Math.min(start, last) + 1,
          end: Math.min(end, last) + 1,
        }));
    const requests = requestsFor('arena');
    const plan = planArena(requests);
    const halves = planArena(requestsFor('halves'));
    const offsets: Readonly<Record<Storage['kind'], ReadonlyMap<number, number>>> = {
      arena: plan.offsets,
      halves: halves.offsets,
      constant: new Map(this.#constants.map((c) => [c.storage.id, c.part.offset])),
    };
    const addressOf = ({ storage, offset }: { storage: Storage; offset: number }): Address => ({
      region: storage.kind,
      offset: offset + (offsets[storage.kind].get(storage.id) ?? 0),
    });
    const calls = this.#calls.map((call) => ({
      kernel: call.kernel,
      arguments: call.arguments.map(addressOf),
      node: call.node,
    }));
    const placed = (view: View): Placement => ({ view, address: addressOf(view) });
    const steps = graph.nodes.map((node): NodeStep => {
      const own = this.#calls.flatMap((call, i) => (call.node === node ? [i] : []));
      return {
        node,
        firstCall: own[0] ?? -1,
        callCount: own.length,
        operands: new Map([...(reads.get(node) ?? [])].map(([value, view]) => [value, placed(view)])),
        results: new Map(
          node.outputs.flatMap((value) => {
            const [view] = viewsOf(value);
            return view ? [[value, placed(view)] as const] : [];
          }),
        ),
      };
    });
    return {
      graph,
      calls,
      inputs: inputs.map(({ name, view }) => ({
        name,
        type: { dtype: view.dtype, shape: view.shape },
        offset: addressOf(view).offset,
      })),
      outputs: outputs.map(({ name, type, view, count }) => ({
        name,
        type,
        offset: addressOf(view).offset,
        ...(count ? { count: { axis: count.axis, offset: addressOf(count.view).offset } } : {}),
      })),
      constantBytes: this.#constantBytes,
      constantParts: this.#constants.map(({ part }) => part),
      arenaBytes: plan.size,
      halvesBytes: halves.size,
      arenaLowerBound: plan.lowerBound,
      // the step before the first call has the inputs alone
      liveBytes: liveSizes(requests, last + 2).slice(1, last + 1),
      steps,
    };
  }
}

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
