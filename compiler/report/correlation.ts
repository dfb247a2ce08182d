/** `audit --correlation` for a terminal, and as data. */
import type { Node } from '#ir/graph.ts';
import type { CorrelationBasis } from '#passes/analysis/filter-correlation.ts';
import { type CorrelationReport, clearest, excess } from '../audit/correlation.ts';
import { type Column, renderColumns } from './columns.ts';
import { counted, percent, plain } from './format.ts';
import { wrap } from './wrap.ts';

export function renderCorrelation(
  report: CorrelationReport,
  { width = 100 }: { readonly width?: number } = {},
): string {
  const columns: Column[] = SCORE_TITLES.map((title) => ({ title, align: 'right' }));
  const rows = scoreRows(report);
  const blocks = [
    wrap(`${plain(report.layer)}, ${subject(report)}`, width),
    rows.length === 0 ? '' : renderColumns(columns, rows, { width }),
    wrap(verdict(report), width),
    rows.length === 0 ? '' : wrap(LEGEND, width),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}

/** Without the matrix. */
export function correlationAsJson(report: CorrelationReport): string {
  const { layer, matrix, basis, scores } = report;
  const data = {
    layer,
    outputChannels: matrix.rows,
    inputChannels: matrix.columns,
    basis: basis.kind === 'filters' ? { kind: basis.kind, producer: basis.producer.name } : basis,
    scores: scores.map(({ groups, given, found, shuffled }) => ({
      groups,
      given,
      found: found.share,
      shuffled,
      chance: 1 / groups,
      outputGroups: found.ofRows,
      inputGroups: found.ofColumns,
    })),
  };
  return `${JSON.stringify(data, null, 2)}\n`;
}

export const SCORE_TITLES = ['groups', 'as given', 'best order', 'shuffled', 'chance'] as const;

export const scoreRows = ({ scores }: CorrelationReport): readonly (readonly string[])[] =>
  scores.map(({ groups, given, found, shuffled }) => [
    String(groups),
    ...[given, found.share, shuffled, 1 / groups].map(percent),
  ]);

export const LEGEND =
  'Part of the squared correlation inside so many equal blocks on the diagonal: with channels in the order of the model, and in the best order found. Shuffled: the best order found of the same numbers, shuffled within each output channel. Chance: what blocks hold of a matrix without structure, in its order.';

/** What the matrix is of. */
export const subject = ({ matrix, basis }: CorrelationReport): string =>
  `${counted(matrix.rows, 'output channel')} of ${counted(matrix.columns, 'input channel')}: ${basisText(basis)}`;

function basisText(basis: CorrelationBasis): string {
  switch (basis.kind) {
    case 'responses':
      return `correlation of what the layer makes with what it reads, over ${counted(basis.samples, 'sample')}`;
    case 'filters':
      return `correlation of its filters with those of ${nameOf(basis.producer)}, for an input whose elements are uncorrelated`;
    case 'kernels':
      return `norms of its kernels by those of their filters; ${plain(basis.because)}, so input channels count as uncorrelated`;
  }
}

const nameOf = (node: Node): string => plain(node.name);

/** What the scores come to. */
export function verdict(report: CorrelationReport): string {
  const score = clearest(report);
  if (!score) return 'The channels divide into none of 2, 4, 8 and 16 groups.';
  const { groups, found, shuffled } = score;
  return excess(score) < CLEAR
    ? 'No order of the channels has blocks that stand out: a search finds as much where there is no structure.'
    : `Clearest are ${groups} groups: blocks hold ${percent(found.share)} where a search without structure finds ${percent(shuffled)}; ${percent(1 - found.share)} would be cut.`;
}

/** Excess over shuffled numbers from which blocks are called clear. */
const CLEAR = 0.05;
