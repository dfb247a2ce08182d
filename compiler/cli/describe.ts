/** Tensors in words, for people. */
import type { Tensor } from '#ir/tensor.ts';
import { formatShape } from '#ir/types.ts';
import { type Column, renderColumns } from '../report/columns.ts';
import { plain } from '../report/format.ts';
import type { Terminal } from './terminal.ts';
import type { TopList } from './top.ts';

/** Four significant digits, without trailing zeros. */
export function number(x: number): string {
  if (x === 0 || !Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e6) return String(x);
  return size >= 1e5 || size < 1e-3
    ? x.toExponential(1).replace('e+', 'e')
    : String(Number(x.toPrecision(4)));
}

interface Statistics {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly notFinite: number;
}

function statistics({ data }: Tensor): Statistics {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let finite = 0;
  for (const element of data) {
    const x = Number(element);
    if (!Number.isFinite(x)) continue;
    min = Math.min(min, x);
    max = Math.max(max, x);
    sum += x;
    finite++;
  }
  return { min, max, mean: sum / finite, notFinite: data.length - finite };
}

/** One row per tensor, then the largest elements of vectors. */
export function renderTensors(tensors: ReadonlyMap<string, Tensor>, { colours: c, width }: Terminal): string {
  const columns: Column[] = [
    { title: 'output', align: 'left', shrink: 16, cut: 'start', paint: c.bold },
    { title: 'type', align: 'left' },
    { title: 'shape', align: 'right' },
    { title: 'min', align: 'right' },
    { title: 'max', align: 'right' },
    { title: 'mean', align: 'right' },
    { title: '', align: 'left', paint: (text) => (text.trim() === '' ? text : c.yellow(text)) },
  ];
  const rows = [...tensors].map(([name, tensor]) => {
    const s = statistics(tensor);
    const known = s.notFinite < tensor.data.length;
    return [
      plain(name),
      tensor.type.dtype,
      formatShape(tensor.type.shape),
      ...[s.min, s.max, s.mean].map((x) => (known ? number(x) : '–')),
      s.notFinite > 0 ? `${s.notFinite} NaN or infinite` : '',
    ];
  });
  const table = renderColumns(columns, rows, { width, paintHeader: c.dim });
  const details = [...tensors].flatMap(([name, tensor]) => {
    const top = largestElements(tensor);
    if (top.length === 0) return [];
    const of = tensors.size > 1 ? ` of ${plain(name)}` : '';
    const lines = top.map(([index, x]) => `  ${String(index).padStart(6)}  ${number(x)}`);
    return [`${c.dim(`largest${of}, by index`)}\n${lines.join('\n')}`];
  });
  return [table, ...details].join('\n\n');
}

/** The same for machines; null where nothing is finite. */
export function tensorsAsJson(tensors: ReadonlyMap<string, Tensor>, top?: readonly TopList[]): string {
  const outputs = [...tensors].map(([name, tensor]) => ({
    name,
    dtype: tensor.type.dtype,
    shape: tensor.type.shape,
    ...statistics(tensor),
  }));
  return JSON.stringify({ outputs, ...(top && { top }) }, null, 2);
}

/** The five largest elements of a tensor with one axis, others of size 1 apart, of more elements than that. */
function largestElements({ type, data }: Tensor): readonly (readonly [index: number, x: number])[] {
  const long = type.shape.filter((size) => size > 1);
  if (long.length !== 1 || data.length <= 5 || type.dtype === 'bool') return [];
  return Array.from(data as ArrayLike<number | bigint>, (x, i) => [i, Number(x)] as const)
    .filter(([, x]) => !Number.isNaN(x))
    .sort((a, b) => b[1] - a[1])
    .slice(0, 5);
}
