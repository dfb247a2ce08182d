/** Findings: what is worth saying about a network, each with its evidence, the most valuable first. */
import { FINDINGS, type FindingCode } from '#ir/finding-catalogue.ts';
import { batchNormUnfolded } from './batch-norm-unfolded.ts';
import { branchesMergeable } from './branches-mergeable.ts';
import { checkerboard } from './checkerboard.ts';
import { filtersDead } from './filters-dead.ts';
import {
  type FindingContext,
  type FindingRule,
  type Places,
  type Saving,
  saving,
  shareOf,
} from './finding.ts';
import { gridding } from './gridding.ts';
import { groupsNarrow } from './groups-narrow.ts';
import { kernelsDense } from './kernels-dense.ts';
import { kernelsRank1 } from './kernels-rank-1.ts';
import { lanesUnfilled } from './lanes-unfilled.ts';
import { pastBorder } from './past-border.ts';
import { pathsMisaligned } from './paths-misaligned.ts';
import { permutationsRemovable } from './permutations-removable.ts';
import { weightsDuplicated } from './weights-duplicated.ts';

export { FINDINGS, type FindingCode } from '#ir/finding-catalogue.ts';
export type { FindingContext, Saving } from './finding.ts';

export interface Finding {
  readonly code: FindingCode;
  /** Names of nodes. */
  readonly layers: readonly string[];
  /** One line, with names as people read them. */
  readonly message: string;
  readonly saves: Saving;
  /** The largest share that this is of the network's MACs, parameters or traffic. */
  readonly share: number;
  /** The passes by which `rewrite` and `compile` act on it. */
  readonly passes?: readonly string[];
  /** The command that acts on it, `MODEL` being the file; null where only people can. */
  readonly command: string | null;
  /** Where it holds, with the figures that say so. */
  readonly places: readonly {
    readonly layers: readonly string[];
    readonly evidence: Readonly<Record<string, number>>;
    readonly saves: Saving;
  }[];
}

/** The list of rules; among findings of equal value the order is this. */
export const RULES: { readonly [C in FindingCode]: FindingRule } = {
  checkerboard,
  gridding,
  'paths-misaligned': pathsMisaligned,
  'kernels-dense': kernelsDense,
  'groups-narrow': groupsNarrow,
  'batch-norm-unfolded': batchNormUnfolded,
  'branches-mergeable': branchesMergeable,
  'lanes-unfilled': lanesUnfilled,
  'permutations-removable': permutationsRemovable,
  'weights-duplicated': weightsDuplicated,
  'kernels-rank-1': kernelsRank1,
  'filters-dead': filtersDead,
  'past-border': pastBorder,
};

/** What saves something, but less than this share of everything, is not worth a word. */
const LEAST_SHARE = 0.001;

export const FINDING_CODES = Object.keys(FINDINGS) as readonly FindingCode[];

export interface FindingOptions {
  readonly ignore?: readonly FindingCode[];
}

/** All findings of a graph, one for each rule that holds somewhere. What spoils results comes first, then what saves most. */
export function findings(context: FindingContext, { ignore = [] }: FindingOptions = {}): readonly Finding[] {
  const found = FINDING_CODES.filter((code) => !ignore.includes(code)).flatMap((code) => {
    const rule = RULES[code];
    if (rule.ofSizes && !context.sizesKnown) return [];
    const [first, ...more] = [...rule.find(context)].sort(
      (a, b) => shareOf(b.saves, context) - shareOf(a.saves, context),
    );
    if (!first) return [];
    const finding = findingOf(code, rule, [first, ...more], context);
    return finding.share > 0 && finding.share < LEAST_SHARE ? [] : [finding];
  });
  const rank = (f: Finding) => (RULES[f.code].spoils ? 1 : 0);
  return found.sort((a, b) => rank(b) - rank(a) || b.share - a.share);
}

function findingOf(code: FindingCode, rule: FindingRule, places: Places, context: FindingContext): Finding {
  const sum = (key: keyof Saving) => places.reduce((total, { saves }) => total + saves[key], 0);
  const saves = saving({ macs: sum('macs'), parameters: sum('parameters'), bytes: sum('bytes') });
  const listed = places.map((place) => ({
    layers: place.nodes.map((n) => n.name),
    evidence: place.evidence,
    saves: place.saves,
  }));
  return {
    code,
    layers: [...new Set(listed.flatMap((p) => p.layers))],
    message: rule.describe(places, context),
    saves,
    share: shareOf(saves, context),
    ...(rule.passes ? { passes: rule.passes } : {}),
    command: rule.command,
    places: listed,
  };
}
