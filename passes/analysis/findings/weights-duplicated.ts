/** Constants of equal type and value, each stored by itself. */
import { type Graph, type Node, tensorOf, type Value } from '#ir/graph.ts';
import { elementsOf, type Tensor } from '#ir/tensor.ts';
import { byteSize, elementCount, formatType } from '#ir/types.ts';
import { sameBytes } from '../../canonicalize/merge-common-subexpressions.ts';
import { groupBy } from '../../group-by.ts';
import { bytes } from '../figures.ts';
import { defineRule, evidence, type Place, REWRITE, saving, total } from './finding.ts';

/** Constants of fewer bytes are not compared. */
const SMALLEST = 64;

export const weightsDuplicated = defineRule({
  ofSizes: false,
  command: REWRITE,
  passes: ['mergeCommonSubexpressions'],
  find: ({ graph }) => equalConstants(graph).map(placeOf),
  describe(places, { name }) {
    const copies = total(places, (p) => evidence(p, 'copies') - 1);
    const saved = bytes(total(places, (p) => evidence(p, 'bytesSaved')));
    const [most] = places;
    const users = most.nodes.slice(0, 2).map(name).join(' and ');
    return `${copies} stored ${copies === 1 ? 'constant repeats another' : 'constants repeat others'}, ${saved} in all; the largest in ${users}; compile keeps one of each`;
  },
});

interface Stored {
  readonly value: Value;
  readonly tensor: Tensor;
}

/** Sets of two or more. Only constants whose samples are equal are read whole. */
function equalConstants(graph: Graph): readonly (readonly Value[])[] {
  const stored = graph.values.flatMap((value): readonly Stored[] => {
    const tensor = tensorOf(value);
    return tensor && byteSize(value.type) >= SMALLEST ? [{ value, tensor }] : [];
  });
  return severalOf(groupBy(stored, ({ value }) => formatType(value.type)))
    .flatMap((alike) => severalOf(groupBy(alike, ({ tensor }) => sampleOf(tensor))))
    .flatMap(equalOnes);
}

const severalOf = (groups: ReadonlyMap<string, readonly Stored[]>): readonly (readonly Stored[])[] =>
  [...groups.values()].filter((group) => group.length > 1);

const SAMPLED = 16;

/** Elements from the beginning and the middle. */
function sampleOf(tensor: Tensor): string {
  const count = elementCount(tensor.type.shape);
  return [0, count >> 1]
    .map((start) => elementsOf(tensor, start, Math.min(count, start + SAMPLED)).join())
    .join(';');
}

function equalOnes(stored: readonly Stored[]): readonly (readonly Value[])[] {
  const sets: { readonly first: Tensor; readonly values: Value[] }[] = [];
  for (const { value, tensor } of stored) {
    const set = sets.find((s) => sameBytes(s.first, tensor));
    if (set) set.values.push(value);
    else sets.push({ first: tensor, values: [value] });
  }
  return sets.map((s) => s.values).filter((v) => v.length > 1);
}

function placeOf(values: readonly Value[]): Place {
  const nodes = [...new Set(values.flatMap((v) => v.uses.map((u): Node => u.node)))];
  const [first] = values;
  const size = first ? byteSize(first.type) : 0;
  const saved = (values.length - 1) * size;
  return {
    nodes,
    evidence: { copies: values.length, bytesEach: size, bytesSaved: saved },
    saves: saving({ parameters: first?.type.dtype === 'f32' ? saved / 4 : 0 }),
  };
}
