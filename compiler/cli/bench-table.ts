/** The benchmark for a terminal. */
import type { BenchGpu, BenchLayer, BenchReport, BenchSide } from '../bench/index.ts';
import { type Column, renderColumns } from '../report/columns.ts';
import { counted, grouped, percent, plain, shape, short, UNKNOWN } from '../report/format.ts';
import { bar } from '../report/table.ts';
import type { Colours } from './terminal.ts';

export interface BenchTableOptions {
  readonly width: number;
  readonly colours: Colours;
}

type Spread = NonNullable<BenchReport['peakGflops']>;

export function renderBench(report: BenchReport, options: BenchTableOptions): string {
  const { colours: c } = options;
  const inputs = report.inputs.map((t) => `${plain(t.name)} ${t.dtype} ${shape(t.shape)}`).join(', ');
  return [
    `${c.bold(plain(report.name))}  ${c.dim(`${inputs}; ${short(report.macs)} MACs`)}`,
    ...(report.gpu ? [device(report.gpu, c)] : []),
    ...(report.layersTotal ? [layers(report.layers, report.layersTotal, options)] : []),
    whole(report, options),
    notes(report, c),
  ].join('\n\n');
}

/** `on apple apple-m1-pro common-3, f32, 54 dispatches a run`. */
const device = ({ adapter, software, precision, dispatches }: BenchGpu, c: Colours): string => {
  const name = software ? `${plain(adapter)} ${c.yellow('(software)')}` : plain(adapter);
  return `on ${name}, ${precision}, ${grouped(dispatches)} ${dispatches === 1 ? 'dispatch' : 'dispatches'} a run`;
};

function layers(
  list: readonly BenchLayer[],
  total: NonNullable<BenchReport['layersTotal']>,
  options: BenchTableOptions,
): string {
  const { width, colours: c } = options;
  const filtered = list.some(({ macs, doneMacs }) => macs !== doneMacs);
  const foretold = total.predictedMs !== undefined;
  const forecast = ({ predictedMs }: { readonly predictedMs?: number | undefined }) =>
    foretold ? [predictedMs === undefined ? '' : ms(predictedMs)] : [];
  const most = Math.max(...list.map(({ share }) => share));
  const columns: Column[] = [
    { title: 'layer', align: 'left', shrink: 26, cut: 'start' },
    { title: 'op', align: 'left', drop: 2 },
    { title: 'output', align: 'right', drop: 3 },
    { title: 'ms', align: 'right', paint: c.bold },
    { title: 'spread', align: 'right', drop: 4, paint: c.dim },
    ...(foretold ? [{ title: 'predicted', align: 'right' } as const] : []),
    { title: 'share', align: 'right' },
    { title: '', align: 'left', paint: c.cyan, drop: 1 },
    { title: 'GF/s', align: 'right' },
    ...(filtered ? [{ title: 'done', align: 'right' } as const] : []),
    { title: 'of peak', align: 'right' },
    { title: 'kernels', align: 'left', shrink: 16, paint: c.dim },
  ];
  type Rates = Pick<BenchLayer, 'macs' | 'doneMacs' | 'gflops' | 'doneGflops' | 'ofPeak'>;
  const rates = ({ macs, doneMacs, gflops, doneGflops, ofPeak }: Rates) => [
    macs === 0 ? '' : rate(gflops),
    ...(filtered ? [doneMacs === macs ? '' : rate(doneGflops)] : []),
    macs === 0 ? '' : ofPeak === null ? UNKNOWN : `${Math.round(100 * ofPeak)} %`,
  ];
  const rows = list.map((layer) => [
    nameOf(layer),
    layer.op,
    layer.op === '' ? '' : shape(layer.shape),
    ms(layer.ms.median),
    range(layer.ms, ms),
    ...forecast(layer),
    percent(layer.share),
    bar(layer.share / (most || 1), 8),
    ...rates(layer),
    kernelsOf(layer),
  ]);
  const sum = [
    'all layers',
    '',
    '',
    ms(total.ms.median),
    range(total.ms, ms),
    ...forecast(total),
    '',
    '',
    ...rates(total),
    '',
  ];
  return renderColumns(columns, [...rows, sum], { width, paintHeader: c.dim });
}

function whole({ ours, other }: BenchReport, { width, colours: c }: BenchTableOptions): string {
  const columns: Column[] = [
    { title: '', align: 'left' },
    { title: 'run', align: 'right', paint: c.bold },
    { title: 'spread', align: 'right', paint: c.dim },
    { title: 'load', align: 'right' },
    { title: 'first run', align: 'right' },
    { title: '', align: 'left' },
  ];
  const side = (s: BenchSide, remark: string) => [
    `${s.name} ${s.version}`,
    `${ms(s.runMs.median)} ms`,
    range(s.runMs, ms),
    `${ms(s.loadMs)} ms`,
    `${ms(s.firstRunMs)} ms`,
    remark,
  ];
  const rows = [
    side(ours, ours.predictedMs === undefined ? '' : `predicted ${ms(ours.predictedMs)} ms`),
    ...(other ? [side(other, `${times(other.ratio.median)}×  (${range(other.ratio, times)})`)] : []),
  ];
  return renderColumns(columns, rows, { width, paintHeader: c.dim });
}

function notes(report: BenchReport, c: Colours): string {
  const { ours, other, otherMissing, layersMissing, layersTotal: total, peakGflops: peak, rounds } = report;
  const restless = [
    ...(total?.settled === false ? ['the layers'] : []),
    ...[ours, ...(other ? [other] : [])].flatMap((side) => (side.settled ? [] : [side.name])),
  ];
  const filtered = report.layers.some(({ macs, doneMacs }) => macs !== doneMacs);
  const times = total ? `, with ${grouped(total.passes)} times through the layers` : '';
  return [
    ...(otherMissing === null ? [] : [plain(otherMissing)]),
    ...(layersMissing === null ? [] : [plain(layersMissing)]),
    ...restless.map((name) => c.yellow(`the times of ${name} did not settle before the measurement`)),
    ...(report.gpu?.software
      ? [c.yellow('the adapter computes on the processor: this says nothing about a GPU')]
      : []),
    ...(peak
      ? [c.dim(`peak ${rate(peak.median)} GF/s (${range(peak, rate)}): ${PEAKS[report.backend]}`)]
      : []),
    ...(report.gpu && total
      ? [
          c.dim(
            'layers: each dispatch in a pass of its own, by the clock of the device, in runs of their own',
          ),
        ]
      : []),
    ...(ours.predictedMs === undefined
      ? []
      : [
          c.dim(
            'predicted: layers as the device times them; a run with what the host takes for each dispatch',
          ),
        ]),
    ...(total ? [c.dim(`GF/s = 2·MACs / time${filtered ? FILTERED : ''}`)] : []),
    c.dim(`medians of ${counted(rounds, 'round')} in turn${times}; spread = 10th to 90th percentile`),
  ].join('\n');
}

const FILTERED = '; done = what minimal filtering leaves of them, without its transforms';

const PEAKS = {
  wasm: 'multiplications and additions of vectors in the first-level cache',
  webgpu: 'multiplications and additions of vectors in registers, by the clock of the device',
} as const;

/** Without what exporters add and another column says. */
function nameOf({ name, op }: BenchLayer): string {
  const inner = name.replace(/^\//, '');
  return plain(inner.endsWith(`/${op}`) ? inner.slice(0, -op.length - 1) : inner);
}

/** Those that compute before those that only move. */
function kernelsOf({ kernels }: BenchLayer): string {
  const moves = (label: string) => /^(f32_)?(fill|copy|transpose)_/.test(label);
  return [...kernels.filter((k) => !moves(k)), ...kernels.filter(moves)].join(' ');
}

/** About three digits. */
const ms = (x: number): string => x.toFixed(x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : x >= 0.01 ? 3 : 4);
const rate = (x: number | null): string => (x === null ? UNKNOWN : x.toFixed(1));
const times = (x: number): string => x.toFixed(2);

const range = ({ low, high }: Spread, format: (x: number) => string): string =>
  `${format(low)}–${format(high)}`;
