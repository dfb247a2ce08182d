/** Dilations with a common factor, one behind the other, where what an output sees of one resolution has holes. */
import { type Graph, isOp, type Node, operand, result, type Value } from '#ir/graph.ts';
import { convWindow } from '#ir/ops/conv.ts';
import { windowAxes } from '#ir/window.ts';
import { percent } from '../figures.ts';
import { dataOperands, isChannelwise, isElementwise } from '../paths.ts';
import { defineRule, evidence, type Place, saving } from './finding.ts';

/** Dilated kernels, one behind the other, the last first. */
interface Run {
  readonly node: Node;
  readonly before: Run | undefined;
  readonly length: number;
}

/** What a value sees along one axis since the resolution last changed, and the dilated kernels on the way. */
interface Sight {
  /** Bit i: is the position `low + i` seen? Bit 0 is set. As one number, so that a kernel is a few shifts of it. */
  readonly seen: bigint;
  readonly low: number;
  /** Positions from the lowest to the highest. */
  readonly width: number;
  readonly dilated: Run | undefined;
  readonly factor: number;
}
const POINT: Sight = { seen: 1n, low: 0, width: 1, dilated: undefined, factor: 0 };

/** What sees more than this share is no grid. */
const DENSE = 0.75;

/** Sights wider than this are dense or of no interest. */
const WIDEST = 8192;

export const gridding = defineRule({
  ofSizes: false,
  command: null,
  spoils: true,
  find: ({ graph }) =>
    graph.nodes.some(isDilated) ? lastOfRuns(graph).flatMap(([node, sights]) => placeAt(node, sights)) : [],
  describe(places, { name }) {
    const [worst] = [...places].sort((a, b) => evidence(a, 'density') - evidence(b, 'density'));
    if (!worst) return '';
    const run = worst.nodes.map(name);
    const more = places.length > 1 ? `; ${places.length - 1} more such stacks` : '';
    return `dilations of ${run[0]} to ${run.at(-1)} have the common factor ${evidence(worst, 'factor')}: an output sees ${percent(evidence(worst, 'density'))} of the positions within its reach${more}`;
  },
});

function placeAt(node: Node, sights: readonly Sight[]): readonly Place[] {
  const sight = sights.find(({ dilated, factor }) => dilated && dilated.length > 1 && factor > 1);
  if (!sight) return [];
  const density = sights.reduce((d, { seen, width }) => (d * ones(seen)) / width, 1);
  if (density > DENSE) return [];
  const run: Node[] = [];
  for (let at = sight.dilated; at; at = at.before) run.unshift(at.node);
  const layers = run.includes(node) ? run : [...run, node];
  return [{ nodes: layers, evidence: { factor: sight.factor, density }, saves: saving() }];
}

const ones = (bits: bigint): number => bits.toString(2).replaceAll('0', '').length;

/** The last dilated convs of their runs, with what they see per axis. */
function lastOfRuns(graph: Graph): readonly (readonly [Node, readonly Sight[]])[] {
  const sights = new Map<Value, readonly Sight[]>();
  const ends = new Map<Node, readonly Sight[]>();
  const reads = new Map<Value, number>();
  for (const node of graph.nodes) {
    const own = sightsOf(node, sights);
    for (const value of node.outputs) sights.set(value, own);
    for (const value of node.operands) {
      if (!value) continue;
      reads.set(value, (reads.get(value) ?? 0) + 1);
      // of a deep network only what is still to be read is kept
      if (reads.get(value) === value.uses.length) sights.delete(value);
    }
    if (!isDilated(node)) continue;
    ends.set(node, own);
    for (const { dilated } of own) {
      if (dilated?.node === node && dilated.before) ends.delete(dilated.before.node);
      else if (dilated && dilated.node !== node) ends.delete(dilated.node);
    }
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
    return axes.map((axis, i) => throughKernel(before[i] ?? POINT, axis, node as Node));
  }
  if (!isChannelwise(node) && !isElementwise(node) && !isOp(node, 'Concat')) return fresh;
  const joined = dataOperands(node).filter((v) => v.type.shape.length === rank + 2);
  const [first = fresh, ...others] = joined.map((v) => sights.get(v) ?? fresh);
  return others.length === 0
    ? first
    : fresh.map((_, i) => others.reduce((a, b) => union(a, b[i] ?? POINT), first[i] ?? POINT));
}

function throughKernel(
  { seen: before, low, width: wide, dilated: run, factor }: Sight,
  { kernel, dilation }: { readonly kernel: number; readonly dilation: number },
  node: Node,
): Sight {
  if (kernel === 1) return { seen: before, low, width: wide, dilated: run, factor };
  const width = wide + (kernel - 1) * dilation;
  if (width > WIDEST) return POINT;
  let seen = 0n;
  for (let tap = 0; tap < kernel; tap++) seen |= before << BigInt(tap * dilation);
  return {
    seen,
    low: low - Math.floor(((kernel - 1) * dilation) / 2),
    width,
    dilated: dilation > 1 ? { node, before: run, length: (run?.length ?? 0) + 1 } : undefined,
    factor: dilation > 1 ? gcd(factor, dilation) : 0,
  };
}

/** Both paths; the run goes on along the longer. */
function union(a: Sight, b: Sight): Sight {
  const run = (b.dilated?.length ?? 0) > (a.dilated?.length ?? 0) ? b : a;
  const low = Math.min(a.low, b.low);
  return {
    seen: (a.seen << BigInt(a.low - low)) | (b.seen << BigInt(b.low - low)),
    low,
    width: Math.max(a.low + a.width, b.low + b.width) - low,
    dilated: run.dilated,
    factor: run.factor,
  };
}

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));
