/** The heat map of a correlation: as a page, or as a picture alone. */
import { type CorrelationReport, clearest } from '../../audit/correlation.ts';
import { VERSION } from '../../version.ts';
import { LEGEND, SCORE_TITLES, scoreRows, subject, verdict } from '../correlation.ts';
import { counted, percent } from '../format.ts';
import { type HeatPanel, renderHeatMap, STANDALONE } from './heat-map.ts';
import { html, type Markup, NOTHING, trusted } from './markup.ts';
import { STYLE } from './style.ts';

export function renderCorrelationHtml(report: CorrelationReport): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="convolith ${VERSION}">
<title>${report.layer}: correlation of filters</title>
<style>${trusted(STYLE)}${trusted(WIDE)}</style>
</head>
<body>
<header>
<h1>${report.layer}</h1>
<p class="soft">${subject(report)}.</p>
</header>
<main>
<p>${verdict(report)}</p>
<figure><div class="scroll" role="region" tabindex="0" aria-label="heat maps">${heatMap(report)}</div>
<figcaption>White frames are the blocks that groups would keep.</figcaption></figure>
${scores(report)}
</main>
<footer><p class="soft">Made by convolith ${VERSION}.</p></footer>
</body>
</html>
`;
  return page.text;
}

export function renderCorrelationSvg(report: CorrelationReport): string {
  const { text } = heatMap(report);
  const head = html`<title>${report.layer}</title><style>${trusted(STANDALONE)}</style>`;
  return `${text.replace('<defs>', () => `${head.text}<defs>`)}\n`;
}

/** Twice as wide as the other charts, for two pictures side by side. */
const WIDE = 'figure svg { max-width: 62rem; min-width: 38rem; }';

function heatMap(report: CorrelationReport): Markup {
  const { matrix, scores: all } = report;
  const score = clearest(report);
  const inOrder = (size: number) => Array.from({ length: size }, (_, i) => i);
  const holds = (share: number) =>
    score ? `${score.groups} blocks hold ${percent(share)} of the squared correlation` : '';
  const given: HeatPanel = {
    title: 'Channels in the order of the model',
    subtitle: score ? holds(score.given) : '',
    matrix,
    rows: inOrder(matrix.rows),
    columns: inOrder(matrix.columns),
    blocks: score?.groups ?? 1,
  };
  const found: readonly HeatPanel[] = score
    ? [
        {
          title: `In the best order found for ${score.groups} groups`,
          subtitle: holds(score.found.share),
          matrix,
          rows: grouped(score.found.ofRows),
          columns: grouped(score.found.ofColumns),
          blocks: score.groups,
        },
      ]
    : [];
  const told = all.map(({ groups, found: { share } }) => `${groups} groups ${percent(share)}`).join(', ');
  return renderHeatMap({
    description: `${report.layer}: ${subject(report)}; blocks hold of the squared correlation, in the best orders found: ${told}`,
    panels: [given, ...found],
    across: counted(matrix.columns, 'input channel'),
    down: counted(matrix.rows, 'output channel'),
  });
}

/** Which stand where if those of a group stand together. */
const grouped = (groups: readonly number[]): readonly number[] =>
  groups.map((_, i) => i).sort((a, b) => (groups[a] ?? 0) - (groups[b] ?? 0) || a - b);

function scores(report: CorrelationReport): Markup {
  const rows = scoreRows(report);
  if (rows.length === 0) return NOTHING;
  return html`<section><h2>Scores</h2><p class="soft">${LEGEND}</p><div class="scroll" role="region" tabindex="0" aria-label="scores"><table><thead><tr>${SCORE_TITLES.map(
    (title) => html`<th scope="col">${title}</th>`,
  )}</tr></thead><tbody>${rows.map(
    (row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table></div></section>`;
}
