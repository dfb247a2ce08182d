/** What inputs, layers and their results are called in a description. */
import { type Graph, producer, type Value } from '#ir/graph.ts';
import { isUnreadable } from '../../import/json/index.ts';
import type { Group } from './groups.ts';

/** Names, each of which one thing has: layers, parts of a split, and weights by the path of their layer. */
export class Names {
  readonly #values = new Map<Value, string>();
  readonly #layers = new Map<Group, string>();
  readonly #taken = new Set(['previous', 'input']);
  readonly #weights = new Set<string>();

  /** Inputs keep their names where layers can read them; the last layer of an output is called as the output is. */
  constructor(graph: Graph, groups: readonly Group[]) {
    const inputs = new Set(graph.inputs.map((v) => v.name).filter(isReadable));
    for (const value of graph.inputs) {
      const clean = value.name.replace(/[$\s]+/g, '_').slice(0, LONGEST);
      const name = isReadable(value.name)
        ? value.name
        : numbered(clean === 'previous' || clean === '' ? 'image' : clean, (n) => inputs.has(n));
      inputs.add(name);
      this.#taken.add(name);
      this.#values.set(value, name);
    }
    const outputs = new Map(graph.outputs.map(({ name, value }) => [value, name]));
    const [named, others] = [groups.filter((g) => outputName(g, outputs)), groups];
    for (const group of [...named, ...others]) {
      if (this.#layers.has(group)) continue;
      const { head, results } = group;
      const [first] = results;
      // several nodes of one layer are called so when they are read: stem/conv
      const whole = first === head.outputs[0] ? head.name : head.name.replace(/\/(conv|dense)$/, '');
      const name = this.#free(outputName(group, outputs) ?? whole, group);
      this.#layers.set(group, name);
      results.forEach((v, i) => {
        this.#values.set(v, results.length > 1 ? `${name}.${i}` : name);
      });
    }
  }

  layer(group: Group): string {
    return this.#layers.get(group) ?? group.head.name;
  }

  /** A value that is another one: what a node makes that does nothing. */
  alias(value: Value, of: Value): void {
    this.#values.set(value, this.of(of));
  }

  of(value: Value): string {
    return this.#values.get(value) ?? value.name;
  }

  #free(wanted: string, { layer, results }: Group): string {
    const clean =
      wanted
        .replace(/^\/+/, '')
        .replace(/[/$\s]+/g, '.')
        .slice(0, LONGEST) || 'layer';
    const names = (name: string) => [
      name,
      ...(results.length > 1 ? results.map((_, i) => `${name}.${i}`) : []),
    ];
    const keys = (name: string) => Object.keys(layer.weights ?? {}).map((key) => `${name}.${key}`);
    const name = numbered(
      clean,
      (n) => names(n).some((own) => this.#taken.has(own)) || keys(n).some((key) => this.#weights.has(key)),
    );
    for (const own of names(name)) this.#taken.add(own);
    for (const key of keys(name)) this.#weights.add(key);
    return name;
  }
}

/** Names may have 200 characters; some are left for numbers. */
const LONGEST = 180;
const isReadable = (name: string): boolean => name !== '' && name.length <= 200 && !isUnreadable(name);

const outputName = ({ results }: Group, outputs: ReadonlyMap<Value, string>): string | undefined => {
  const [only] = results;
  return only && producer(only)?.outputs.length === 1 ? outputs.get(only) : undefined;
};

/** `wanted`, or with a number after it, so that it is none that is taken. */
function numbered(wanted: string, taken: (name: string) => boolean): string {
  let name = wanted;
  for (let i = 1; taken(name); i++) name = `${wanted}_${i}`;
  return name;
}
