/** The frame of a chart: scales, grid and titles as SVG, whose colours are those of the page's style. */
import { type ScaleContinuousNumeric, scaleLinear, scaleLog } from 'd3-scale';
import { html, type Markup } from './markup.ts';

/** One or several panels with a common horizontal axis. */
export interface Chart {
  /** What a reader hears who does not see it. */
  readonly description: string;
  readonly x: Axis;
  readonly panels: readonly Panel[];
}

export interface Panel {
  readonly y: Axis;
  readonly draw: (scales: Scales) => readonly Markup[];
}

export interface Axis {
  readonly title: string;
  readonly domain: readonly [from: number, to: number];
  readonly scale: 'linear' | 'log2' | 'log10';
  readonly write: (value: number) => string;
}

export interface Scales {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  /** Where the panel ends. */
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const WIDTH = 560;
const LEFT = 64;
const RIGHT = 546;
const HEAD = 26;
const FOOT = 44;
const GAP = 16;
/** Of the panels of a chart together. */
const INNER = 210;

export function renderChart({ description, x, panels }: Chart): Markup {
  const inner = (INNER - (panels.length - 1) * GAP) / panels.length;
  const step = inner + HEAD + GAP;
  const bottom = HEAD + inner + (panels.length - 1) * step;
  const across = scaleOf(x, [LEFT, RIGHT]);
  const height = bottom + FOOT;
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${description}"><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${description}">${panels.map(
    ({ y, draw }, i) => {
      const top = HEAD + i * step;
      const down = scaleOf(y, [top + inner, top]);
      const scales = {
        x: across,
        y: down,
        left: LEFT,
        right: RIGHT,
        top,
        bottom: top + inner,
      };
      return html`<text class="axis" x="${LEFT - 8}" y="${top - 12}">${y.title}</text>${ticksOf(
        y,
        down,
        5,
      ).map(
        (tick) =>
          html`<path class="grid" d="M${LEFT} ${at(down(tick))}H${RIGHT}"/><text class="tick" text-anchor="end" x="${LEFT - 8}" y="${at(down(tick) + 4)}">${y.write(tick)}</text>`,
      )}${draw(scales)}<path class="base" d="M${LEFT} ${at(top + inner)}H${RIGHT}"/>`;
    },
  )}${ticksOf(x, across, 7).map(
    (tick) =>
      html`<path class="base" d="M${at(across(tick))} ${bottom}v4"/><text class="tick" text-anchor="middle" x="${at(across(tick))}" y="${bottom + 21}">${x.write(tick)}</text>`,
  )}<text class="axis" text-anchor="end" x="${RIGHT}" y="${bottom + 37}">${x.title}</text></svg></div>`;
}

/** A length in the picture, short. */
export const at = (length: number): string => String(Math.round(length * 10) / 10);

type Scale = ScaleContinuousNumeric<number, number>;

function scaleOf({ domain: [from, to], scale }: Axis, range: readonly [number, number]): Scale {
  switch (scale) {
    case 'linear':
      return scaleLinear([from, to], range);
    case 'log2':
      return scaleLog([from, to], range).base(2);
    case 'log10':
      return scaleLog([from, to], range);
  }
}

/** Those whose text is new, and, of a logarithmic scale, no closer than text is wide. */
function ticksOf({ scale, write }: Axis, place: Scale, count: number): readonly number[] {
  const [low = 1, high = 1] = place.domain();
  const all = scale === 'linear' ? place.ticks(count) : powers(low, high, scale === 'log2' ? 2 : 10);
  const every = Math.ceil(all.length / (count + 2));
  const seen = new Set<string>();
  return all.filter((tick, i) => {
    const text = write(tick);
    if (i % every !== 0 || seen.has(text)) return false;
    seen.add(text);
    return true;
  });
}

function powers(low: number, high: number, base: number): readonly number[] {
  const log = (n: number) => Math.log(n) / Math.log(base);
  const first = Math.ceil(log(low) - 1e-9);
  const count = Math.max(0, Math.floor(log(high) + 1e-9) - first + 1);
  return Array.from({ length: count }, (_, i) => base ** (first + i));
}
