/** Overlapping blocks added up to an image: an invocation collects what lies over one pixel. */
import type { BlockAxis } from '#ir/ops/col2im.ts';
import { product } from '#ir/types.ts';
import { type KernelFamily, Memory, splitIndex } from './family.ts';

export interface ColumnsParams {
  readonly planes: number;
  readonly axes: readonly BlockAxis[];
}

/** Everything row-major. */
export const columns: KernelFamily<ColumnsParams> = {
  arguments: () => ['x', 'y'],
  label: ({ planes, axes }) =>
    `columns_${planes}_${axes.map((a) => a.image).join('x')}b${axes.map((a) => a.block).join('x')}`,
  emit({ planes, axes }, regions) {
    const memory = new Memory('f32', regions);
    const lines = [...splitIndex([planes, ...axes.map((a) => a.image)], 'l'), 'var s = 0.0;'];
    axes.forEach((a, k) => {
      lines.push(
        `for (var k${k} = 0; k${k} < ${a.block}; k${k}++) {`,
        `let q${k} = l${k + 1} + ${a.pad} - k${k} * ${a.dilation};`,
        `if (q${k} >= 0 && q${k} % ${a.stride} == 0 && q${k} / ${a.stride} < ${a.count}) {`,
      );
    });
    const flat = (sizes: readonly number[], names: readonly string[]) =>
      names.reduce((text, name, k) => (text === '' ? name : `(${text} * ${sizes[k]} + ${name})`), '');
    const tap = flat([planes, ...axes.map((a) => a.block)], ['l0', ...axes.map((_, k) => `k${k}`)]);
    const window = flat(
      axes.map((a) => a.count),
      axes.map((a, k) => `q${k} / ${a.stride}`),
    );
    const windows = product(axes.map((a) => a.count));
    lines.push(`s += ${memory.load(0, `${tap} * ${windows} + ${window}`)};`, ...axes.map(() => '}}'));
    lines.push(memory.store(1, 'i', 's'));
    return { access: 'f32', lines, invocations: planes * product(axes.map((a) => a.image)) };
  },
};
