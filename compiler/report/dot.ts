/** The network as a picture, in Graphviz' DOT: layers coloured by their share of the MACs, shapes on the edges. */
import type { AuditLayer, AuditReport } from '../audit-schema.ts';
import { displayNames, field, percent, plain, shape, short } from './format.ts';
import { signature, summary, title } from './summary.ts';

export interface DotOptions {
  /** Draw every node of the graph on its own; else an activation or other step without parameters joins its producer. */
  readonly every?: boolean;
}

export function renderDot(report: AuditReport, options: DotOptions = {}): string {
  const picture = arrange(report, options.every ?? false);
  const names = displayNames(report);
  const largest = Math.max(0, ...report.layers.map((l) => l.macsShare ?? 0));
  const lines = [
    'digraph network {',
    `  graph [rankdir=TB, bgcolor="#ffffff", pad=0.4, nodesep=0.3, ranksep=0.34, fontname="${FONT}", fontcolor="#1f2933", labelloc=t, labeljust=l, label=${heading(report)}];`,
    `  node [shape=plain, fontname="${FONT}", fontsize=11, fontcolor="#1f2933"];`,
    `  edge [fontname="${FONT}", fontsize=9, fontcolor="#7b8794", color="#9aa5b1", arrowsize=0.6, penwidth=1.1];`,
    ...report.inputs.map((v, i) => `  in${i} [label=${pill(v.name, shape(v.shape))}];`),
    ...picture.boxes.map(
      (box) => `  n${box.id} [label=${card(box, names, largest)}, tooltip=${quoted(box.layer.name)}];`,
    ),
    ...report.outputs.map((v, i) => `  out${i} [label=${pill(v.name, shape(v.shape))}];`),
    ...picture.edges.map(({ from, to, label }) => `  ${from} -> ${to} [label=${quoted(`  ${label}`)}];`),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

const FONT = 'Helvetica,Arial,sans-serif';

interface Box {
  readonly id: number;
  readonly layer: AuditLayer;
  /** Steps drawn in the same box, in order. */
  readonly steps: AuditLayer[];
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly label: string;
}

/** Boxes and edges: by default a step without parameters that only its producer feeds joins the producer's box. */
function arrange(report: AuditReport, every: boolean): { boxes: readonly Box[]; edges: readonly Edge[] } {
  const readers = new Map<string, number>();
  for (const layer of report.layers) {
    for (const name of layer.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  }
  for (const { name } of report.outputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const boxes: Box[] = [];
  const home = new Map<string, { node: string; box?: Box; shape: readonly number[] }>();
  report.inputs.forEach((v, i) => {
    home.set(v.name, { node: `in${i}`, shape: v.shape });
  });
  const edges: Edge[] = [];
  const connect = (name: string, to: string) => {
    const source = home.get(name);
    if (source) edges.push({ from: source.node, to, label: shape(source.shape) });
  };
  for (const layer of report.layers) {
    const [only = ''] = layer.inputs;
    const host = home.get(only)?.box;
    const joins =
      !every &&
      host !== undefined &&
      layer.inputs.length === 1 &&
      readers.get(only) === 1 &&
      layer.macs === 0 &&
      layer.parameters + layer.sharedParameters + layer.buffers === 0 &&
      shape(layer.outputShape) === shape(home.get(only)?.shape ?? []);
    const box = joins ? host : { id: boxes.length, layer, steps: [] };
    if (joins) box.steps.push(layer);
    else {
      boxes.push(box);
      for (const name of layer.inputs) connect(name, `n${box.id}`);
    }
    for (const v of layer.outputs) home.set(v.name, { node: `n${box.id}`, box, shape: v.shape });
  }
  report.outputs.forEach((v, i) => {
    connect(v.name, `out${i}`);
  });
  return { boxes, edges };
}

function heading(report: AuditReport): string {
  const figures = summary(report)
    .slice(0, 4)
    .filter((l) => l.label !== 'FLOPs')
    .map((l) => `${l.rounded || l.value} ${l.label}`)
    .join('   ·   ');
  return `<<table border="0" cellspacing="0" cellpadding="2"><tr><td align="left"><font point-size="20"><b>${html(title(report))}</b></font></td></tr><tr><td align="left"><font point-size="11" color="#52606d">${html(signature(report))}</font></td></tr><tr><td align="left"><font point-size="12">${html(figures)}</font></td></tr><tr><td align="left">${legend()}</td></tr><tr><td> </td></tr></table>>`;
}

function legend(): string {
  const steps = [0, 0.25, 0.5, 0.75, 1].map(
    (part) => `<td bgcolor="${shade(part)}" width="22" height="10" fixedsize="true"> </td>`,
  );
  return `<table border="0" cellspacing="0" cellpadding="0"><tr><td><font point-size="9" color="#7b8794">no MACs  </font></td>${steps.join('')}<td><font point-size="9" color="#7b8794">  largest share of MACs</font></td></tr></table>`;
}

function card(box: Box, names: ReadonlyMap<AuditLayer, string>, largest: number): string {
  const { layer } = box;
  const part = largest === 0 ? 0 : (layer.macsShare ?? 0) / largest;
  const ink = part > 0.62 ? '#ffffff' : '#1f2933';
  const faint = part > 0.62 ? '#ffe8d6' : '#52606d';
  const row = (text: string, size: number, colour: string, bold = false) =>
    `<tr><td align="center"><font point-size="${size}" color="${colour}">${bold ? `<b>${html(text)}</b>` : html(text)}</font></td></tr>`;
  const figures = [
    ...(layer.macs ? [`${short(layer.macs)} MAC · ${percent(layer.macsShare)}`] : []),
    ...(layer.parameters > 0 ? [`${short(layer.parameters)} params`] : []),
  ];
  const seen = layer.receptiveField === null ? [] : [`field ${field(layer)}`];
  const light = layer.macs === 0 && layer.parameters === 0;
  const rows = [
    row(layer.kind === layer.op ? layer.op : layer.label, light ? 10 : 12, ink, !light),
    ...(light ? [] : [row(ellipsis(names.get(layer) ?? layer.name, 38), 9, faint)]),
    ...(figures.length > 0 ? [row(figures.join('  ·  '), 10, ink)] : []),
    ...(light ? [] : seen.map((text) => row(text, 9, faint))),
    ...(box.steps.length > 0 ? [row(`→ ${box.steps.map((l) => l.op).join(' → ')}`, 10, ink)] : []),
  ];
  return `<<table border="1" color="${light ? '#cbd2d9' : '#9aa5b1'}" bgcolor="${shade(part)}" style="rounded" cellborder="0" cellspacing="0" cellpadding="${light ? 2 : 3}">${rows.join('')}</table>>`;
}

const pill = (name: string, size: string): string =>
  `<<table border="1" color="#52606d" bgcolor="#e4e7eb" style="rounded" cellborder="0" cellspacing="0" cellpadding="5"><tr><td><b>${html(name)}</b>  <font color="#52606d">${html(size)}</font></td></tr></table>>`;

/** From white for nothing through orange to deep red for the largest. */
function shade(part: number): string {
  if (part <= 0) return '#f8fafb';
  const stops: readonly (readonly [number, number, number])[] = [
    [255, 244, 230],
    [255, 205, 148],
    [247, 140, 74],
    [217, 72, 30],
    [158, 32, 20],
  ];
  const at = Math.sqrt(Math.min(1, part)) * (stops.length - 1);
  const low = stops[Math.floor(at)] ?? [0, 0, 0];
  const high = stops[Math.ceil(at)] ?? low;
  const mix = low.map((v, i) => Math.round(v + ((high[i] ?? v) - v) * (at % 1)));
  return `#${mix.map((v) => v.toString(16).padStart(2, '0')).join('')}`;
}

const ellipsis = (text: string, length: number): string =>
  [...text].length <= length ? text : `…${[...text].slice(1 - length).join('')}`;

/** Text for an HTML-like label. */
const html = (text: string): string => plain(text).replace(/[&<>"'[\]]/g, (c) => `&#${c.codePointAt(0)};`);

/** A DOT string. */
const quoted = (text: string): string => `"${plain(text).replace(/[\\"]/g, (c) => `\\${c}`)}"`;
