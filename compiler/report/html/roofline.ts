/** Attainable speed of each layer against its intensity, below the roof of a device. */
import type { AuditLayer, AuditReport, AuditRoofline } from '../../audit/schema.ts';
import { microseconds } from '../footprint.ts';
import { displayNames, ratio, short } from '../format.ts';
import { type Axis, at, renderChart, type Scales } from './frame.ts';
import { html, type Markup } from './markup.ts';

export interface Figure {
  readonly title: string;
  readonly chart: Markup;
  readonly caption: Markup;
}

export const INTENSITY = 'FLOP per byte of activations and weights';

export const count = (n: number): string => (n === 0 ? '0' : trim(short(n)));
const trim = (text: string): string => text.replace(/(\.\d*?)0+(?= |$)/, '$1').replace(/\.(?= |$)/, '');
export const writeIntensity = (n: number): string => (n < 1 ? String(Number(n.toPrecision(1))) : count(n));

const MARKS = { compute: 'k0', memory: 'k1', calls: 'k2' } as const;

/** S. Williams, A. Waterman, D. Patterson, Roofline, 2009. */
export function rooflineFigure(report: AuditReport, roofline: AuditRoofline): Figure | undefined {
  const names = displayNames(report);
  const numbers = new Map(report.layers.map((layer, i) => [layer.name, i]));
  const points = roofline.layers.flatMap((time) =>
    time.intensity && time.gflops > 0 ? [{ time, x: time.intensity, y: time.gflops * 1e9 }] : [],
  );
  if (points.length < 2) return undefined;
  const { gflops, gigabytesPerSecond } = roofline.roof;
  const [peak, ridge] = [gflops * 1e9, gflops / gigabytesPerSecond];
  const x = around(INTENSITY, [ridge, ...points.map((p) => p.x)], writeIntensity);
  const y = around('FLOP per second, predicted', [peak, ...points.map((p) => p.y)], count);
  const roof = (s: Scales): Markup => {
    // where memory gives less than the lowest speed drawn there is no roof to see
    const from = Math.max(x.domain[0], y.domain[0] / (gigabytesPerSecond * 1e9));
    const [left, top] = [s.x(ridge), s.y(peak)];
    const end = left > (s.left + s.right) / 2;
    return html`<path class="limit" fill="none" d="M${at(s.x(from))} ${at(s.y(from * gigabytesPerSecond * 1e9))}L${at(left)} ${at(top)}H${s.right}"/><text class="mark" x="${s.right - 6}" text-anchor="end" y="${at(top - 6)}">${count(peak)}FLOP/s</text><path class="base" d="M${at(left)} ${at(s.bottom)}v-6"/><text class="mark" x="${at(left + (end ? -6 : 6))}" text-anchor="${end ? 'end' : 'start'}" y="${at(s.bottom - 6)}">ridge ${ratio(ridge)}</text>`;
  };
  const draw = (s: Scales): readonly Markup[] => [
    roof(s),
    ...points.map(({ time, x: intensity, y: speed }) => {
      const [cx, cy] = [s.x(intensity), s.y(speed)];
      const i = numbers.get(time.layer);
      const layer = i === undefined ? undefined : report.layers[i];
      const text = html`<title>${layer && i !== undefined ? `${i + 1} ${names(layer)}` : time.layer}
${layer?.label ?? ''}
${ratio(intensity)} FLOP per byte, ${count(speed)}FLOP/s, ${microseconds(time.us)}, bound by ${time.bound}</title>`;
      const own = i === undefined ? '' : html` data-layer="${i}"`;
      const kind = MARKS[time.bound];
      switch (time.bound) {
        case 'memory':
          return html`<rect class="${kind}"${own} x="${at(cx - 3)}" y="${at(cy - 3)}" width="6" height="6">${text}</rect>`;
        case 'calls':
          return html`<path class="${kind}"${own} d="M${at(cx)} ${at(cy - 4)}l4 7h-8z">${text}</path>`;
        default:
          return html`<circle class="${kind}"${own} cx="${at(cx)}" cy="${at(cy)}" r="3.2">${text}</circle>`;
      }
    }),
  ];
  return {
    title: 'Roofline',
    chart: renderChart({
      description: `predicted speed of each layer against its FLOP per byte, below a roof of ${count(peak)}FLOP/s with its ridge at ${ratio(ridge)} FLOP per byte`,
      x,
      panels: [{ y, draw }],
    }),
    caption: html`On ${roofline.device}, ${roofline.source}. The roof is ${count(peak)}FLOP/s, and ${ratio(gigabytesPerSecond)} GB/s of main memory left of the ridge. <span class="key"><i class="k0 round"></i> bound by compute</span> <span class="key"><i class="k1"></i> memory</span> <span class="key"><i class="k2 tri"></i> calls</span>. Layers after the passes of compile; those without MACs are not shown.`,
  };
}

/** Whole decades. */
export function around(title: string, values: readonly number[], write: (n: number) => string): Axis {
  const log = (n: number, round: (n: number) => number) => 10 ** round(Math.log10(n));
  return {
    title,
    domain: [log(Math.min(...values) * 0.9, Math.floor), log(Math.max(...values) * 1.1, Math.ceil)],
    scale: 'log10',
    write,
  };
}

/** Leads to the layer's row. */
export function layerLink(report: AuditReport, layer: AuditLayer): Markup {
  const name = displayNames(report)(layer);
  return html`<a href="#layer-${report.layers.indexOf(layer) + 1}">${name}</a>`;
}
