/** What a compiled model takes, in memory and in time, as lines of a table. */
import type { AuditFootprint, AuditReport, AuditRoofline } from '../audit/schema.ts';
import { bytes, counted, displayNames, grouped, percent, plain } from './format.ts';
import type { SummaryLine } from './summary.ts';

export function footprintLines(report: AuditReport, footprint: AuditFootprint): readonly SummaryLine[] {
  const { activationBytes, activationLowerBoundBytes, peakLayer, weightBytes, memoryBytes, code } = footprint;
  const line = (label: string, value: number, note: string): SummaryLine => ({
    label,
    value: grouped(value),
    rounded: bytes(value),
    note: plain(note),
  });
  const peak = report.layers.find((layer) => layer.name === peakLayer);
  const above = activationBytes / Math.max(1, activationLowerBoundBytes) - 1;
  const plan =
    above === 0
      ? 'no plan needs less'
      : `${percent(above)} above ${bytes(activationLowerBoundBytes)}, the bound`;
  return [
    line('activations', activationBytes, `${plan}; most at ${peak ? displayNames(report)(peak) : peakLayer}`),
    line('weights', weightBytes, 'packed, as they lie in memory'),
    line('memory', memoryBytes, 'of the instance, fixed'),
    ...(code
      ? [
          line('model.wasm', code.wasmBytes, `${code.kernels} kernels`),
          line('loader', code.loaderBytes, 'index.js without names and hashes of this network'),
        ]
      : []),
    ...(footprint.webgpu ?? []).flatMap((one) => gpuLines(one, line)),
  ];
}

type Line = (label: string, value: number, note: string) => SummaryLine;

function gpuLines(gpu: NonNullable<AuditFootprint['webgpu']>[number], line: Line): readonly SummaryLine[] {
  const on = `WebGPU ${gpu.precision}`;
  if ('missing' in gpu) return [{ label: on, value: 'none', rounded: '', note: plain(gpu.missing) }];
  const { activationBytes, halvesBytes, constantBytes, constantBuffers, dispatches, code, split } = gpu;
  const activations =
    halvesBytes === 0
      ? 'every element a word of 4 bytes'
      : 'inputs, outputs and integers words, the rest halves';
  return [
    line(
      `${on} activations`,
      activationBytes + halvesBytes,
      `${activations}; ${grouped(dispatches)} dispatches`,
    ),
    line(`${on} constants`, constantBytes, `weights.webgpu.bin, in ${counted(constantBuffers, 'buffer')}`),
    ...(split
      ? [
          line(
            `${on} copies`,
            split.bytes,
            `${counted(split.copies, 'value')} in a run, between ${split.parts} parts: some layers run on WebAssembly`,
          ),
        ]
      : []),
    ...(code
      ? [
          line(`${on} kernels.wgsl`, code.wgslBytes, counted(code.kernels, 'entry point')),
          line(`${on} webgpu.js`, code.scriptBytes, 'the plan of dispatches, and what runs it'),
        ]
      : []),
  ];
}

/** Predicted times of layers, and of the whole by what bounds it. */
export interface RooflineLines {
  readonly title: string;
  readonly source: string;
  readonly lines: readonly SummaryLine[];
  /** By name of the layer; a layer that is a part of another has none. */
  readonly byLayer: ReadonlyMap<string, string>;
}

const BOUNDS = ['compute', 'memory', 'calls'] as const;

export function rooflineLines({
  device,
  source,
  totalUs,
  layers,
  elsewhere = [],
}: AuditRoofline): RooflineLines {
  const lines = BOUNDS.flatMap((bound) => {
    const own = layers.filter((layer) => layer.bound === bound);
    const sum = own.reduce((n, { us }) => n + us, 0);
    if (own.length === 0) return [];
    return [
      {
        label: `bound by ${bound}`,
        value: microseconds(sum),
        rounded: percent(sum / Math.max(1e-9, totalUs)),
        note: `${own.length} of ${layers.length} layers`,
      },
    ];
  });
  const whole = { label: 'one run', value: microseconds(totalUs), rounded: '', note: '' };
  const unknown = {
    label: 'not predicted',
    value: grouped(elsewhere.length),
    rounded: '',
    note: 'layers without a kernel on a GPU, on WebAssembly, and the copies between',
  };
  return {
    title: `on ${plain(device)}`,
    source: plain(source),
    lines: elsewhere.length > 0 ? [{ ...whole, label: 'on the GPU' }, ...lines, unknown] : [whole, ...lines],
    byLayer: new Map(layers.map(({ layer, us, bound }) => [layer, `${microseconds(us)} ${bound}`])),
  };
}

export const microseconds = (us: number): string =>
  us >= 1e3 ? `${(us / 1e3).toPrecision(3)} ms` : `${us.toPrecision(3)} µs`;
