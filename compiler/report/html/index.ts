/** The audit as one page: a file that needs no other, and no network. */

import { FINDINGS } from '#ir/finding-catalogue.ts';
import { atExample } from '../../audit/example.ts';
import type { AuditLayer, AuditReport } from '../../audit/schema.ts';
import { VERSION } from '../../version.ts';
import { budgetRows } from '../budget.ts';
import { footprintLines, microseconds, rooflineLines } from '../footprint.ts';
import {
  bytes,
  counted,
  countedShare,
  displayNames,
  field,
  grouped,
  isMoving,
  isWeighty,
  percent,
  ratio,
  shape,
  units,
} from '../format.ts';
import { openSizes, sizesText } from '../formula.ts';
import {
  countLines,
  exampleNotes,
  isCountedOtherwise,
  type SummaryLine,
  signature,
  summary,
  title,
} from '../summary.ts';
import { figures, kindColours } from './charts.ts';
import { type Content, html, type Markup, NOTHING, trusted } from './markup.ts';
import { layerLink } from './roofline.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

export function renderHtml(given: AuditReport): string {
  const report = atExample(given);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="convolith ${VERSION}">
<title>${title(report)}: audit</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<header>
<h1>${title(report)}</h1>
<p class="soft">${signature(report)}</p>
${exampleNotes(report).map((note) => html`<p>${note}.</p>`)}
</header>
<main>
${facts(report)}
${counting(report)}
${budget(report)}
${findings(report)}
<section aria-labelledby="pictures"><h2 id="pictures">Pictures</h2>${atSizes(report)}<div class="figures">${figures(
    report,
  ).map(
    ({ title: name, chart, caption }) =>
      html`<figure><h3>${name}</h3>${chart}<figcaption>${caption}</figcaption></figure>`,
  )}</div></section>
${kinds(report)}
${compiled(report)}
${layers(report)}
${notes(report)}
</main>
<script>${trusted(SCRIPT)}</script>
</body>
</html>
`;
  return page.text;
}

/** Where sizes are missing: which ones the pictures and tables below are at. */
function atSizes(report: AuditReport): Content {
  const sizes = openSizes(report);
  return sizes.some(({ example }) => example) ? html`<p class="soft">At ${sizesText(sizes)}.</p>` : '';
}

const facts = (report: AuditReport): Markup =>
  html`<dl class="facts">${summary(report).map(
    ({ label, value, rounded, note }) =>
      html`<div><dt>${label}</dt><dd>${rounded || value}${rounded ? html`<small>${value}</small>` : ''}${note ? html`<small>${note}</small>` : ''}</dd></div>`,
  )}</dl>`;

function counting(report: AuditReport): Markup {
  if (!isCountedOtherwise(report)) return NOTHING;
  const { name, says } = report.preset;
  return html`<section><h2>Counted as ${name}</h2><p class="soft">${says}.</p>${table(
    ['tool', 'exact:', 'rounded:', 'unit'],
    countLines(report).map((l) => [
      l.chosen ? html`<strong>${l.preset}</strong>` : l.preset,
      l.value,
      l.rounded,
      l.units,
    ]),
  )}</section>`;
}

function budget({ budget: results }: AuditReport): Markup {
  if (!results || results.length === 0) return NOTHING;
  return html`<section><h2>Budget</h2>${table(
    ['limit', '', 'allowed:', 'actual:'],
    budgetRows(results).map(({ text, limit, actual, verdict, met }) => [
      html`<code>${text}</code>`,
      met ? verdict : html`<span class="bad">${verdict}</span>`,
      limit,
      actual,
    ]),
  )}</section>`;
}

function findings(report: AuditReport): Markup {
  if (report.findings.length === 0 && report.moreFindings === 0) return NOTHING;
  const byName = new Map(report.layers.map((layer) => [layer.name, layer]));
  const more = report.moreFindings > 0 ? `${counted(report.moreFindings, 'more finding')}.` : '';
  return html`<section><h2>Findings</h2><ul class="findings">${report.findings.map(
    ({ code, message, layers: names, command }) => {
      const places = names.flatMap((name) => byName.get(name) ?? []);
      const shown = places
        .slice(0, MOST_LINKS)
        .map((layer, i) => html`${i > 0 ? ', ' : ''}${layerLink(report, layer)}`);
      const rest = places.length > MOST_LINKS ? ` and ${places.length - MOST_LINKS} more` : '';
      return html`<li><strong>${FINDINGS[code].title}.</strong> ${sentence(message)}<br><span class="soft">${sentence(FINDINGS[code].hint)}</span>${command === null ? '' : html`<br><code>${command}</code>`}${
        places.length > 0 ? html`<br><span class="soft">At ${shown}${rest}</span>` : ''
      } <code>${code}</code></li>`;
    },
  )}</ul>${more ? html`<p class="soft">${more}</p>` : ''}</section>`;
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const MOST_LINKS = 6;

function kinds(report: AuditReport): Markup {
  const colour = kindColours(report);
  const rows = report.byKind.filter((k) => k.macs !== 0 || k.parameters > 0);
  if (rows.length === 0) return NOTHING;
  const composites = report.byComposite;
  return html`<section><h2>By kind</h2>${table(
    ['kind', 'layers:', 'MACs:', 'share:', '', 'parameters:'],
    rows.map((k) => [
      html`<i class="${colour(k.kind)}"></i>${k.kind}`,
      String(k.layers),
      grouped(k.macs),
      percent(k.macsShare),
      bar(k.macsShare),
      grouped(k.parameters),
    ]),
  )}${
    composites.length === 0
      ? ''
      : html`<h2>Composites</h2>${table(
          ['composite', 'times:', 'nodes:', 'MACs:', 'share:', 'parameters:'],
          composites.map((c) => [
            c.kind,
            String(c.composites),
            String(c.layers),
            grouped(c.macs),
            percent(c.macsShare),
            grouped(c.parameters),
          ]),
        )}`
  }</section>`;
}

const bar = (part: number | null): Markup =>
  html`<span class="bar" style="width:${(8 * (part ?? 0)).toFixed(2)}em"></span>`;

function compiled(report: AuditReport): Markup {
  const { footprint, roofline } = report;
  const titled = (heading: string, lines: readonly SummaryLine[], below: Content): Markup =>
    html`<section><h2>${heading}</h2>${table(
      ['', 'exact:', 'rounded:', 'remark'],
      lines.map(({ label, value, rounded, note }) => [label, value, rounded, note]),
      heading,
    )}${below}</section>`;
  return html`${footprint ? titled('Compiled', footprintLines(report, footprint), '') : ''}${
    roofline
      ? titled(
          `Predicted on ${roofline.device}`,
          rooflineLines(roofline).lines,
          html`<p class="soft">${sentence(roofline.source)}</p>`,
        )
      : ''
  }`;
}

/** Every layer that costs something; where there are times, those too. */
function layers(report: AuditReport): Markup {
  const names = displayNames(report);
  const times = new Map(report.roofline?.layers.map((l) => [l.layer, l]));
  const cell = (text: string, value: number | null, kind = ''): Markup =>
    html`<td class="${kind}" data-value="${value ?? -1}">${text}</td>`;
  const row = (layer: AuditLayer, i: number): Markup => {
    const time = times.get(layer.name);
    return html`<tr id="layer-${i + 1}">${cell(String(i + 1), i + 1)}<td class="text name">${names(layer)}</td><td class="text">${layer.label}</td><td class="text">${shape(layer.outputShape)}</td>${cell(
      grouped(layer.counted),
      layer.counted,
    )}${cell(percent(countedShare(layer, report)), countedShare(layer, report))}${cell(
      grouped(layer.parameters),
      layer.parameters,
    )}${cell(field(layer), firstSize(layer))}${cell(ratio(layer.intensity), layer.intensity)}${cell(
      bytes(layer.liveBytes),
      layer.liveBytes,
    )}${report.roofline ? cell(time ? `${microseconds(time.us)} ${time.bound}` : '', time?.us ?? null) : ''}</tr>`;
  };
  const heads = [
    ['#', ''],
    ['layer', 'text'],
    ['kind', 'text'],
    ['output', 'text'],
    [units(report), ''],
    ['share', ''],
    ['parameters', ''],
    ['field', ''],
    ['FLOP/B', ''],
    ['live', ''],
    ...(report.roofline ? [['predicted', '']] : []),
  ] as const;
  const idle = report.layers.length - report.layers.filter(isWeighty).length;
  return html`<section aria-labelledby="all"><h2 id="all">Layers</h2>${atSizes(report)}<p class="soft">${
    idle > 0
      ? `${counted(idle, 'node')} of ${report.layers.length} have neither ${units(report)} nor parameters.`
      : ''
  } Press the title of a column to sort by it.</p><div class="scroll" role="region" tabindex="0" aria-label="table of layers"><table id="layers"><thead><tr>${heads.map(
    ([name, kind]) =>
      html`<th scope="col" class="${kind ?? ''}"><button type="button">${name ?? ''}</button></th>`,
  )}</tr></thead><tbody>${report.layers.map(row)}</tbody></table></div></section>`;
}

const firstSize = ({ receptiveField, localReceptiveField }: AuditLayer): number | null => {
  const axes = receptiveField === 'global' ? localReceptiveField : receptiveField;
  const [first] = axes ?? [];
  if (first !== undefined && isMoving(first)) return first.size;
  return receptiveField === 'global' ? Infinity : null;
};

const notes = (report: AuditReport): Markup =>
  html`<section><h2>Conventions</h2><ul class="findings">${Object.entries(report.conventions).map(
    ([word, meaning]) => html`<li><strong>${word}</strong>: ${meaning}</li>`,
  )}${report.diagnostics.map((d) => html`<li>${d.kind}: ${d.message}</li>`)}</ul><p class="soft">Made by convolith ${VERSION}.</p></section>`;

/** A title that ends in a colon is of a column of numbers. */
function table(titles: readonly string[], rows: readonly (readonly Content[])[], heading = ''): Markup {
  const kind = (name: string | undefined) => (name?.endsWith(':') ? '' : 'text');
  const label = [heading, ...titles]
    .filter((name) => name !== '')
    .join(', ')
    .replaceAll(':', '');
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${label}"><table><thead><tr>${titles.map(
    (name) =>
      name === ''
        ? html`<td></td>`
        : html`<th scope="col" class="${kind(name)}">${name.replace(/:$/, '')}</th>`,
  )}</tr></thead><tbody>${rows.map(
    (row) => html`<tr>${row.map((cell, i) => html`<td class="${kind(titles[i])}">${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}
