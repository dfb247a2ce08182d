/** A matrix as a picture: pixels in a PNG of its own, blocks, titles and legend as SVG around it. */
import { encode } from 'fast-png';
import { encodeBase64 } from '#ir/base64.ts';
import type { DenseMatrix } from '#passes/analysis/block-diagonal.ts';
import { html, type Markup } from './markup.ts';

export interface HeatMap {
  /** What a reader hears who does not see it. */
  readonly description: string;
  readonly panels: readonly HeatPanel[];
  /** What lies across and down, with how many there are. */
  readonly across: string;
  readonly down: string;
}

export interface HeatPanel {
  readonly title: string;
  readonly subtitle: string;
  readonly matrix: DenseMatrix;
  /** Which row of the matrix stands at each place from the top, and which column from the left. */
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  /** Equal blocks on the diagonal that are outlined. */
  readonly blocks: number;
}

/** An SVG whose texts take their colours from the page around it, or from `STANDALONE`. */
export function renderHeatMap({ description, panels, across, down }: HeatMap): Markup {
  const top = scaleEnd(panels.map(({ matrix }) => matrix));
  const width = LEFT + panels.length * (SIDE + GAP);
  return html`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${HEIGHT}" viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label="${description}"><defs><linearGradient id="heat">${COLOURS.map(
    ([r, g, b], i) => html`<stop offset="${i / (COLOURS.length - 1)}" stop-color="rgb(${r},${g},${b})"/>`,
  )}</linearGradient></defs><text transform="translate(${LEFT - 12} ${TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">${down}</text>${panels.map(
    (panel, i) => drawn(panel, LEFT + i * (SIDE + GAP), top, across),
  )}<rect x="${LEFT}" y="${TOP + SIDE + 36}" width="120" height="10" fill="url(#heat)"/><text x="${LEFT}" y="${TOP + SIDE + 60}">0</text><text x="${LEFT + 120}" y="${TOP + SIDE + 60}" text-anchor="end">${top.toPrecision(2)} and more</text></svg>`;
}

/** For a picture that stands alone. */
export const STANDALONE = `
svg { background: #ffffff; font: 11px system-ui, Helvetica, Arial, sans-serif; }
text { fill: #57606a; }
.mark { fill: #1b1f24; font-weight: 600; }
@media (prefers-color-scheme: dark) { svg { background: #0d1117; } text { fill: #9aa5b1; } .mark { fill: #e6edf3; } }
`;

const LEFT = 40;
const TOP = 46;
const SIDE = 300;
const GAP = 28;
const HEIGHT = TOP + SIDE + 70;

/** More rows or columns than this share pixels: the root of the mean square of what is there. */
const PIXELS = 400;
const LEVELS = 64;
/** Part of the elements that are drawn brighter than the scale ends. */
const ABOVE = 0.005;

/** From nothing, dark, to the most, bright: to be seen on light and on dark paper. */
const COLOURS: readonly (readonly [number, number, number])[] = [
  [16, 18, 40],
  [32, 62, 116],
  [28, 124, 140],
  [94, 188, 108],
  [248, 230, 92],
];

function drawn(panel: HeatPanel, x: number, top: number, across: string): Markup {
  const { title, subtitle, blocks } = panel;
  const step = SIDE / blocks;
  const outlines = blocks < 2 ? [] : Array.from({ length: blocks }, (_, k) => k * step);
  return html`<text class="mark" x="${x}" y="18">${title}</text><text x="${x}" y="34">${subtitle}</text><image x="${x}" y="${TOP}" width="${SIDE}" height="${SIDE}" preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,${encodeBase64(pixels(panel, top))}"/>${outlines.map(
    (at) =>
      html`<rect x="${round(x + at)}" y="${round(TOP + at)}" width="${round(step)}" height="${round(step)}" fill="none" stroke="#ffffff" stroke-opacity="0.75"/>`,
  )}<text x="${x + SIDE / 2}" y="${TOP + SIDE + 18}" text-anchor="middle">${across}</text>`;
}

const round = (length: number): string => String(Math.round(length * 10) / 10);

function scaleEnd(matrices: readonly DenseMatrix[]): number {
  const [matrix] = matrices;
  const sorted = matrix?.data.slice().sort() ?? new Float64Array();
  return sorted[Math.floor((1 - ABOVE) * (sorted.length - 1))] || sorted.at(-1) || 1;
}

function pixels({ matrix, rows, columns }: HeatPanel, top: number): Uint8Array {
  const [height, width] = [Math.min(rows.length, PIXELS), Math.min(columns.length, PIXELS)];
  const sums = new Float64Array(height * width);
  const counts = new Float64Array(height * width);
  rows.forEach((row, r) => {
    const line = Math.floor((r * height) / rows.length) * width;
    columns.forEach((column, c) => {
      const at = line + Math.floor((c * width) / columns.length);
      sums[at] = (sums[at] ?? 0) + (matrix.data[row * matrix.columns + column] ?? 0) ** 2;
      counts[at] = (counts[at] ?? 0) + 1;
    });
  });
  const data = new Uint8Array(3 * height * width);
  sums.forEach((sum, i) => {
    const part = Math.min(1, Math.sqrt(sum / (counts[i] || 1)) / top);
    data.set(colour(Math.round(part * (LEVELS - 1)) / (LEVELS - 1)), 3 * i);
  });
  return encode({ width, height, channels: 3, data });
}

function colour(part: number): readonly number[] {
  const place = part * (COLOURS.length - 1);
  const low = COLOURS[Math.floor(place)] ?? [0, 0, 0];
  const high = COLOURS[Math.ceil(place)] ?? low;
  return low.map((v, i) => Math.round(v + ((high[i] ?? v) - v) * (place % 1)));
}
