/**
 * Convolution of up to three spatial axes, any stride, dilation and groups, and its adjoint, as an implicit matrix product:
 * an invocation computes four output channels of a row of pixels. Padding is bounds; layouts are steps; so nothing is
 * copied before or after, and a channel shuffle is a step of the stores.
 */
import { type Tile, USUAL_WORKGROUP } from '../tiles.ts';
import type { HelperName } from '../wgsl-expr.ts';
import {
  type KernelEpilogue,
  type KernelFamily,
  Memory,
  offsetOf,
  rendered,
  splitIndex,
  totalOf,
  weightedArguments,
} from './family.ts';

export interface ConvAxis {
  readonly input: number;
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pad: number;
  /** Words per position. */
  readonly inputStep: number;
  readonly outputStep: number;
}

export interface ConvParams {
  readonly transposed: boolean;
  readonly batch: { readonly count: number; readonly inputStep: number; readonly outputStep: number };
  /** Outermost first. */
  readonly axes: readonly ConvAxis[];
  readonly groups: number;
  /** Input and output channels of a group. */
  readonly perGroup: number;
  readonly channels: number;
  readonly inputChannelStep: number;
  readonly outputChannelStep: number;
  /** Words from the first channel of a group to that of the next. */
  readonly outputGroupStep: number;
  readonly bias: boolean;
  /** One pixel of a transposed convolution. */
  readonly tile: Tile;
  /** Inputs, outputs and operands are read and written four channels at a time. */
  readonly vectors: boolean;
  readonly epilogue: KernelEpilogue | null;
}

export const conv: KernelFamily<ConvParams> = {
  arguments: weightedArguments,
  label({ axes, groups, perGroup, channels, transposed, vectors, tile }) {
    const kernel = axes.map((a) => a.kernel).join('x') || '1';
    const stride = axes.map((a) => a.stride).join('x') || '1';
    const size = axes.map((a) => a.output).join('x') || '1';
    const group = groups > 1 ? `_g${groups}` : '';
    const workgroup = tile.workgroup === USUAL_WORKGROUP ? '' : `w${tile.workgroup}`;
    return `${transposed ? 'deconv' : 'conv'}_${kernel}s${stride}_${size}_${perGroup}to${channels}${group}_p${tile.pixels}${workgroup}${vectors ? '_v4' : ''}`;
  },
  emit(params, regions) {
    const { axes, groups, channels, perGroup, tile, batch, bias, vectors } = params;
    const { pixels, workgroup } = tile;
    const access = vectors ? 'vec4f' : 'f32';
    const memory = new Memory(access, regions);
    const y = bias ? 3 : 2;
    const quads = Math.ceil(channels / 4);
    const rank = axes.length;
    const last = axes[rank - 1];
    const tiles = axes.map((a, k) => (k === rank - 1 ? Math.ceil(a.output / pixels) : a.output));
    const counts = [batch.count, ...tiles, groups, quads];
    const lines = splitIndex(counts, 'l');
    const names = axes.map((_, k) => (k === rank - 1 && pixels > 1 ? `o${k}` : `l${k + 1}`));
    if (last && pixels > 1) lines.push(`let o${rank - 1} = l${rank} * ${pixels};`);
    const [g, quad] = [`l${rank + 1}`, `l${rank + 2}`];
    const pixelList = Array.from({ length: pixels }, (_, p) => p);
    for (const p of pixelList)
      lines.push(`var s${p} = ${bias ? memory.load4(2, `(${g} * ${quads} + ${quad}) * 4`) : 'vec4f()'};`);
    lines.push(`let xb = ${offsetOf([batch.inputStep, params.inputChannelStep * perGroup], ['l0', g])};`);
    lines.push(...tapLoops(params, memory, names, g, quad, quads));
    const helpers = new Set<HelperName>();
    for (const p of pixelList) {
      const at = [...names];
      if (last && pixels > 1) at[rank - 1] = `(o${rank - 1} + ${p})`;
      const body = storeQuad(params, memory, y, `s${p}`, { batch: 'l0', group: g, quad, at }, helpers);
      const partial = last && pixels > 1 && last.output % pixels !== 0 && p > 0;
      lines.push(
        ...(partial ? [`if (o${rank - 1} + ${p} < ${last.output}) {`, ...body, '}'] : ['{', ...body, '}']),
      );
    }
    return { access, lines, invocations: totalOf(counts), workgroup, helpers };
  },
};

/** Of four output channels of a pixel: which ones, in WGSL. */
export interface Quad {
  readonly batch: string;
  readonly group: string;
  readonly quad: string;
  readonly at: readonly string[];
}

/** Statements, for a block of their own, that give the sums of four channels their epilogue and store them. */
export function storeQuad(
  params: Omit<ConvParams, 'tile' | 'transposed'>,
  memory: Memory,
  /** The argument of the output, before those of the epilogue. */
  y: number,
  sum: string,
  { batch, group, quad, at }: Quad,
  helpers: Set<HelperName>,
): string[] {
  const { channels, epilogue, vectors, axes, outputChannelStep } = params;
  const position = [batch, `(${group} * ${channels} + ${quad} * 4)`, ...at];
  const operands = (epilogue?.strides ?? []).map((strides, k) =>
    memory.loadQuad(y + 1 + k, offsetOf(strides, position), strides[1] ?? 0),
  );
  const names = operands.map((_, k) => `e${k}`);
  const code = rendered(epilogue?.expr ?? 'x0', 'vec4f', [sum, ...names], 't');
  for (const helper of code.helpers) helpers.add(helper);
  const steps = [params.batch.outputStep, params.outputGroupStep, 4 * outputChannelStep];
  const offset = offsetOf([...steps, ...axes.map((a) => a.outputStep)], [batch, group, quad, ...at]);
  const lines = [...operands.map((term, k) => `let e${k} = ${term};`), ...code.lines];
  if (vectors) return [...lines, memory.store4(y, offset, code.value)];
  lines.push(`let r = ${code.value};`);
  for (let lane = 0; lane < 4; lane++) {
    const store = memory.store(y, `${offset} + ${lane * outputChannelStep}`, `r[${lane}]`);
    const partial = channels % 4 !== 0 && lane >= channels % 4;
    lines.push(partial ? `if (${quad} * 4 + ${lane} < ${channels}) { ${store} }` : store);
  }
  return lines;
}

/** Loops over the taps of the outer axes, the taps of the last, and the input channels. */
function tapLoops(
  params: ConvParams,
  memory: Memory,
  names: readonly string[],
  group: string,
  quad: string,
  quads: number,
): string[] {
  const { axes, perGroup, vectors, transposed } = params;
  const { pixels } = params.tile;
  const rank = axes.length;
  const taps = totalOf(axes.map((a) => a.kernel));
  const lines: string[] = [];
  const close: string[] = [];
  axes.forEach((a, k) => {
    const name = names[k] ?? '0';
    const row = k < rank - 1 || pixels === 1;
    if (a.kernel > 1) {
      const begin =
        transposed && a.dilation === 1
          ? `(${name} + ${((a.pad % a.stride) + a.stride) % a.stride}) % ${a.stride}`
          : '0';
      const step = transposed && a.dilation === 1 && a.stride > 1 ? `k${k} += ${a.stride}` : `k${k}++`;
      lines.push(`for (var k${k} = ${begin}; k${k} < ${a.kernel}; ${step}) {`);
      close.push('}');
    } else lines.push(`let k${k} = 0;`);
    if (transposed) {
      lines.push(
        `let n${k} = ${name} + ${a.pad} - k${k} * ${a.dilation};`,
        `let i${k} = n${k} / ${a.stride};`,
      );
      const phase =
        a.stride === 1 || (a.kernel > 1 && a.dilation === 1) ? '' : ` && n${k} % ${a.stride} == 0`;
      lines.push(`let inside${k} = n${k} >= 0 && i${k} < ${a.input}${phase};`);
    } else if (row) {
      lines.push(`let i${k} = ${name} * ${a.stride} + k${k} * ${a.dilation} - ${a.pad};`);
      lines.push(`let inside${k} = ${alwaysInside(a) ? 'true' : `i${k} >= 0 && i${k} < ${a.input}`};`);
    } else lines.push(`let i${k} = ${name} * ${a.stride} + k${k} * ${a.dilation} - ${a.pad};`);
  });
  const row = axes.map((a, k) =>
    pixels > 1 && k === rank - 1 ? undefined : { step: a.inputStep, name: `i${k}` },
  );
  const whole = row.flatMap((r) => (r ? [r] : []));
  lines.push(
    `let xr = xb + ${offsetOf(
      whole.map((r) => r.step),
      whole.map((r) => r.name),
    )};`,
  );
  const conditions = axes.flatMap((_, k) => (pixels > 1 && k === rank - 1 ? [] : [`inside${k}`]));
  lines.push(`if (${conditions.join(' && ') || 'true'}) {`);
  close.push('}');
  const last = axes[rank - 1];
  for (let p = 0; p < pixels; p++) {
    if (pixels === 1 || !last) {
      lines.push(`let x${p} = xr;`);
      continue;
    }
    const at = `i${rank - 1} + ${p * last.stride}`;
    const tail = last.output % pixels !== 0;
    if (alwaysInside(last) && !tail) lines.push(`let x${p} = xr + (${at}) * ${last.inputStep};`);
    else {
      lines.push(`let m${p} = ${at} >= 0 && ${at} < ${last.input};`);
      lines.push(`let x${p} = xr + select(0, ${at}, m${p}) * ${last.inputStep};`);
    }
  }
  const masked = pixels > 1 && last !== undefined && !(alwaysInside(last) && last.output % pixels === 0);
  const tap =
    axes.reduce((text, a, k) => (text === '' ? `k${k}` : `(${text} * ${a.kernel} + k${k})`), '') || '0';
  lines.push(`var w = ((${group} * ${taps} + ${tap}) * ${perGroup} * ${quads} + ${quad}) * 4;`);
  const step = vectors && perGroup % 4 === 0 && params.inputChannelStep === 1 ? 4 : 1;
  lines.push(`for (var c = 0; c < ${perGroup}; c += ${step}) {`);
  close.push('}');
  const weights = Array.from(
    { length: step },
    (_, j) => `let w${j} = ${memory.load4(1, `w + ${j * quads * 4}`)};`,
  );
  lines.push(...weights, `w += ${step * quads * 4};`);
  for (let p = 0; p < pixels; p++) {
    const at = `x${p} + c${params.inputChannelStep === 1 ? '' : ` * ${params.inputChannelStep}`}`;
    const value = step === 4 ? memory.load4(0, at) : memory.load(0, at);
    const kept = masked ? `select(${step === 4 ? 'vec4f()' : '0.0'}, ${value}, m${p})` : value;
    lines.push(`let v${p} = ${kept};`);
    if (step === 1) lines.push(`s${p} = fma(vec4f(v${p}), w0, s${p});`);
    else for (let j = 0; j < 4; j++) lines.push(`s${p} = fma(vec4f(v${p}[${j}]), w${j}, s${p});`);
  }
  return [...lines, ...close];
}

/** Does every tap of every output lie inside the input? */
const alwaysInside = (a: ConvAxis): boolean =>
  a.pad === 0 && (a.output - 1) * a.stride + (a.kernel - 1) * a.dilation < a.input;
