/** The network as a picture, in Graphviz' DOT: layers coloured by their share of the MACs, shapes on the edges. */
import type { AuditLayer, AuditReport } from '../audit/schema.ts';
import { displayNames, field, percent, plain, shape, short } from './format.ts';
import { signature, summary, title } from './summary.ts';

export interface DotOptions {
  /** Draw every node of the graph on its own; else an activation or other step without parameters joins its producer. */
  readonly every?: boolean;
}

/** Plain labels only: Graphviz as WebAssembly is built without HTML-like ones. */
export function renderDot(report: AuditReport, options: DotOptions = {}): string {
  const picture = arrange(report, options.every ?? false);
  const names = displayNames(report);
  const largest = Math.max(0, ...report.layers.map((l) => l.macsShare ?? 0));
  const pill = (name: string, sizes: readonly number[]) =>
    `[class=io, label=${quoted([name, shape(sizes)])}, fillcolor="#323f4b", color="#323f4b", fontcolor="#ffffff"]`;
  const busy = picture.edges.length - picture.boxes.length > BUSY;
  const lines = [
    'digraph network {',
    `  graph [rankdir=TB, bgcolor="#ffffff", pad=0.35, nodesep=0.3, ranksep=0.36, fontname=Helvetica, fontsize=13, fontcolor="#1f2933", labelloc=t, labeljust=c, label=${quoted([...heading(report), ' '])}${busy ? ', nslimit=1, nslimit1=1, mclimit=0.1' : ''}];`,
    '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11, margin="0.24,0.07", height=0.2];',
    '  edge [fontname=Helvetica, fontsize=9, fontcolor="#616e7c", color="#9aa5b1", arrowsize=0.6];',
    ...report.inputs.map((v, i) => `  in${i} ${pill(v.name, v.shape)};`),
    ...picture.boxes.map((box) => `  n${box.id} ${card(box, names, largest, busy)};`),
    ...report.outputs.map((v, i) => `  out${i} ${pill(v.name, v.shape)};`),
    ...picture.edges.map(({ from, to, label }) =>
      busy ? `  ${from} -> ${to};` : `  ${from} -> ${to} [label=${quoted([`${EDGE_GAP}${label}`])}];`,
    ),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

/** With more edges than this beyond those of a chain, layout would take minutes: shapes move from the edges to the boxes. */
const BUSY = 120;

/** Between an edge and its label; no-break spaces, as SVG drops others. */
const EDGE_GAP = '\u00a0'.repeat(5);

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
  for (const { value } of report.outputs) readers.set(value, (readers.get(value) ?? 0) + 1);
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
    connect(v.value, `out${i}`);
  });
  return { boxes, edges };
}

function heading(report: AuditReport): readonly string[] {
  const figures = summary(report)
    .slice(0, 4)
    .filter((l) => l.label === 'MACs' || l.label === 'parameters')
    .map((l) => `${l.rounded || l.value} ${l.label}`);
  return [title(report), signature(report), [...figures, 'the darker, the more MACs'].join('  ·  ')];
}

function card(
  { layer, steps }: Box,
  names: ReadonlyMap<AuditLayer, string>,
  largest: number,
  withShape: boolean,
): string {
  const light = layer.macs === 0 && layer.parameters + layer.sharedParameters === 0;
  const part = largest === 0 ? 0 : (layer.macsShare ?? 0) / largest;
  const parameters = layer.parameters > 0 ? [`${short(layer.parameters)} params`] : [];
  const macs = layer.macs ? [`${short(layer.macs)} MAC, ${percent(layer.macsShare)}`] : [];
  const label = [
    layer.kind === layer.op ? layer.op : layer.label,
    ...(light ? [] : [ellipsis(names.get(layer) ?? layer.name, 34)]),
    ...(withShape ? [shape(layer.outputShape)] : []),
    ...(macs.length + parameters.length > 0 ? [[...macs, ...parameters].join(' · ')] : []),
    ...(light || layer.receptiveField === null ? [] : [`field ${field(layer)}`]),
    ...steps.map((step) => `→ ${step.op}`),
  ];
  const ink = part > 0.35 ? '#ffffff' : '#1f2933';
  const edge = light || part === 0 ? '#9aa5b1' : shade(Math.min(1, part + 0.25));
  return `[class=${light ? 'light' : 'layer'}, label=${quoted(label)}, tooltip=${quoted([layer.name])}, fillcolor="${shade(part)}", color="${edge}", fontcolor="${ink}"]`;
}

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
