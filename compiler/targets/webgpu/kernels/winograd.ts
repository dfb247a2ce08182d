/**
 * Minimal filtering F(2×2, 3×3) (Lavin & Gray, section 4.1) in one dispatch: a workgroup has tiles of 2×2 pixels and quads
 * of output channels. Its invocations transform the inputs of all tiles once, four channels each, into the memory of the
 * workgroup; then each multiplies those of its tile with the weights of its quad. Weights were transformed while compiling.
 */
import { type Matrix, winogradTransform } from '../../../winograd/transforms.ts';
import { MINIMAL_BYTES, type MinimalTile } from '../tiles.ts';
import type { HelperName } from '../wgsl-expr.ts';
import { type ConvAxis, type ConvParams, storeQuad } from './conv.ts';
import {
  type KernelFamily,
  Memory,
  offsetOf,
  splitIndex,
  totalOf,
  WORKGROUP,
  weightedArguments,
} from './family.ts';

/** Outputs of a tile along an axis, and inputs that it takes. */
export const TILE = 2;
const SIZE = 4;
const ELEMENTS = SIZE * SIZE;

/** What has vectors along the channels on both sides, of filters 3×3 without strides and dilations. */
export interface WinogradParams extends Omit<ConvParams, 'transposed' | 'tile'> {
  readonly axes: readonly [ConvAxis, ConvAxis];
  /** As many quads of input channels are transformed at once as there are of output channels. */
  readonly tile: MinimalTile;
}

export const winograd: KernelFamily<WinogradParams> = {
  arguments: weightedArguments,
  label({ axes, groups, perGroup, channels, tile }) {
    const group = groups > 1 ? `_g${groups}` : '';
    const size = axes.map((a) => a.output).join('x');
    return `winograd_3x3_${size}_${perGroup}to${channels}${group}_q${tile.quads}`;
  },
  emit(params, regions) {
    const { axes, groups, channels, perGroup, batch, bias, tile } = params;
    const together = tile.quads;
    const memory = new Memory('vec4f', regions);
    const transform = winogradTransform(TILE);
    const tiles = WORKGROUP / together;
    const [rows, columns] = axes.map((a) => Math.ceil(a.output / TILE)) as [number, number];
    const [own, all] = [Math.ceil(channels / 4), batch.count * rows * columns];
    const depth = perGroup / 4;
    const counts = [groups, Math.ceil(own / together), Math.ceil(all / tiles)];
    const lines = [
      ...splitIndex(counts, 'l'),
      `let t = lane % ${tiles};`,
      `let q = lane / ${tiles};`,
      `let tile = l2 * ${tiles} + t;`,
      `let quad = l1 * ${together} + q;`,
      ...splitIndex([batch.count, rows, columns], 'n', 'tile'),
      `let o0 = n1 * ${TILE};`,
      `let o1 = n2 * ${TILE};`,
    ];
    axes.forEach((a, k) => {
      lines.push(`let i${k} = o${k} - ${a.pad};`);
    });
    const sums = grid((r, c) => `m${r}${c}`);
    for (const sum of sums.flat()) lines.push(`var ${sum} = vec4f();`);
    lines.push(
      `for (var first = 0; first < ${depth}; first += ${together}) {`,
      'let c = first + q;',
      `if (c < ${depth} && tile < ${all}) {`,
      ...inputTile(params, memory),
      ...sandwich(
        transform.input,
        grid((r, c) => `d${r}${c}`),
        'v',
      ),
      ...grid((r, c) => `SCRATCH[${place('q', r * SIZE + c, tiles)}] = v${r}${c};`).flat(),
      '}',
      'workgroupBarrier();',
      `let end = min(${depth} - first, ${together});`,
      'for (var k = 0; k < end; k++) {',
      `let wb = ${weightOffset('l0', `(first + k)`, depth, own)} + quad * 4;`,
      ...sums.flat().flatMap((sum, e) => {
        const weight = (j: number) => memory.load4(1, `wb + ${(e * 4 + j) * own * 4}`);
        return [
          `let u${e} = SCRATCH[${place('k', e, tiles)}];`,
          ...[0, 1, 2, 3].map((j) => `${sum} = fma(vec4f(u${e}[${j}]), ${weight(j)}, ${sum});`),
        ];
      }),
      '}',
      'workgroupBarrier();',
      '}',
      `if (quad < ${own} && tile < ${all}) {`,
      `let bias = ${bias ? memory.load4(2, `(l0 * ${own} + quad) * 4`) : 'vec4f()'};`,
      ...sandwich(transform.output, sums, 's'),
    );
    const helpers = new Set<HelperName>();
    for (let r = 0; r < TILE; r++) {
      for (let c = 0; c < TILE; c++) {
        const pixel = { batch: 'n0', group: 'l0', quad: 'quad', at: [`(o0 + ${r})`, `(o1 + ${c})`] };
        const store = [
          `let sum = s${r}${c} + bias;`,
          ...storeQuad(params, memory, bias ? 3 : 2, 'sum', pixel, helpers),
        ];
        const inside = axes.flatMap((a, k) => {
          const beyond = (k === 0 ? r : c) > 0 && a.output % TILE !== 0;
          return beyond ? [`o${k} + ${k === 0 ? r : c} < ${a.output}`] : [];
        });
        lines.push(inside.length > 0 ? `if (${inside.join(' && ')}) {` : '{', ...store, '}');
      }
    }
    lines.push('}');
    return {
      access: 'vec4f',
      lines,
      invocations: totalOf(counts),
      helpers,
      lanes: WORKGROUP,
      shared: (name) => [`var<workgroup> scratch_${name}: array<vec4f, ${MINIMAL_BYTES / 16}>;`],
    };
  },
};

/** Weights lie as [groups][quads of input channels][elements][input channel of the quad][output channels, to whole quads]. */
const weightOffset = (group: string, quad: string, depth: number, own: number): string =>
  `(${group} * ${depth} + ${quad}) * ${ELEMENTS * 4 * own * 4}`;

/** Where an element of a quad of input channels stands for the own tile. */
const place = (quad: string, element: number, tiles: number): string =>
  `(${quad} * ${ELEMENTS} + ${element}) * ${tiles} + t`;

const grid = <T>(cell: (row: number, column: number) => T): T[][] =>
  Array.from({ length: SIZE }, (_, r) => Array.from({ length: SIZE }, (_, c) => cell(r, c)));

/** The inputs of a tile as d00 … d33, four channels each, with zeros around the image. */
function inputTile({ axes, batch, inputChannelStep, perGroup }: WinogradParams, memory: Memory): string[] {
  const [vertical, horizontal] = axes;
  const base = offsetOf([batch.inputStep, inputChannelStep * perGroup, 4], ['n0', 'l0', 'c']);
  const lines = [`let xb = ${base};`];
  for (let k = 0; k < SIZE; k++) {
    lines.push(`let r${k} = i0 + ${k} >= 0 && i0 + ${k} < ${vertical.input};`);
    lines.push(`let h${k} = i1 + ${k} >= 0 && i1 + ${k} < ${horizontal.input};`);
  }
  for (let r = 0; r < SIZE; r++) {
    for (let c = 0; c < SIZE; c++) {
      const at = `xb + (i0 + ${r}) * ${vertical.inputStep} + (i1 + ${c}) * ${horizontal.inputStep}`;
      lines.push(`var d${r}${c} = vec4f();`, `if (r${r} && h${c}) { d${r}${c} = ${memory.load4(0, at)}; }`);
    }
  }
  return lines;
}

/** M X Mᵀ as statements, of names in a grid; the result is called by prefix, row and column. */
function sandwich(matrix: Matrix, x: readonly (readonly string[])[], prefix: string): string[] {
  const row = (factors: readonly number[], terms: readonly string[]): string => {
    const parts = factors.flatMap((f, k) => (f === 0 ? [] : [product(f, terms[k] ?? '')]));
    return parts.join(' + ').replaceAll('+ -', '- ');
  };
  const lines: string[] = [];
  const columns = x[0]?.length ?? 0;
  matrix.forEach((factors, r) => {
    for (let c = 0; c < columns; c++)
      lines.push(
        `let ${prefix}h${r}${c} = ${row(
          factors,
          x.map((names) => names[c] ?? ''),
        )};`,
      );
  });
  matrix.forEach((_, r) => {
    matrix.forEach((factors, c) => {
      lines.push(
        `let ${prefix}${r}${c} = ${row(
          factors,
          x.map((_, k) => `${prefix}h${r}${k}`),
        )};`,
      );
    });
  });
  return lines;
}

const product = (factor: number, term: string): string =>
  factor === 1 ? term : factor === -1 ? `-${term}` : `${factor} * ${term}`;
