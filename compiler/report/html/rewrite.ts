/** What a rewrite did, as one page that needs no other file and no network. */
import type { RewriteReport } from '../../rewrite/schema.ts';
import { VERSION } from '../../version.ts';
import { microseconds } from '../footprint.ts';
import { bytes, grouped, percent, plain, short } from '../format.ts';
import { type RewriteBlock, rewriteBlocks } from '../rewrite.ts';
import { at, renderChart, type Scales } from './frame.ts';
import { html, type Markup, NOTHING, trusted } from './markup.ts';
import { STYLE } from './style.ts';

export function renderRewriteHtml(report: RewriteReport): string {
  const title = plain(report.model);
  const charts = [curveFigure(report), layersFigure(report)].filter((c) => c !== NOTHING);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="convolith ${VERSION}">
<title>${title}: rewritten</title>
<style>${trusted(STYLE)}${trusted(OWN)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="soft">rewritten: what was done, what it saves, and what it is off by</p>
</header>
<main>
${charts.length > 0 ? html`<section aria-labelledby="pictures"><h2 id="pictures">Pictures</h2><div class="figures">${charts}</div></section>` : NOTHING}
${rewriteBlocks(report, { explain: true }).map((block, i) => section(i === 0 ? { ...block, title: 'Totals' } : block))}
</main>
<footer><p class="soft">Made by convolith ${VERSION}.</p></footer>
</body>
</html>
`;
  return page.text;
}

const OWN = `
td.why { white-space: normal; min-width: 16rem; }
.curve { stroke: var(--k0); stroke-width: 1.6; fill: none; }
svg .was { fill: var(--line); }
`;

function section({ title, heads, rows, note }: RewriteBlock): Markup {
  const kindOf = (i: number): string => {
    const head = heads[i] ?? '';
    if (i === 0) return 'text name';
    if (head === 'why') return 'text why';
    return head.endsWith(':') ? '' : 'text';
  };
  const body =
    rows.length === 0
      ? NOTHING
      : html`<div class="scroll" role="region" tabindex="0" aria-label="${title}"><table><thead><tr>${heads.map(
          (head, i) => cellOf('th', kindOf(i), head.replace(/:$/, '')),
        )}</tr></thead><tbody>${rows.map(
          (row) => html`<tr>${row.map((cell, i) => cellOf('td', kindOf(i), cell))}</tr>`,
        )}</tbody></table></div>`;
  return html`<section><h2>${title}</h2>${body}${note ? html`<p class="soft">${note}.</p>` : ''}</section>`;
}

/** An empty head is no head. */
const cellOf = (tag: 'th' | 'td', kind: string, text: string): Markup =>
  tag === 'th' && text !== ''
    ? html`<th scope="col" class="${kind}">${text}</th>`
    : html`<td class="${kind}">${text}</td>`;

const QUANTITY = {
  macs: { title: 'MACs of the network', of: (p: Point) => p.macs, write: short },
  params: { title: 'parameters of the network', of: (p: Point) => p.parameters, write: short },
  bytes: { title: 'bytes moved by the network', of: (p: Point) => p.bytes, write: bytes },
  time: { title: 'predicted time of the network', of: (p: Point) => p.us ?? 0, write: microseconds },
} as const;

type Point = NonNullable<RewriteReport['curve']>['chosen'];

/** What is below this is nothing. */
const LEAST_ERROR = 1e-5;

function curveFigure({ curve }: RewriteReport): Markup {
  if (!curve) return NOTHING;
  const { title, of, write } = QUANTITY[curve.quantity];
  const points = curve.points.filter((p) => p.error >= LEAST_ERROR);
  const [first] = points;
  if (!first) return NOTHING;
  const all = [...points, curve.chosen].filter((p) => p.error >= LEAST_ERROR);
  const lowest = 10 ** Math.floor(Math.log10(Math.min(...all.map((p) => p.error))));
  const largest = Math.max(...curve.points.map(of), of(curve.chosen));
  const tell = (p: Point) =>
    `${grouped(p.macs)} MACs, ${bytes(p.bytes)} moved, ${percent(p.error)} of the variance lost`;
  const chart = renderChart({
    description: `least error at each cost: from ${percent(first.error)} of the variance at ${write(of(first))} on`,
    x: { title, domain: [0, largest * 1.04], scale: 'linear', write: (n) => (n === 0 ? '0' : write(n)) },
    panels: [
      {
        y: { title: 'part of the variance lost', domain: [lowest, 1], scale: 'log10', write: percent },
        draw: (scales: Scales) => [
          html`<path class="curve" d="${points.map((p, i) => `${i === 0 ? 'M' : 'L'}${at(scales.x(of(p)))} ${at(scales.y(p.error))}`).join('')}"/>`,
          ...points.map(
            (p) =>
              html`<circle class="k0" cx="${at(scales.x(of(p)))}" cy="${at(scales.y(p.error))}" r="3"><title>${tell(p)}</title></circle>`,
          ),
          ...[curve.chosen]
            .filter((p) => p.error >= LEAST_ERROR)
            .map(
              (p) =>
                html`<circle class="k1" cx="${at(scales.x(of(p)))}" cy="${at(scales.y(p.error))}" r="6"><title>chosen: ${tell(p)}</title></circle>`,
            ),
        ],
      },
    ],
  });
  return html`<figure><h3>What the network can reach</h3>${chart}<figcaption>The least error that is found at each cost, of all layers together, as they were when forms were chosen. <i class="k1 round"></i>is what was chosen: ${tell(curve.chosen)}.</figcaption></figure>`;
}

function layersFigure({ layers }: RewriteReport): Markup {
  const all = layers ?? [];
  const most = Math.max(0, ...all.map((l) => l.before.macs));
  if (most === 0) return NOTHING;
  const chart = renderChart({
    description: `MACs of ${all.length} convolutions before and after`,
    x: {
      title: 'number of the convolution',
      domain: [0.5, all.length + 0.5],
      scale: 'linear',
      write: (n) => (Number.isInteger(n) && n > 0 ? String(n) : ''),
    },
    panels: [
      {
        y: {
          title: 'MACs',
          domain: [0, most * 1.04],
          scale: 'linear',
          write: (n) => (n === 0 ? '0' : short(n)),
        },
        draw: (scales: Scales) => {
          const width = Math.max(1.2, Math.min(24, (scales.x(2) - scales.x(1)) * 0.8));
          const bar = (kind: string, i: number, value: number, text: string) => {
            const top = Math.min(scales.y(value), scales.bottom - 1);
            return html`<rect class="${kind}" x="${at(scales.x(i + 1) - width / 2)}" y="${at(top)}" width="${at(width)}" height="${at(scales.bottom - top)}"><title>${text}</title></rect>`;
          };
          return all.flatMap(({ layer, before, form }, i) => {
            const after = form?.after.macs ?? before.macs;
            const told = `${i + 1} ${plain(layer)}: ${short(before.macs)} → ${short(after)}${form ? `, ${form.method}, ${form.rank}` : ', as it was'}`;
            return [bar('was', i, before.macs, told), bar(form ? 'k0' : 'k5', i, after, told)];
          });
        },
      },
    ],
  });
  return html`<figure><h3>Convolutions before and after</h3>${chart}<figcaption>Pale: MACs as they were. <i class="k0"></i>factorised, <i class="k5"></i>as it was.</figcaption></figure>`;
}
