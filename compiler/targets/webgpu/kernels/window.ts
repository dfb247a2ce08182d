/** Depthwise convolution and pooling: an invocation computes one position of one channel, or of four. */
import type { ConvAxis } from './conv.ts';
import {
  type KernelEpilogue,
  type KernelFamily,
  Memory,
  MINUS_INFINITY,
  offsetOf,
  rendered,
  splitIndex,
  totalOf,
} from './family.ts';

export interface WindowAxisParams extends ConvAxis {
  /** Padding behind the input, which averages may count. */
  readonly padEnd: number;
}

export interface WindowParams {
  readonly combine: 'multiplyAdd' | 'max' | 'sum';
  /** What a sum is divided by: nothing, the taps inside the input, or those inside the padded input. */
  readonly divisor: 'none' | 'inside' | 'padded';
  readonly batch: { readonly count: number; readonly inputStep: number; readonly outputStep: number };
  readonly axes: readonly WindowAxisParams[];
  readonly channels: number;
  readonly inputChannelStep: number;
  readonly outputChannelStep: number;
  readonly bias: boolean;
  readonly vectors: boolean;
  readonly epilogue: KernelEpilogue | null;
}

export const window: KernelFamily<WindowParams> = {
  arguments: ({ combine, bias, epilogue }) => [
    'x',
    ...(combine === 'multiplyAdd' ? ['w'] : []),
    ...(bias ? ['b'] : []),
    'y',
    ...(epilogue?.strides ?? []).map((_, k) => `e${k}`),
  ],
  label({ combine, axes, channels, vectors }) {
    const name = { multiplyAdd: 'dwconv', max: 'maxpool', sum: 'avgpool' }[combine];
    return `${name}_${axes.map((a) => a.kernel).join('x')}s${axes.map((a) => a.stride).join('x')}_${axes.map((a) => a.output).join('x')}_c${channels}${vectors ? '_v4' : ''}`;
  },
  emit(params, regions) {
    const { axes, batch, channels, combine, bias, epilogue, vectors } = params;
    const access = vectors ? 'vec4f' : 'f32';
    const type = access;
    const memory = new Memory(access, regions);
    const weighted = combine === 'multiplyAdd';
    const y = 1 + (weighted ? 1 : 0) + (bias ? 1 : 0);
    const load = (k: number, offset: string) => (vectors ? memory.load4(k, offset) : memory.load(k, offset));
    const counts = [batch.count, ...axes.map((a) => a.output), vectors ? channels / 4 : channels];
    const lines = splitIndex(counts, 'l');
    const c = 'c';
    lines.push(`let c = l${axes.length + 1}${vectors ? ' * 4' : ''};`);
    const initial = bias ? load(2, c) : combine === 'max' ? `${type}(${MINUS_INFINITY})` : `${type}()`;
    lines.push(`var s = ${initial};`);
    lines.push(`let xb = ${offsetOf([batch.inputStep, params.inputChannelStep], ['l0', c])};`);
    const close: string[] = [];
    axes.forEach((a, k) => {
      lines.push(`let f${k} = l${k + 1} * ${a.stride} - ${a.pad};`);
    });
    axes.forEach((a, k) => {
      lines.push(`for (var k${k} = 0; k${k} < ${a.kernel}; k${k}++) {`);
      lines.push(`let i${k} = f${k} + k${k} * ${a.dilation};`);
      lines.push(`if (i${k} >= 0 && i${k} < ${a.input}) {`);
      close.push('}}');
    });
    const at = `xb + ${offsetOf(
      axes.map((a) => a.inputStep),
      axes.map((_, k) => `i${k}`),
    )}`;
    const tap =
      axes.reduce((text, a, k) => (text === '' ? `k${k}` : `(${text} * ${a.kernel} + k${k})`), '') || '0';
    const value = load(0, at);
    const padded = Math.ceil(channels / 4) * 4;
    if (weighted) lines.push(`s = fma(${value}, ${load(1, `${tap} * ${padded} + c`)}, s);`);
    else if (combine === 'max') lines.push(`s = max(s, ${value});`);
    else lines.push(`s += ${value};`);
    lines.push(...close);
    if (combine === 'sum' && params.divisor !== 'none') {
      axes.forEach((a, k) => {
        const [low, high] = params.divisor === 'padded' ? [-a.pad, a.input + a.padEnd] : [0, a.input];
        // taps t with low ≤ f + t·dilation < high
        lines.push(`let b${k} = max(0, (${low} - f${k} + ${a.dilation - 1}) / ${a.dilation});`);
        lines.push(`let e${k} = min(${a.kernel}, (${high} - f${k} + ${a.dilation - 1}) / ${a.dilation});`);
      });
      const product = axes.map((_, k) => `max(0, e${k} - b${k})`).join(' * ') || '1';
      lines.push(`s = s / f32(max(1, ${product}));`);
    }
    const position = ['l0', c, ...axes.map((_, k) => `l${k + 1}`)];
    const operands = (epilogue?.strides ?? []).map((strides, k) => {
      const offset = offsetOf(strides, position);
      return vectors ? memory.loadQuad(y + 1 + k, offset, strides[1] ?? 0) : memory.load(y + 1 + k, offset);
    });
    const code = rendered(epilogue?.expr ?? 'x0', type, ['s', ...operands], 't');
    lines.push(...code.lines);
    const offset = offsetOf(
      [batch.outputStep, params.outputChannelStep, ...axes.map((a) => a.outputStep)],
      position,
    );
    lines.push(vectors ? memory.store4(y, offset, code.value) : memory.store(y, offset, code.value));
    return { access, lines, invocations: totalOf(counts), helpers: code.helpers };
  },
};
