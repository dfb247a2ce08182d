/**
 * The network as a picture, in Graphviz' DOT: layers coloured by their share of the MACs, edges as thick as they carry
 * bytes, frames around composites and modules.
 */
import { atExample } from '../../audit/example.ts';
import type { AuditLayer, AuditReport } from '../../audit/schema.ts';
import { bytes, counted, displayNames, field, percent, plain, shape, short } from '../format.ts';
import { openSizes, sizesText } from '../formula.ts';
import { signature, summary, title } from '../summary.ts';
import { arrange, type Box, type BoxOptions, type Edge, idOf } from './boxes.ts';
import { type Frame, type FrameTree, framesOf } from './frames.ts';

export type DotOptions = BoxOptions;

/** Plain labels only: Graphviz as WebAssembly is built without HTML-like ones. */
export function renderDot(given: AuditReport, options: DotOptions = {}): string {
  const report = atExample(given);
  const { boxes, edges } = arrange(report, options);
  const names = displayNames(report);
  const largest = Math.max(0, ...boxes.map((box) => sums(box).share ?? 0));
  const busy = edges.length - boxes.length > BUSY;
  const width = widths(edges);
  const pill = (name: string, sizes: readonly number[]) =>
    `[class=io, label=${quoted([name, shape(sizes)])}, fillcolor="#323f4b", color="#323f4b", fontcolor="#ffffff"]`;
  const arrow = (edge: Edge) => {
    const label = busy ? [] : [`label=${quoted([`${EDGE_GAP}${shape(edge.shape)}`])}`];
    const [pen, head] = [width(edge), 0.5 + 0.16 * width(edge)].map((n) => n.toFixed(2));
    return `  ${edge.from} -> ${edge.to} [${[`penwidth=${pen}, arrowsize=${head}`, ...label].join(', ')}];`;
  };
  let clusters = 0;
  const drawn = ({ frame, frames, boxes: own }: FrameTree, indent: string): readonly string[] => {
    const deeper = frame ? `${indent}  ` : indent;
    const inside = [
      ...frames.flatMap((tree) => drawn(tree, deeper)),
      ...own.map((box) => `${deeper}${idOf(box)} ${card(box, names, largest, busy)};`),
    ];
    if (!frame) return inside;
    return [
      `${indent}subgraph cluster_${clusters++} {`,
      `${deeper}${border(frame)}`,
      ...inside,
      `${indent}}`,
    ];
  };
  const lines = [
    'digraph network {',
    `  graph [rankdir=TB, newrank=true, bgcolor="#ffffff", pad=0.35, nodesep=0.3, ranksep=0.36, fontname=Helvetica, fontsize=13, fontcolor="#1f2933", labelloc=t, labeljust=c, label=${quoted([...heading(report, edges), ' '])}${busy ? ', nslimit=1, nslimit1=1, mclimit=0.1' : ''}];`,
    '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11, margin="0.24,0.07", height=0.2];',
    '  edge [fontname=Helvetica, fontsize=9, fontcolor="#616e7c", color="#9aa5b1"];',
    ...report.inputs.map((v, i) => `  in${i} ${pill(v.name, v.shape)};`),
    ...drawn(framesOf(report, boxes, edges), '  '),
    ...report.outputs.map((v, i) => `  out${i} ${pill(v.name, v.shape)};`),
    ...edges.map(arrow),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

/** With more edges than this beyond those of a chain, layout would take minutes: shapes move from the edges to the boxes. */
const BUSY = 120;

/** Between an edge and its label; no-break spaces, as SVG drops others. */
const EDGE_GAP = '\u00a0'.repeat(5);

function heading(report: AuditReport, edges: readonly Edge[]): readonly string[] {
  const figures = summary(report)
    .slice(0, 4)
    .filter((l) => l.label === 'MACs' || l.label === 'parameters')
    .map((l) => `${l.rounded || l.value} ${l.label}`);
  const legend = report.totals.macs ? ['the darker, the more MACs'] : [];
  const open = openSizes(report);
  const at = open.some(({ example }) => example) ? [`at ${sizesText(open)}`] : [];
  const sizes = edges.map((edge) => edge.bytes);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const flow = least < most ? [`edges by their bytes, ${bytes(least)} to ${bytes(most)}, logarithmic`] : [];
  return [title(report), signature(report), [...figures, ...legend].join('  ·  '), ...at, ...flow];
}

/** By the logarithm of the bytes. */
function widths(edges: readonly Edge[]): (edge: Edge) => number {
  const logs = edges.map((edge) => Math.log2(Math.max(1, edge.bytes)));
  const [least, most] = [Math.min(...logs), Math.max(...logs)];
  return (edge) => {
    const part = most > least ? (Math.log2(Math.max(1, edge.bytes)) - least) / (most - least) : 0.25;
    return THIN + (THICK - THIN) * part;
  };
}

const THIN = 0.6;
const THICK = 4;

interface Sums {
  readonly macs: number | null;
  readonly share: number | null;
  readonly parameters: number;
  readonly shared: number;
}

const plus = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a + b);

const sums = ({ layers }: Pick<Box, 'layers'>): Sums =>
  layers.reduce<Sums>(
    (sum, l) => ({
      macs: plus(sum.macs, l.macs),
      share: plus(sum.share, l.macsShare),
      parameters: sum.parameters + l.parameters,
      shared: sum.shared + l.sharedParameters,
    }),
    { macs: 0, share: 0, parameters: 0, shared: 0 },
  );

/** A line below the name of a frame, which the arrows to what is in it end in. */
const ROOM = ' ';

function border({ module, composite, boxes }: Frame): string {
  const { macs } = sums({ layers: [...boxes].flatMap((box) => box.layers) });
  const label = [
    ...(module === undefined ? [] : [ellipsis(module, 40)]),
    ...(composite === undefined ? [] : [composite]),
    ...(macs ? [`${short(macs)} MAC`] : []),
  ];
  const [line, fill] = composite === undefined ? ['#cbd2d9', '#fafbfc'] : ['#9fb3c8', '#f0f4f8'];
  return `graph [class=${composite === undefined ? 'module' : 'composite'}, style="rounded,filled", color="${line}", fillcolor="${fill}", fontsize=10.5, fontcolor="#52606d", labeljust=l, margin=9, label=${quoted([label.join('  ·  '), ROOM])}];`;
}

function card(box: Box, names: (layer: AuditLayer) => string, largest: number, withShape: boolean): string {
  const { macs, share, parameters, shared } = sums(box);
  const light = macs === 0 && parameters + shared === 0;
  const part = largest === 0 ? 0 : (share ?? 0) / largest;
  const costs = [
    ...(macs ? [`${short(macs)} MAC, ${percent(share)}`] : []),
    ...(parameters > 0 ? [`${short(parameters)} params`] : []),
  ];
  const label = [
    ...(box.module === undefined ? layerLines(box, names, light, withShape) : moduleLines(box)),
    ...(costs.length > 0 ? [costs.join(' · ')] : []),
    ...lastLines(box, light),
  ];
  const ink = part > 0.35 ? '#ffffff' : '#1f2933';
  const edge = light || part === 0 ? '#9aa5b1' : shade(Math.min(1, part + 0.25));
  const kind = box.module === undefined ? (light ? 'light' : 'layer') : 'module';
  const tip = box.module ?? box.layers[0]?.name ?? '';
  return `[class=${kind}, label=${quoted(label)}, tooltip=${quoted([tip])}, fillcolor="${shade(part)}", color="${edge}", fontcolor="${ink}"]`;
}

function layerLines(
  { layers }: Box,
  names: (layer: AuditLayer) => string,
  light: boolean,
  withShape: boolean,
): readonly string[] {
  return layers.flatMap((layer) => [
    layer.kind === layer.op ? layer.op : layer.label,
    ...(light ? [] : [ellipsis(names(layer), 34)]),
    ...(withShape ? [shape(layer.outputShape)] : []),
  ]);
}

/** What a module is called, how much is in it, and what it gives. */
function moduleLines({ module = '', layers, steps }: Box): readonly string[] {
  const kinds = [...new Set(layers.map((l) => l.composite?.replace(/-\d+$/, '') ?? ''))];
  const whole = kinds.length > 2 || kinds.includes('') ? [] : [kinds.join(' + ')];
  return [
    ellipsis(module, 34),
    [counted(layers.length + steps.length, 'node'), ...whole].join(', '),
    shape(layers.at(-1)?.outputShape ?? []),
  ];
}

const lastLines = ({ layers, steps, module }: Box, light: boolean): readonly string[] => {
  const last = layers.at(-1);
  const seen = light || !last || last.receptiveField === null ? [] : [`field ${field(last)}`];
  return [...seen, ...(module === undefined ? stepNames(steps).map((step) => `→ ${step}`) : [])];
};

/** x·f(x), as exporters spell hard swish and swish, is one step. */
const stepNames = (steps: readonly AuditLayer[]): readonly string[] =>
  steps
    .map(({ op }) => op)
    .join(' ')
    .replaceAll('Add Clip Mul Div', 'x·Clip')
    .replaceAll('Add Clip Div Mul', 'x·Clip')
    .replaceAll('Sigmoid Mul', 'x·Sigmoid')
    .split(' ')
    .filter((name) => name !== '');

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

/** A DOT string of lines, without escapes of its own. */
const quoted = (lines: readonly string[]): string =>
  `"${lines.map((line) => plain(line).replace(/[\\"]/g, (c) => `\\${c}`)).join('\\n')}"`;
