/** Dilations with a common factor, one behind the other, where what an output sees of one resolution has holes. */
import { type Graph, isOp, type Node, operand, result, type Value } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { windowAxes } from '#ir/window.ts';
import { percent } from '../figures.ts';
import { dataOperands, isChannelwise, isElementwise } from '../paths.ts';
import { defineRule, evidence, type Place, saving } from './finding.ts';

/** What a value sees along one axis since the resolution last changed, and the dilated kernels on the way. */
interface Sight {
  readonly offsets: ReadonlySet<number>;
  readonly dilated: readonly Node[];
  readonly factor: number;
}
const POINT: Sight = { offsets: new Set([0]), dilated: [], factor: 0 };

/** What sees more than this share is no grid. */
const DENSE = 0.75;

/** Sights wider than this are dense or of no interest. */
const MOST_OFFSETS = 4096;

export const gridding = defineRule({
  ofSizes: false,
  spoils: true,
  find: ({ graph }) => lastOfRuns(graph).flatMap(([node, sights]) => placeAt(node, sights)),
  describe(places, { name }) {
    const [worst] = [...places].sort((a, b) => evidence(a, 'density') - evidence(b, 'density'));
    if (!worst) return '';
    const run = worst.nodes.map(name);
    const more = places.length > 1 ? `; ${places.length - 1} more such stacks` : '';
    return `dilations of ${run[0]} to ${run.at(-1)} have the common factor ${evidence(worst, 'factor')}: an output sees ${percent(evidence(worst, 'density'))} of the positions within its reach${more}`;
  },
});

function placeAt(node: Node, sights: readonly Sight[]): readonly Place[] {
  const density = sights.reduce((d, { offsets }) => d * densityOf(offsets), 1);
  const run = sights.find((s) => s.dilated.length > 1 && s.factor > 1);
  if (!run || density > DENSE) return [];
  const layers = run.dilated.includes(node) ? run.dilated : [...run.dilated, node];
  return [{ nodes: layers, evidence: { factor: run.factor, density }, saves: saving() }];
}

function densityOf(offsets: ReadonlySet<number>): number {
  let [low, high] = [0, 0];
  for (const o of offsets) [low, high] = [Math.min(low, o), Math.max(high, o)];
  return offsets.size / (high - low + 1);
}

/** The last dilated convs of their runs, with what they see per axis. */
function lastOfRuns(graph: Graph): readonly (readonly [Node, readonly Sight[]])[] {
  const sights = new Map<Value, readonly Sight[]>();
  const ends = new Map<Node, readonly Sight[]>();
  for (const node of graph.nodes) {
    for (const value of node.outputs) sights.set(value, sightsOf(node, sights));
    const own = sights.get(result(node)) ?? [];
    if (!isDilated(node)) continue;
    ends.set(node, own);
    for (const sight of own) for (const before of sight.dilated) if (before !== node) ends.delete(before);
  }
  return [...ends];
}

const isDilated = (node: Node): boolean => isOp(node, 'Conv') && node.attrs.dilations.some((d) => d > 1);

function sightsOf(node: Node, sights: ReadonlyMap<Value, readonly Sight[]>): readonly Sight[] {
  const rank = result(node).type.shape.length - 2;
  const fresh = new Array<Sight>(Math.max(0, rank)).fill(POINT);
  if (isOp(node, 'Conv')) {
    const before = sights.get(operand(node as Node, 0)) ?? fresh;
    const axes = windowAxes(convWindow(node.attrs, operand(node as Node, 1).type.shape));
    if (axes.some((a) => a.stride > 1)) return fresh;
    return axes.map(({ kernel, dilation }, i) => {
      const sight = before[i] ?? POINT;
      if (kernel === 1) return sight;
      const offsets = new Set<number>();
      for (const o of sight.offsets) for (let t = 0; t < kernel; t++) offsets.add(o + t * dilation);
      if (offsets.size > MOST_OFFSETS) return POINT;
      const dilated = dilation > 1 ? [...sight.dilated, node as Node] : [];
      return {
        offsets: shifted(offsets, ((kernel - 1) * dilation) / 2),
        dilated,
        factor: dilation > 1 ? gcd(sight.factor, dilation) : 0,
      };
    });
  }
  if (!isChannelwise(node) && !isElementwise(node) && !isOp(node, 'Concat')) return fresh;
  const joined = dataOperands(node).filter((v) => v.type.shape.length === rank + 2);
  return fresh.map((_, i) =>
    joined.map((v) => sights.get(v)?.[i] ?? POINT).reduce(union, joined.length === 0 ? POINT : EMPTY),
  );
}

const EMPTY: Sight = { offsets: new Set(), dilated: [], factor: 0 };

/** Both paths; the run goes on along the longer. */
function union(a: Sight, b: Sight): Sight {
  const run = b.dilated.length > a.dilated.length ? b : a;
  return { offsets: new Set([...a.offsets, ...b.offsets]), dilated: run.dilated, factor: run.factor };
}

const shifted = (offsets: ReadonlySet<number>, by: number): ReadonlySet<number> =>
  new Set([...offsets].map((o) => o - Math.floor(by)));

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));
