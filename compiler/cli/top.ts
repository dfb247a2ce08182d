/** The largest elements of outputs, with the names of the classes that they stand for. */
import { readFile } from 'node:fs/promises';
import { fail } from '#ir/diagnostics.ts';
import type { Tensor } from '#ir/tensor.ts';
import { parseJsonText } from '../files/json-text.ts';
import { systemReason } from '../files/read-file.ts';
import { type Column, renderColumns } from '../report/columns.ts';
import { plain } from '../report/format.ts';
import { number } from './describe.ts';
import type { Terminal } from './terminal.ts';

export interface TopEntry {
  readonly index: number;
  readonly value: number;
  readonly label?: string;
}

/** The largest elements of one vector of an output. */
export interface TopList {
  readonly output: string;
  /** Which vector, where the output holds several: its position in the axes before the last. */
  readonly row: readonly number[];
  readonly entries: readonly TopEntry[];
}

/** One label per line, or a JSON list of them. @throws CompileError `input-invalid` for any other JSON */
export async function readLabels(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) =>
    fail('file-unreadable', file, systemReason(error)),
  );
  const isJson = /\.json$/i.test(file) || /^\s*(\{|\[\s*["\]])/.test(text);
  if (!isJson) return text.replace(/\r?\n$/, '').split(/\r?\n/);
  const list = parseJsonText(text, { code: 'input-invalid', subject: file, form: FORM });
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  const what = Array.isArray(list) ? 'a list with other things' : 'no list';
  return fail('input-invalid', file, `a JSON list of strings is expected; this is ${what}`, FORM);
}

const FORM = 'write one label per line, or a JSON list in the order of the classes: ["cat", "dog"]';

/**
 * Of each vector along the last axis that is longer than 1, the `count` largest elements; NaN is never among them.
 * @throws CompileError `input-invalid` where there are fewer labels than elements of every vector
 */
export function topLists(
  outputs: ReadonlyMap<string, Tensor>,
  count: number,
  labels?: { readonly file: string; readonly list: readonly string[] },
): readonly TopList[] {
  const lists = [...outputs].flatMap(([output, { type, data }]): readonly TopList[] => {
    const { length, shape } = vectors(type.shape);
    const rows = length === 0 ? 0 : data.length / length;
    return Array.from({ length: rows }, (_, row) => ({
      output,
      row: rows > 1 ? positionOf(row, shape) : [],
      entries: Array.from({ length }, (_, index) => ({ index, value: Number(data[row * length + index]) }))
        .filter(({ value }) => !Number.isNaN(value))
        .sort((a, b) => b.value - a.value || a.index - b.index)
        .slice(0, count)
        .map((entry) => labelled(entry, length, labels?.list)),
    }));
  });
  const entries = lists.flatMap((list) => list.entries);
  if (labels && entries.length > 0 && !entries.some((entry) => 'label' in entry)) {
    const { file, list } = labels;
    const lengths = [...new Set([...outputs.values()].map(({ type }) => vectors(type.shape).length))];
    const message = `it has ${list.length} labels; no output has as many elements in a vector`;
    fail('input-invalid', file, message, `give a label for each of the ${lengths.join(' or ')} elements`);
  }
  return lists;
}

/** The length of the vectors of an output, and the axes before. */
function vectors(all: readonly number[]): { readonly length: number; readonly shape: readonly number[] } {
  // axes of size 1 at the end, as global pooling leaves them, say nothing
  const shape = [...all];
  while (shape.length > 1 && shape[shape.length - 1] === 1) shape.pop();
  return { length: shape.pop() ?? 1, shape };
}

const labelled = (entry: TopEntry, length: number, labels: readonly string[] | undefined): TopEntry => {
  const label = labels?.length === length ? labels[entry.index] : undefined;
  return label === undefined ? entry : { ...entry, label };
};

function positionOf(row: number, shape: readonly number[]): number[] {
  const at: number[] = [];
  let rest = row;
  for (const size of [...shape].reverse()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return at;
}

export function renderTop(lists: readonly TopList[], { colours: c, width }: Terminal): string {
  const labels = lists.some(({ entries }) => entries.some((entry) => entry.label !== undefined));
  const columns: Column[] = [
    { title: 'rank', align: 'right', paint: c.dim },
    { title: 'index', align: 'right' },
    { title: 'value', align: 'right' },
    ...(labels ? [{ title: 'label', align: 'left', shrink: 16, paint: c.bold } as const] : []),
  ];
  return lists
    .map(({ output, row, entries }) => {
      const name = `${plain(output)}${row.length > 0 ? `[${row.join(', ')}]` : ''}`;
      const rows = entries.map(({ index, value, label }, rank) => [
        String(rank + 1),
        String(index),
        number(value),
        ...(labels ? [plain(label ?? '')] : []),
      ]);
      return `${c.bold(name)}\n${renderColumns(columns, rows, { width, paintHeader: c.dim })}`;
    })
    .join('\n\n');
}
