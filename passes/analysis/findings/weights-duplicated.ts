/** Constants of equal type and value, each stored by itself. */
import { type Graph, type Node, tensorOf, type Value } from '#ir/graph.ts';
import { elementsOf, type Tensor } from '#ir/tensor.ts';
import { byteSize, elementCount, formatType } from '#ir/types.ts';
import { sameBytes } from '../../canonicalize/merge-common-subexpressions.ts';
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

/** Sets of two or more. */
function equalConstants(graph: Graph): readonly (readonly Value[])[] {
  const byType = new Map<string, Value[]>();
  for (const value of graph.values) {
    const present = value.source.kind === 'constant' && !('missing' in value.source.constant);
    if (!present || byteSize(value.type) < SMALLEST) continue;
    const key = formatType(value.type);
    pushTo(byType, key, value);
  }
  return [...byType.values()].flatMap((values) => (values.length < 2 ? [] : alike(values)));
}

/** Only constants whose samples are equal are read whole. */
function alike(values: readonly Value[]): readonly (readonly Value[])[] {
  const bySample = new Map<string, Value[]>();
  for (const value of values) {
    const tensor = tensorOf(value);
    const sample = tensor ? sampleOf(tensor) : '';
    if (sample !== '') pushTo(bySample, sample, value);
  }
  return [...bySample.values()].flatMap((same) => (same.length < 2 ? [] : equalOnes(same)));
}

/** In place: thousands of constants may be of one type. */
function pushTo(lists: Map<string, Value[]>, key: string, value: Value): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

const SAMPLED = 16;

/** Elements from the beginning and the middle. */
function sampleOf(tensor: Tensor): string {
  const count = elementCount(tensor.type.shape);
  return [0, count >> 1]
    .map((start) => elementsOf(tensor, start, Math.min(count, start + SAMPLED)).join())
    .join(';');
}

function equalOnes(values: readonly Value[]): readonly (readonly Value[])[] {
  const sets: { readonly first: Tensor; readonly values: Value[] }[] = [];
  for (const value of values) {
    const tensor = tensorOf(value);
    if (!tensor) continue;
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
