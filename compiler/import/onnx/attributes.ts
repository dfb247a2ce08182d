import { fail } from '#ir/diagnostics.ts';
import type { AttributeProto, GraphProto, TensorProto } from './generated/onnx-proto.js';
import { printable } from './text.ts';

const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: 'a float',
  2: 'an integer',
  3: 'a string',
  4: 'a tensor',
  5: 'a graph',
  6: 'a list of floats',
  7: 'a list of integers',
  8: 'a list of strings',
};

/** No attribute of a network has more entries: strides, pads, axes, values of small constants. */
const MAX_ENTRIES = 1_000_000;

/** The attributes of an ONNX node, read by type. @throws CompileError `graph-invalid` where one has another type */
export class Attributes {
  /** A handful at most. */
  readonly #protos: readonly AttributeProto[];
  readonly #subject: string;

  constructor(protos: readonly AttributeProto[], subject: string) {
    this.#protos = protos;
    this.#subject = subject;
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** INT64_MIN and INT64_MAX come out as the nearest doubles. */
  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    const proto = this.#get(name, 2);
    return proto ? Number(proto.i) : fallback;
  }

  flag(name: string, fallback = false): boolean {
    return this.int(name, fallback ? 1 : 0) !== 0;
  }

  float(name: string): number | undefined;
  float(name: string, fallback: number): number;
  float(name: string, fallback?: number): number | undefined {
    return this.#get(name, 1)?.f ?? fallback;
  }

  string(name: string): string | undefined;
  string(name: string, fallback: string): string;
  string(name: string, fallback?: string): string | undefined {
    const proto = this.#get(name, 3);
    return proto ? new TextDecoder().decode(proto.s.subarray(0, 1000)) : fallback;
  }

  ints(name: string): readonly number[] | undefined {
    return this.#list(name, this.#get(name, 7)?.ints)?.map(Number);
  }

  floats(name: string): readonly number[] | undefined {
    return this.#list(name, this.#get(name, 6)?.floats);
  }

  strings(name: string): readonly string[] | undefined {
    const list = this.#list(name, this.#get(name, 8)?.strings);
    return list?.map((bytes) => new TextDecoder().decode(bytes.subarray(0, 1000)));
  }

  tensor(name: string): TensorProto | undefined {
    return this.#get(name, 4)?.t ?? undefined;
  }

  graph(name: string): GraphProto | undefined {
    return this.#get(name, 5)?.g ?? undefined;
  }

  /** Of several of one name the last. */
  #find(name: string): AttributeProto | undefined {
    return this.#protos.findLast((p) => p.name === name);
  }

  /** Early exporters left the type out (0). */
  #get(name: string, type: number): AttributeProto | undefined {
    const proto = this.#find(name);
    if (!proto || proto.type === type || proto.type === 0) return proto;
    const found = TYPE_NAMES[proto.type] ?? `of type ${proto.type}`;
    fail(
      'graph-invalid',
      this.#subject,
      `attribute "${printable(name)}" is ${found}, not ${TYPE_NAMES[type]}`,
    );
  }

  #list<T>(name: string, list: readonly T[] | undefined): readonly T[] | undefined {
    if (list === undefined || list.length <= MAX_ENTRIES) return list;
    fail('graph-invalid', this.#subject, `attribute "${name}" has ${list.length} entries`);
  }
}
