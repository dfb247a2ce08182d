/** What measurements are told as: `bench/RESULTS.md`, and the part of README.md that has the same table. Pure text. */
import type { BenchReport } from '#compiler/bench/index.ts';
import { median, type Spread } from '#compiler/bench/measure.ts';
import type { CompileStats } from '#compiler/index.ts';
import { marked, withPart } from '../page.ts';

export { median };

/** All that is measured of one network on one Node. */
export interface Measurement {
  readonly network: string;
  readonly on: Environment;
  readonly rounds: number;
  readonly bench: BenchReport;
  /** To the first result, without warm-up, in processes of their own. */
  readonly start: { readonly ours: Start; readonly other?: Start };
  /** After `load()` as it is by default. */
  readonly warm: Warm;
  /** Further runtimes, each in turn with ours; or why they were not timed. */
  readonly others: Readonly<Record<string, Other | string>>;
  readonly memory?: { readonly ours: Memory; readonly other?: Memory };
  /** Whole processes of `convolith compile`, in milliseconds. */
  readonly compile: { readonly ms: readonly number[]; readonly stats: Sizes };
}

type Sizes = Pick<CompileStats, 'memoryBytes' | 'weightBytes' | 'arenaBytes'>;

export interface Environment {
  /** ISO date. */
  readonly date: string;
  readonly node: string;
  readonly v8: string;
  readonly cpu: string;
  readonly cpus: number;
  /** How many processes wanted to run, on average, in the minute before. */
  readonly load: number;
}

export interface Start {
  readonly loadMs: number;
  readonly firstRunMs: number;
}

export interface Warm {
  readonly engine: string;
  readonly firstMs: number;
  /** Median of later runs. */
  readonly laterMs: number;
  readonly runs: number;
}

export interface Other {
  readonly version: string;
  readonly oursMs: Spread;
  readonly runMs: Spread;
  readonly ratio: Spread;
}

export interface Memory {
  /** Resident bytes that loading and running added. */
  readonly growth: number;
}

export const NATIVE = 'onnxruntime-node';
export const TFJS = 'TensorFlow.js';
/** The first run after loading is at most so many times a later one. */
const COLD = 1.5;
/** Convolutions with fewer operations say little about the machine's peak. */
const SMALL = 1e6;
const NONE = '·';

/** The whole page. `list` has the order of networks. */
export function resultsPage(all: readonly Measurement[], list: readonly string[]): string {
  const nodes = byNode(all, list);
  const sections = [
    '# Results of `npm run bench`',
    '`npm run bench` writes this page; what the columns say is below, under “How it was measured”.',
    marked('bench', tablePart(all, list)),
    section('TensorFlow.js', nodes, tensorflow),
    section('The first run after `load()`', nodes, warm),
    section('Resident memory', nodes, memory),
    section('Compiling', nodes, compiling),
    `## How it was measured\n\n${method(all)}`,
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
}

export const withResults = (page: string, all: readonly Measurement[], list: readonly string[]): string =>
  withPart(page, 'bench', tablePart(all, list));

/** A table for each Node, with what it comes to. */
export function tablePart(all: readonly Measurement[], list: readonly string[]): string {
  return byNode(all, list)
    .map((group) => `${titleOf(group)}:\n\n${mainTable(group)}\n\n${conclusion(group)}${busy(group)}`)
    .join('\n\n');
}

export function mainTable(group: readonly Measurement[]): string {
  const native = group.some(({ others }) => isOther(others[NATIVE]));
  const head = [
    'network',
    'convolith',
    'onnxruntime-web',
    'ratio',
    'of the peak: convs',
    'depthwise',
    'first result: convolith',
    'onnxruntime-web',
    ...(native ? ['native onnxruntime'] : []),
  ];
  const rows = group.map(({ network, bench, start, others }) => {
    const total = (side?: Start) => (side ? ms(side.loadMs + side.firstRunMs) : NONE);
    const [convs, depthwise] = peakShares(bench);
    const { ours, other } = bench;
    return [
      network,
      ms(ours.runMs.median),
      other ? ms(other.runMs.median) : NONE,
      other ? ratio(other.ratio) : NONE,
      percent(convs),
      percent(depthwise),
      total(start.ours),
      total(start.other),
      ...(native ? [nativeCell(others[NATIVE])] : []),
    ];
  });
  return markdown(head, rows);
}

/** Median share of the peak, of convolutions that are not depthwise and of those that are. */
export function peakShares({ layers }: BenchReport): readonly [number | undefined, number | undefined] {
  const of = (depthwise: boolean) => {
    const shares = layers.flatMap(({ op, kind, macs, ofPeak }) =>
      /^Conv/.test(op) && 2 * macs > SMALL && (kind === 'depthwise') === depthwise && ofPeak !== null
        ? [ofPeak]
        : [],
    );
    return shares.length === 0 ? undefined : median(shares);
  };
  return [of(false), of(true)];
}

/** The geometric mean of the ratios, and the smallest. */
function conclusion(group: readonly Measurement[]): string {
  const ratios = group.flatMap(({ network, bench }) =>
    bench.other ? [{ network, times: bench.other.ratio.median }] : [],
  );
  const [first, ...rest] = ratios;
  if (!first) return 'Nothing was compared.';
  const mean = Math.exp(ratios.reduce((sum, { times }) => sum + Math.log(times), 0) / ratios.length);
  const least = rest.reduce((a, b) => (b.times < a.times ? b : a), first);
  return `Geometric mean of the ratios: ${times(mean)}; the smallest: ${times(least.times)} (${least.network}).`;
}

/** A measurement leaves its own mark on the load, of one core at most. */
function busy(group: readonly Measurement[]): string {
  const loads = group.flatMap(({ on }) => (on.load > on.cpus ? [on.load] : []));
  if (loads.length === 0) return '';
  return `\nThe machine was busy with other things meanwhile (load average up to ${Math.max(...loads).toFixed(0)}): times are longer than on a quiet one.`;
}

function tensorflow(group: readonly Measurement[]): string {
  const rows = group.flatMap(({ network, others }) => {
    const other = others[TFJS];
    return isOther(other)
      ? [[network, ms(other.oursMs.median), ms(other.runMs.median), ratio(other.ratio)]]
      : [];
  });
  return rows.length === 0 ? '' : markdown(['network', 'convolith', TFJS, 'ratio'], rows);
}

function warm(group: readonly Measurement[]): string {
  const rows = group.map(({ network, warm: { firstMs, laterMs, runs } }) => {
    const factor = firstMs / laterMs;
    const later = runs === 100 ? '50–100' : `${Math.floor(runs / 2)}–${runs}`;
    return [network, ms(firstMs), ms(laterMs), later, `${times(factor)}${factor > COLD ? ' ✗' : ''}`];
  });
  const beyond = rows.filter((row) => row.at(-1)?.endsWith('✗')).length;
  const verdict =
    beyond === 0
      ? `All are within ${COLD}×.`
      : `${beyond} of ${rows.length} are beyond ${COLD}× of a later run (✗).`;
  return `${markdown(['network', 'first run', 'later runs', 'which', 'first / later'], rows)}\n\n${verdict}`;
}

function memory(group: readonly Measurement[]): string {
  const rows = group.flatMap((one) =>
    one.memory ? [memoryRow(one.network, one.memory, one.compile.stats)] : [],
  );
  return rows.length === 0 ? '' : markdown(MEMORY_HEAD, rows);
}

export const MEMORY_HEAD = [
  'network',
  'convolith',
  'onnxruntime-web',
  'ratio',
  'WebAssembly memory',
  'weights',
  'arena',
  'rest',
];

/** Growth of either side; then what our WebAssembly memory holds. */
export function memoryRow(
  network: string,
  { ours, other }: NonNullable<Measurement['memory']>,
  { memoryBytes, weightBytes, arenaBytes }: Sizes,
): string[] {
  return [
    network,
    mib(ours.growth),
    other ? mib(other.growth) : NONE,
    other ? times(other.growth / ours.growth) : NONE,
    mib(memoryBytes),
    mib(weightBytes),
    mib(arenaBytes),
    mib(memoryBytes - weightBytes - arenaBytes),
  ];
}

function compiling(group: readonly Measurement[]): string {
  const rows = group
    .filter(({ compile }) => compile.ms.length > 1)
    .map(({ network, compile }) => [
      network,
      seconds(median(compile.ms)),
      compile.ms.map(seconds).join(', '),
    ]);
  return rows.length === 0 ? '' : markdown(['network', '`convolith compile`, median', 'tries'], rows);
}

function method(all: readonly Measurement[]): string {
  const each = <T>(of: (one: Measurement) => T) => [...new Set(all.map(of))].sort();
  const machines = each(({ on }) => `${on.cpu.trim()}, ${on.cpus} logical cores`).join('; ');
  const dates = each(({ on }) => on.date.slice(0, 10));
  const days = dates.length > 1 ? `${dates[0]} to ${dates.at(-1)}` : (dates[0] ?? '');
  const nodes = each(({ on }) => `Node ${on.node} (V8 ${on.v8})`).join(' and ');
  const rounds = each(({ rounds: n }) => n).join(' or ');
  const loads = all.map(({ on }) => on.load);
  const versions = each(({ bench: { other } }) => (other ? `${other.name} ${other.version}` : '')).concat(
    [NATIVE, TFJS].flatMap((name) => each(({ others }) => versionOf(name, others[name]))),
  );
  const version = each(({ bench }) => bench.ours.version).join(' and ');
  return `${machines}. ${nodes}. ${days}. Load average of the machine before each network: ${span(loads)}.
convolith ${version} against ${versions.filter((text) => text !== '').join(', ')}; every runtime on one thread, batch 1, f32.

- **Networks** are those of the model collection, with seeded weights that have the moments of the trained ones, at the size
  of their training (224×224, \`unet\` 128×128), and the text detector of PP-OCRv4 at 640×640. The input is seeded.
- **Time of a run**: inputs copied in, outputs copied out. Before anything is timed, the outputs of both sides are compared:
  they differ by at most 1e-3 of the largest magnitude (TensorFlow.js: 1e-4). Each side runs until its time settles; then, in
  each of ${rounds} rounds, our layers one by one, our network and the other runtime’s are run in turn, each for at least 30 ms.
  Both share one process, and every network has a process of its own. TensorFlow.js is given its inputs channels last.
- **ratio**: time of the other runtime / ours, round by round: the median, and the 10th to the 90th percentile.
- **of the peak**: what a layer’s multiplications and additions reach of those that a probe reaches right before, in the same
  process: the median over convolutions of more than 1 MFLOP, depthwise ones apart. With minimal filtering (Winograd), the
  multiplications that are done count.
- **first result**: \`load({ warmup: false })\` and one run, against \`InferenceSession.create\` and one run; each in a fresh
  process, after the script of the runtime is imported; median of three. Ours reads its files meanwhile, the other has the
  bytes of the model in memory already.
${nativeNote(all)}
- **The first run after \`load()\`**: a fresh process, \`load()\` with its warm-up, then runs; large networks make fewer.
- **Resident memory**: growth of the process’s resident set over import, load and 20 runs, after garbage collection, in a fresh
  process each. Of ours, WebAssembly memory holds the packed weights and the arena of activations; the rest is rounding to pages.
- **Compiling**: the whole process, from start to exit, check of every layer included.`;
}

function nativeNote(all: readonly Measurement[]): string {
  const found = all.map(({ others }) => others[NATIVE]);
  if (found.some(isOther)) {
    return '- **native onnxruntime** is onnxruntime-node on one thread, in turn with ours in one process: its time, and its time / ours.';
  }
  return `- Native onnxruntime was not timed: ${found.find((other) => other !== undefined) ?? 'nobody asked'}.`;
}

const versionOf = (name: string, other: Other | string | undefined): string =>
  isOther(other) ? `${name} ${other.version}` : '';

/** A heading and, for each Node, its text. */
function section(
  title: string,
  nodes: readonly (readonly Measurement[])[],
  text: (group: readonly Measurement[]) => string,
): string {
  const parts = nodes.flatMap((group) => {
    const body = text(group);
    return body === '' ? [] : [`${titleOf(group)}:\n\n${body}`];
  });
  return parts.length === 0 ? '' : `## ${title}\n\n${parts.join('\n\n')}`;
}

/** The measurements of each Node, older ones first, in the order of the list. */
function byNode(all: readonly Measurement[], list: readonly string[]): readonly Measurement[][] {
  const majors = [...new Set(all.map(majorOf))].sort((a, b) => a - b);
  const place = ({ network }: Measurement) => list.indexOf(network);
  return majors.map((major) =>
    all.filter((one) => majorOf(one) === major && place(one) >= 0).sort((a, b) => place(a) - place(b)),
  );
}

const majorOf = ({ on }: Measurement): number => Number.parseInt(on.node, 10);

function titleOf(group: readonly Measurement[]): string {
  const engines = [...new Set(group.map(({ warm: { engine } }) => ENGINES[engine] ?? engine))];
  const versions = [...new Set(group.map(({ on }) => on.node))];
  return `Node ${versions.join(' and ')}, ${engines.join(' and ')}`;
}

const ENGINES: Readonly<Record<string, string>> = { simd: 'SIMD', relaxed: 'relaxed SIMD' };

const isOther = (other: Other | string | undefined): other is Other => typeof other === 'object';

const nativeCell = (other: Other | string | undefined): string =>
  isOther(other) ? `${ms(other.runMs.median)} (${times(other.ratio.median)})` : NONE;

export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map(line).join('\n');
}

const ms = (x: number): string => `${x.toFixed(x >= 100 ? 0 : x >= 10 ? 1 : 2)} ms`;
const seconds = (x: number): string => `${(x / 1000).toFixed(1)} s`;
const mib = (x: number): string => `${(x / 2 ** 20).toFixed(1)} MiB`;
const times = (x: number): string => `${x.toFixed(2)}×`;
const ratio = ({ median: middle, low, high }: Spread): string =>
  `${times(middle)} (${low.toFixed(2)}–${high.toFixed(2)})`;
const percent = (x: number | undefined): string => (x === undefined ? NONE : `${Math.round(100 * x)} %`);
const span = (list: readonly number[]): string => {
  const [low, high] = [Math.min(...list), Math.max(...list)].map((x) => x.toFixed(1));
  return low === high ? `${low}` : `${low} to ${high}`;
};
