/** A profile for a terminal. */
import { type Column, renderColumns } from '../report/columns.ts';
import { bytes, plain } from '../report/format.ts';
import {
  costsOf,
  type EngineProfile,
  type GpuProfile,
  type MachineProfile,
  type Profile,
  peakOf,
  profileTitle,
} from '../tune/profile.ts';
import type { Colours } from './terminal.ts';

export interface ProfileTableOptions {
  readonly width: number;
  readonly colours: Colours;
}

export const renderProfile = (profile: Profile, options: ProfileTableOptions): string =>
  profile.kind === 'wasm' ? renderMachine(profile, options) : renderGpu(profile, options);

function renderGpu(profile: GpuProfile, { width, colours: c }: ProfileTableOptions): string {
  const head: Column[] = [
    { title: 'memory', align: 'left' },
    { title: 'GB/s', align: 'right', paint: c.bold },
  ];
  return [
    c.bold(plain(profileTitle(profile))),
    renderColumns(head, memoryRows(profile), { width, paintHeader: c.dim }),
    `peak ${profile.peakGflops.toFixed(1)} GF/s`,
    `a dispatch of the smallest kernel takes ${(profile.dispatchNs / 1e3).toFixed(1)} µs`,
    ...(profile.software ? [c.yellow('it computes on the processor: this says nothing about a GPU')] : []),
  ].join('\n\n');
}

const memoryRows = ({ bandwidth }: Profile): string[][] =>
  bandwidth.map((one) => [bytes(one.bytes), one.gigabytesPerSecond.toFixed(1)]);

/** Each figure beside the built-in one, where the cost model reads it. */
function renderMachine(profile: MachineProfile, { width, colours: c }: ProfileTableOptions): string {
  const builtIn = costsOf(undefined);
  const columns = (title: string, ...titles: readonly string[]): Column[] => [
    { title, align: 'left' },
    ...titles.map((name, i): Column => ({ title: name, align: 'right', ...(i === 0 && { paint: c.bold }) })),
  ];
  const table = (head: readonly Column[], rows: readonly (readonly string[])[]) =>
    renderColumns(head, rows, { width, paintHeader: c.dim });

  const engine = (name: 'simd' | 'relaxed', measured: EngineProfile): string => {
    const peak = peakOf(measured);
    const share = (gflops: number) => (gflops / peak).toFixed(2);
    const tiles = measured.tiles.map(({ pixels, channels, gflops }) => {
      const own = builtIn.engines[name].tiles.find((t) => t.pixels === pixels && t.channels === channels);
      return [
        `tile ${pixels}×${channels}`,
        gflops.toFixed(1),
        share(gflops),
        own ? own.efficiency.toFixed(2) : '',
      ];
    });
    const windows = measured.windows.map(({ kernel, stride, gflops }) => [
      `depthwise ${kernel}×${kernel}${stride > 1 ? ` /${stride}` : ''}`,
      gflops.toFixed(1),
      share(gflops),
      '',
    ]);
    const head = columns(name, 'GF/s', 'of peak', 'built in');
    return table(head, [...tiles, ...windows, ['peak', peak.toFixed(1), '', '']]);
  };

  const { winograd } = profile;
  const transforms = ([2, 4] as const).flatMap((m) => [
    [`F(${m}×${m}) inputs`, winograd[m].inputMacs.toFixed(0), builtIn.winograd.input[m].toFixed(0)],
    [`F(${m}×${m}) outputs`, winograd[m].outputMacs.toFixed(0), builtIn.winograd.output[m].toFixed(0)],
  ]);
  const weights = [
    'byte of weights',
    profile.weightByteMacs.toFixed(2),
    builtIn.winograd.weightByte.toFixed(2),
  ];
  return [
    c.bold(plain(profileTitle(profile))),
    engine('simd', profile.engines.simd),
    ...(profile.engines.relaxed ? [engine('relaxed', profile.engines.relaxed)] : []),
    table(columns('minimal filtering', 'MACs', 'built in'), [...transforms, weights]),
    table(columns('memory', 'GB/s'), memoryRows(profile)),
    table(
      columns('elements', 'ns'),
      ELEMENTS.map(([key, name]) => [name, profile.elements[key].toPrecision(3)]),
    ),
    `a call of the smallest kernel takes ${profile.callNs.toFixed(1)} ns`,
    `a byte of weights in main memory is waited for ${profile.streamedByteNs.oneRow} ns by a product of one row, ${profile.streamedByteNs.fourRows} ns by one of four`,
    c.dim(
      'MACs = time in multiply-adds at the peak of simd, per vector of a tile; the cost model reads what has a built-in figure',
    ),
  ].join('\n\n');
}

const ELEMENTS: readonly (readonly [keyof MachineProfile['elements'], string])[] = [
  ['moved', 'read and written'],
  ['operation', 'one more operation'],
  ['exp', 'exp'],
  ['log', 'log'],
  ['tanh', 'tanh'],
  ['erf', 'erf'],
  ['logistic', 'logistic'],
  ['pooled', 'looked at in pooling'],
  ['transposed', 'moved to another order'],
];
