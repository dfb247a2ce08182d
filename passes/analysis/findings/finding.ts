/** What a rule of the findings is given, and what it gives. */
import type { ConvClass } from '#ir/conv-kind.ts';
import type { Graph, Node } from '#ir/graph.ts';
import type { Composite } from '../composites.ts';
import type { GraphCost } from '../cost.ts';
import type { ReceptiveFields } from '../receptive-field.ts';

export interface FindingContext {
  readonly graph: Graph;
  readonly cost: GraphCost;
  readonly fields: ReceptiveFields;
  readonly classes: ReadonlyMap<Node, ConvClass>;
  readonly composites: readonly Composite[];
  /** Are the sizes of the graph those that are asked about? Else MACs and bytes say nothing. */
  readonly sizesKnown: boolean;
  /** What people call a layer. */
  name(node: Node): string;
}

/** What acting on a finding would save. */
export interface Saving {
  /** Those that empty lanes compute count too. */
  readonly macs: number;
  readonly parameters: number;
  /** Bytes of activations and weights that are read and written. */
  readonly bytes: number;
}

export const saving = (parts: Partial<Saving> = {}): Saving => ({
  macs: 0,
  parameters: 0,
  bytes: 0,
  ...parts,
});

/** One place where a rule holds. */
export interface Place {
  readonly nodes: readonly Node[];
  readonly evidence: Readonly<Record<string, number>>;
  readonly saves: Saving;
}

/** At least one, the one that saves most first. */
export type Places = readonly [Place, ...Place[]];

export interface FindingRule {
  /** Does what it says depend on the sizes of the input? */
  readonly ofSizes: boolean;
  /** Does it spoil what the network computes, and not only cost? These come first. */
  readonly spoils?: true;
  /** The passes by which `rewrite` and `compile` act on it. */
  readonly passes?: readonly string[];
  /** The command that acts on it, `MODEL` being the file; null where only people can. */
  readonly command: string | null;
  find(context: FindingContext): readonly Place[];
  /** One line about all places. */
  describe(places: Places, context: FindingContext): string;
}

/** Rewrites exactly, by all passes that find something to do. */
export const REWRITE = 'convolith rewrite MODEL -o rewritten.onnx';

export const defineRule = (rule: FindingRule): FindingRule => rule;

/** The sum of one figure over places. */
export const total = (places: readonly Place[], of: (place: Place) => number): number =>
  places.reduce((sum, place) => sum + of(place), 0);

export const evidence = (place: Place, key: string): number => place.evidence[key] ?? 0;

/** The largest of the shares that a saving has of the network's MACs, parameters and traffic. */
export function shareOf({ macs, parameters, bytes }: Saving, { cost: { totals } }: FindingContext): number {
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  return Math.max(
    share(macs, totals.macs),
    share(parameters, totals.parameters),
    share(bytes, totals.bytesRead + totals.bytesWritten),
  );
}

/** `is` for one place, `are` for more. */
export const verb = (places: readonly unknown[], one: string, more: string): string =>
  places.length === 1 ? one : more;
