/** What rewriting does to a text recogniser, on lines of text that a browser sets. */
import { readFileSync } from 'node:fs';
import { decode } from 'fast-png';
import { chromium } from 'playwright-core';
import { importModel } from '#compiler/import/index.ts';
import { factorize } from '#compiler/rewrite/factorize.ts';
import { formsOf } from '#compiler/rewrite/forms.ts';
import { runnableNetwork, type Sample } from '#compiler/rewrite/network.ts';
import { cloneGraph } from '#ir/clone.ts';
import type { Graph } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { graphPipeline } from '#passes/pipeline.ts';
import { randomIntegers } from '#runtime/abi.ts';

const [WIDTH, HEIGHT] = [320, 48];
/** Lines on one picture of the browser. */
const PER_PAGE = 50;

export interface Line {
  readonly text: string;
  readonly sample: Sample;
}

const WORDS =
  'about after again answer because between blue bread bridge bright brought camera carry castle centre change city clear cloud coast colour count cover cross dance early earth energy engine every family figure finger follow forest friend garden glass gold green ground group happy harbour heavy history horse house hundred island journey kitchen ladder language large letter light listen little machine market measure middle minute morning mountain music nature network never night north number ocean often order other paper people picture place planet pocket point power price quiet quick rain reason record river road round school science season second shadow silver simple sister small snow south space spring square stone story street strong summer system table thing through tomorrow tower travel under valley village voice water weather white window winter wonder world yellow young'.split(
    ' ',
  );
const FONTS = ['DejaVu Sans', 'DejaVu Serif', 'DejaVu Sans Mono'];

interface Setting {
  readonly text: string;
  readonly font: string;
  readonly size: number;
  readonly ink: number;
  readonly paper: number;
}

/** Lines of words and numbers, the same for each seed. */
function settings(count: number, seed: number): readonly Setting[] {
  const random = randomIntegers(seed);
  const below = (n: number) => (random() >>> 8) % n;
  return Array.from({ length: count }, () => {
    const parts = Array.from({ length: 2 + below(2) }, () =>
      below(4) === 0 ? String(below(10_000)) : (WORDS[below(WORDS.length)] ?? ''),
    );
    const text = parts.map((w) => (below(4) === 0 ? w.charAt(0).toUpperCase() + w.slice(1) : w)).join(' ');
    return {
      text,
      font: FONTS[below(FONTS.length)] ?? '',
      size: 18 + below(5),
      ink: below(90),
      paper: 165 + below(91),
    };
  });
}

/** Set by headless Chromium, in fonts of Debian's `fonts-dejavu-core`. */
export async function linesOfText(
  count: number,
  seed: number,
  executablePath: string,
): Promise<readonly Line[]> {
  const browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox'] });
  try {
    const all = settings(count, seed);
    const lines: Line[] = [];
    for (let from = 0; from < all.length; from += PER_PAGE) {
      const some = all.slice(from, from + PER_PAGE);
      const page = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT * some.length } });
      const rows = some.map(
        ({ text, font, size, ink, paper }) =>
          `<div style="height:${HEIGHT}px;line-height:${HEIGHT}px;padding-left:8px;white-space:pre;overflow:hidden;font:${size}px/${HEIGHT}px '${font}';color:rgb(${ink},${ink},${ink});background:rgb(${paper},${paper},${paper})">${text}</div>`,
      );
      await page.setContent(`<body style="margin:0">${rows.join('')}</body>`);
      const { data, channels, width } = decode(await page.screenshot());
      await page.close();
      some.forEach(({ text }, row) => {
        const pixels = new Float32Array(3 * HEIGHT * WIDTH);
        for (let c = 0; c < 3; c++) {
          for (let y = 0; y < HEIGHT; y++) {
            for (let x = 0; x < WIDTH; x++) {
              const from = ((row * HEIGHT + y) * width + x) * channels + c;
              pixels[(c * HEIGHT + y) * WIDTH + x] = ((data[from] ?? 0) / 255 - 0.5) / 0.5;
            }
          }
        }
        lines.push({ text, sample: [f32([1, 3, HEIGHT, WIDTH], pixels)] });
      });
    }
    return lines;
  } finally {
    await browser.close();
  }
}

export const recogniser = (model: Uint8Array<ArrayBuffer>): Graph =>
  importModel(model, { shapes: { x: [1, 3, HEIGHT, WIDTH] } }).graph;

/** Most of this network is pointwise: pairs of low rank do for that what the others do for the rest. */
const METHODS = ['depthwise', 'spatial', 'tucker'] as const;

/** Exact passes, and then any part of the MACs; forms are measured once. */
export async function rewriter(source: Graph, samples: readonly Sample[]) {
  const exact = cloneGraph(source);
  runPipeline(exact, graphPipeline);
  const { macs } = graphCost(exact).totals;
  const options = { methods: METHODS, samples };
  const forms = await formsOf(exact, options);
  return {
    macs,
    async at(part: number): Promise<{ readonly graph: Graph; readonly macs: number }> {
      const limit = { kind: 'budget', quantity: 'macs', most: part * macs } as const;
      const { graph } = await factorize(exact, { ...options, forms, limit });
      return { graph, macs: graphCost(graph).totals.macs };
    },
  };
}

export interface Reading {
  /** 1 − edits / characters, over all lines. */
  readonly characters: number;
  /** Part of the lines that are read without a fault. */
  readonly lines: number;
}

/** @param keys a file with one character per line; the blank stands before them, a space after */
export async function readingOf(graph: Graph, lines: readonly Line[], keys: string): Promise<Reading> {
  const alphabet = [
    '',
    ...readFileSync(keys, 'utf8')
      .replace(/\r?\n$/, '')
      .split(/\r?\n/),
    ' ',
  ];
  const network = await runnableNetwork(graph);
  let [edits, characters, right] = [0, 0, 0];
  for (const { text, sample } of lines) {
    const [output] = network.run(sample);
    const [, steps = 0, classes = 1] = output?.type.shape ?? [];
    const read = decoded((output?.data ?? []) as ArrayLike<number>, steps, classes, alphabet);
    const off = distance(text, read);
    edits += off;
    characters += text.length;
    if (off === 0) right++;
  }
  return { characters: 1 - edits / characters, lines: right / lines.length };
}

/** The best class of each step, without repetitions and blanks (Graves et al., 2006). */
function decoded(
  scores: ArrayLike<number>,
  steps: number,
  classes: number,
  alphabet: readonly string[],
): string {
  let [text, last] = ['', 0];
  for (let t = 0; t < steps; t++) {
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((scores[t * classes + c] ?? 0) > (scores[t * classes + best] ?? 0)) best = c;
    }
    if (best !== 0 && best !== last) text += alphabet[best] ?? '';
    last = best;
  }
  return text;
}

/** Least number of characters to insert, delete or replace (Levenshtein, 1966). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
