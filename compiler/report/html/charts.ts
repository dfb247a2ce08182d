/** The charts of the page. Layers are in the order of the graph; each has a number, by which the table finds it. */
import type { AuditField, AuditLayer, AuditReport } from '../../audit/schema.ts';
import {
  bytes,
  countedShare,
  displayNames,
  field,
  isMoving,
  percent,
  ratio,
  shape,
  short,
  units,
} from '../format.ts';
import { memoryNote } from '../summary.ts';
import { type Axis, at, renderChart, type Scales } from './frame.ts';
import { html, type Markup } from './markup.ts';
import {
  around,
  count,
  type Figure,
  INTENSITY,
  layerLink,
  rooflineFigure,
  writeIntensity,
} from './roofline.ts';

export type { Figure } from './roofline.ts';

/** Class of the colour of each kind; kinds after the first few share the last one. */
export function kindColours({ byKind }: AuditReport): (kind: string) => string {
  const order = byKind.filter((k) => k.macs !== 0 || k.parameters > 0).map(({ kind }) => kind);
  return (kind) => {
    const i = order.indexOf(kind);
    return `k${i < 0 ? COLOURS - 1 : Math.min(i, COLOURS - 1)}`;
  };
}

const COLOURS = 6;

/** Those for which the report has figures. */
export function figures(report: AuditReport): readonly Figure[] {
  return [
    costFigure(report),
    fieldFigure(report),
    costAgainstIntensity(report),
    memoryFigure(report),
  ].flatMap((figure) => (figure ? [figure] : []));
}

/** Of a count that starts at nothing. */
const linear = (title: string, largest: number, write = count): Axis => ({
  title,
  domain: [0, largest * 1.04 || 1],
  scale: 'linear',
  write,
});
const layerAxis = (layers: number): Axis => ({
  title: 'number of the layer',
  domain: [0.5, layers + 0.5],
  scale: 'linear',
  write: (n) => (Number.isInteger(n) && n > 0 ? String(n) : ''),
});

function costFigure(report: AuditReport): Figure | undefined {
  const { layers } = report;
  const most = Math.max(0, ...layers.map((l) => l.counted ?? 0));
  const largest = Math.max(0, ...layers.map((l) => l.parameters));
  if (most + largest === 0) return undefined;
  const names = displayNames(report);
  const colour = kindColours(report);
  const x = layerAxis(layers.length);
  const bars =
    (of: (layer: AuditLayer) => number | null) =>
    (scales: Scales): readonly Markup[] => {
      const cell = scales.x(2) - scales.x(1);
      const width = Math.max(1.2, Math.min(18, cell * 0.8));
      return layers.flatMap((layer, i) => {
        const value = of(layer);
        if (!value) return [];
        const top = Math.min(scales.y(value), scales.bottom - 1);
        return [
          html`<rect class="${colour(layer.kind)}" data-layer="${i}" x="${at(scales.x(i + 1) - width / 2)}" y="${at(top)}" width="${at(width)}" height="${at(scales.bottom - top)}"><title>${i + 1} ${names(layer)}
${layer.label}
${units(report)} ${short(layer.counted)}, parameters ${short(layer.parameters)}</title></rect>`,
        ];
      });
    };
  const counted = { y: linear(units(report), most), draw: bars((l) => l.counted) };
  const parameters = { y: linear('parameters', largest), draw: bars((l) => l.parameters) };
  const heaviest = layers.reduce<AuditLayer | undefined>(
    (best, l) => ((l.counted ?? 0) > (best?.counted ?? 0) ? l : best),
    undefined,
  );
  return {
    title: 'Cost by layer',
    chart: renderChart({
      description: `${units(report)} and parameters of ${layers.length} layers, in their order`,
      x,
      panels: [...(most > 0 ? [counted] : []), ...(largest > 0 ? [parameters] : [])],
    }),
    caption: heaviest
      ? html`Most at ${layerLink(report, heaviest)}: ${short(heaviest.counted)} ${units(report)}, ${percent(countedShare(heaviest, report))} of all. Colours are those of the kinds.`
      : html`Colours are those of the kinds.`,
  };
}

function fieldFigure(report: AuditReport): Figure | undefined {
  const names = displayNames(report);
  const points = report.layers.flatMap((layer, i) => {
    const axes = axesOf(layer);
    const sizes = axes.flatMap((f) => (isMoving(f) && f.size > 0 ? [f.size] : []));
    const paths = (layer.pathSizes ?? []).flatMap((p) => (p === 'global' || p.shortest === 0 ? [] : [p]));
    const shortest = Math.min(...paths.map((p) => p.shortest));
    const size = Math.max(...sizes);
    return sizes.length === 0
      ? []
      : [{ layer, i, rank: axes.length, size, ...(shortest < size ? { shortest } : {}) }];
  });
  const [first] = points;
  if (!first) return undefined;
  const input = report.inputs.find((v) => v.shape.length === first.rank + 2);
  const examples = report.dims.filter((d) => d.source === 'example').map((d) => d.symbol);
  const given = input?.symbols.slice(2).every((symbol) => symbol === null || !examples.includes(symbol));
  // fields are compared with sizes that somebody gave
  const extents = input && given ? input.shape.slice(2) : [];
  const image = Math.max(0, ...extents);
  const gated = points.some(({ layer }) => layer.receptiveField === 'global');
  const outgrown = image === 0 ? undefined : points.find(({ size }) => size > image);
  const largest = Math.max(image, ...points.map(({ size }) => size));
  const draw = (s: Scales): readonly Markup[] => [
    ...(image > 0
      ? [
          html`<path class="limit" d="M${s.left} ${at(s.y(image))}H${s.right}"/><text class="mark" x="${s.left + 6}" y="${at(s.y(image) - 6)}">image ${shape(extents)}</text>`,
        ]
      : []),
    ...points.flatMap(({ i, size, shortest }) =>
      shortest === undefined
        ? []
        : [html`<path class="span" d="M${at(s.x(i + 1))} ${at(s.y(shortest))}V${at(s.y(size))}"/>`],
    ),
    ...points.map(
      ({ layer, i, size, shortest }) =>
        html`<circle class="${image > 0 && size > image ? 'k1' : 'k0'}" data-layer="${i}" cx="${at(s.x(i + 1))}" cy="${at(s.y(size))}" r="2.6"><title>${i + 1} ${names(layer)}
${layer.label}
field ${field(layer)}${shortest === undefined ? '' : `; ${shortest} along the shortest path`}</title></circle>`,
    ),
  ];
  return {
    title: 'Receptive field',
    chart: renderChart({
      description: `receptive field of each layer, up to ${largest} positions${image > 0 ? `; the image has ${image}` : ''}`,
      x: layerAxis(report.layers.length),
      panels: [
        {
          y: {
            title: 'positions of the input, along the longest axis',
            domain: [0.8, largest * 1.5],
            scale: 'log2',
            write: String,
          },
          draw,
        },
      ],
    }),
    caption: html`${
      outgrown
        ? html`The field outgrows the image at ${layerLink(report, outgrown.layer)}, layer ${outgrown.i + 1} of ${report.layers.length}. `
        : image > 0
          ? html`No field that is not the whole input outgrows the image. `
          : ''
    }${points.some((p) => p.shortest !== undefined) ? 'Lines reach down to what the shortest path sees. ' : ''}${gated ? 'Paths that see all of the input, such as those of squeeze-excite, are left out.' : ''}`,
  };
}

const axesOf = ({ receptiveField, localReceptiveField }: AuditLayer): readonly AuditField[] =>
  receptiveField === 'global' ? (localReceptiveField ?? []) : (receptiveField ?? []);

/** MACs against FLOP per byte; where a device was given, the roofline of that in their place. */
function costAgainstIntensity(report: AuditReport): Figure | undefined {
  if (report.roofline) return rooflineFigure(report, report.roofline);
  const names = displayNames(report);
  const points = report.layers.flatMap((layer, i) =>
    layer.macs && layer.intensity ? [{ layer, i, x: layer.intensity, y: layer.macs }] : [],
  );
  if (points.length < 2) return undefined;
  const draw = (s: Scales): readonly Markup[] =>
    points.map(
      ({ layer, i, x, y }) =>
        html`<circle class="k0" data-layer="${i}" cx="${at(s.x(x))}" cy="${at(s.y(y))}" r="3.2"><title>${i + 1} ${names(layer)}
${layer.label}
${ratio(layer.intensity)} FLOP per byte, ${short(y)} MACs</title></circle>`,
    );
  return {
    title: 'MACs against intensity',
    chart: renderChart({
      description: 'MACs of each layer against its FLOP per byte',
      x: around(
        INTENSITY,
        points.map((p) => p.x),
        writeIntensity,
      ),
      panels: [
        {
          y: around(
            'MACs',
            points.map((p) => p.y),
            count,
          ),
          draw,
        },
      ],
    }),
    caption: html`Layers to the left move much data for little arithmetic; those high up are where time goes. With a device (<code>--device</code>) this is its roofline.`,
  };
}

/** Of the compiled program where it was asked for, else of the graph as it is. */
function memoryFigure(report: AuditReport): Figure | undefined {
  const { footprint, memory } = report;
  const graph = report.layers.flatMap(({ name, liveBytes }) =>
    liveBytes === null ? [] : [{ layer: name, bytes: liveBytes }],
  );
  const steps = footprint ? footprint.timeline : graph;
  const plan = footprint ? footprint.activationBytes : (memory?.planBytes ?? 0);
  if (steps.length < 2 || (footprint === undefined && memory === null)) return undefined;
  const numbers = new Map(report.layers.map((l, i) => [l.name, i]));
  const names = displayNames(report);
  const peak = report.layers.find((l) => l.name === (footprint ?? memory)?.peakLayer);
  const largest = Math.max(plan, ...steps.map((t) => t.bytes)) * 1.1;
  // round figures in the unit that is written
  const [unit, name] = largest >= 2 ** 20 ? [2 ** 20, 'MiB'] : [2 ** 10, 'KiB'];
  const draw = ({ y: across, ...s }: Scales): readonly Markup[] => {
    const y = (n: number) => across(n / unit);
    const edge = (i: number) => at(s.x(i + 0.5));
    const line = steps.map(({ bytes: n }, i) => `V${at(y(n))}H${edge(i + 1)}`).join('');
    return [
      html`<path class="area" d="M${edge(0)} ${at(s.bottom)}${line}V${at(s.bottom)}Z"/>`,
      html`<path class="limit" d="M${s.left} ${at(y(plan))}H${s.right}"/><text class="mark" x="${s.right - 6}" text-anchor="end" y="${at(y(plan) - 6)}">plan ${bytes(plan)}</text>`,
      ...steps.map(({ layer, bytes: n }, i) => {
        const at0 = numbers.get(layer);
        const own = at0 === undefined ? undefined : report.layers[at0];
        return html`<rect class="catch"${at0 === undefined ? '' : html` data-layer="${at0}"`} x="${edge(i)}" y="${at(y(n))}" width="${at(s.x(2) - s.x(1))}" height="${at(s.bottom - y(n))}"><title>${own ? names(own) : layer}
${bytes(n)} alive</title></rect>`;
      }),
    ];
  };
  const mebibytes: Axis = {
    ...linear('activations alive', largest / unit),
    write: (n) => (n === 0 ? '0' : `${n} ${name}`),
  };
  return {
    title: 'Memory over a run',
    chart: renderChart({
      description: `bytes of activations alive at each of ${steps.length} steps; the plan has ${bytes(plan)}`,
      x: footprint
        ? { ...layerAxis(steps.length), title: 'call of a kernel' }
        : layerAxis(report.layers.length),
      panels: [{ y: mebibytes, draw }],
    }),
    caption: html`${footprint ? 'Of the compiled program, scratch memory included.' : `Of the graph as it is, before any pass. Of ${bytes(memory?.lowerBoundBytes ?? 0)}, the largest live set, ${memory ? memoryNote(memory) : ''}.`}${peak ? html` Most is alive at ${layerLink(report, peak)}.` : ''}`,
  };
}
