/** What a rewrite did, for a terminal and as Markdown. */
import type { RewriteReport } from '../rewrite/schema.ts';
import { type Column, renderColumns } from './columns.ts';
import { microseconds } from './footprint.ts';
import { bytes, counted, grouped, percent, plain, short } from './format.ts';
import { table } from './markdown.ts';
import { wrap } from './wrap.ts';

export interface RewriteView {
  readonly width?: number;
  readonly colour?: boolean;
  /** Every refusal, and layers that stay as they are. */
  readonly explain?: boolean;
}

/** A table, before it is drawn one way or the other. */
export interface RewriteBlock {
  readonly title: string;
  /** A title that ends in a colon is of numbers. */
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly note?: string;
}

export function renderRewrite(report: RewriteReport, view: RewriteView = {}): string {
  const { width = 100, colour = false } = view;
  const paint = (open: number, close: number) => (text: string) =>
    colour ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  const [bold, dim] = [paint(1, 22), paint(2, 22)];
  const blocks = rewriteBlocks(report, view).map(({ title, heads, rows, note }) => {
    const columns = heads.map(
      (head, i): Column => ({
        title: head.replace(/:$/, ''),
        align: head.endsWith(':') ? 'right' : 'left',
        ...(i === 0 ? { shrink: 22, cut: 'start' } : {}),
        ...(head === 'why' ? { shrink: 24 } : {}),
      }),
    );
    const body = rows.length > 0 ? renderColumns(columns, rows, { width, paintHeader: dim }) : '';
    return [bold(title), body, note ? dim(wrap(note, width)) : ''].filter((s) => s !== '').join('\n');
  });
  return `${blocks.join('\n\n')}\n`;
}

export function renderRewriteMarkdown(report: RewriteReport, view: RewriteView = {}): string {
  const blocks = rewriteBlocks(report, view).map(({ title, heads, rows, note }) =>
    [`## ${title}`, rows.length > 0 ? table(heads, rows) : '', note ?? '']
      .filter((s) => s !== '')
      .join('\n\n'),
  );
  return `# ${plain(report.model)}, rewritten\n\n${blocks.join('\n\n')}\n`;
}

/** The parts of the report, in order. */
export const rewriteBlocks = (report: RewriteReport, view: RewriteView): readonly RewriteBlock[] => [
  totals(report),
  ...passes(report),
  ...layers(report, view),
  ...(view.explain ? [...applications(report), ...refusals(report)] : []),
  verification(report),
];

function totals({ model, before, after, device }: RewriteReport): RewriteBlock {
  const row = (name: string, of: (t: RewriteReport['before']) => number, write: (n: number) => string) => [
    name,
    write(of(before)),
    write(of(after)),
    of(before) === 0 ? '' : percent(of(after) / of(before)),
  ];
  return {
    title: plain(model),
    heads: ['', 'before:', 'after:', ':'],
    rows: [
      row('nodes', (t) => t.nodes, grouped),
      row('MACs', (t) => t.macs, grouped),
      row('parameters', (t) => t.parameters, grouped),
      row('traffic', (t) => t.movedBytes, bytes),
      row('peak activations', (t) => t.peakActivationBytes, bytes),
      ...(device === null ? [] : [row('predicted time', (t) => t.us ?? 0, microseconds)]),
    ],
    ...(device === null ? {} : { note: `time as predicted for ${plain(device)}` }),
  };
}

function passes({ passes: done }: RewriteReport): readonly RewriteBlock[] {
  if (done.length === 0)
    return [{ title: 'Exact passes', heads: [], rows: [], note: 'none found anything to do' }];
  const less = (n: number) => (n === 0 ? '' : n > 0 ? `−${short(n)}` : `+${short(-n)}`);
  return [
    {
      title: 'Exact passes',
      heads: ['pass', 'changes:', 'nodes:', 'MACs:', 'other operations:'],
      rows: done.map(({ pass, changes, nodes, macs, otherOps }) => [
        pass,
        grouped(changes),
        less(nodes),
        less(macs),
        less(otherOps),
      ]),
    },
  ];
}

function layers(
  { layers: all, calibration, device }: RewriteReport,
  { explain }: RewriteView,
): readonly RewriteBlock[] {
  if (!all) return [];
  const changed = all.filter((l) => l.form);
  const measure = calibration
    ? `weights off: sum of squares of what weights are off by, as part of theirs, before any fit. Outputs off: mean square of what the outputs of a layer are off by, as part of their variance, on ${counted(calibration.samples, 'sample')}, as the form was chosen; fitted: behind the layers rewritten before`
    : 'weights off: sum of squares of what weights are off by, as part of theirs; no data was given, so nothing is known of outputs';
  const arrow = (from: number, to: number, write: (n: number) => string) => `${write(from)} → ${write(to)}`;
  const timed = device !== null;
  const rows = changed.flatMap(({ layer, before, form }) =>
    form
      ? [
          [
            plain(layer),
            form.method,
            form.rank,
            arrow(before.macs, form.after.macs, short),
            arrow(before.parameters, form.after.parameters, short),
            arrow(before.bytes, form.after.bytes, bytes),
            ...(timed ? [arrow(before.us ?? 0, form.after.us ?? 0, microseconds)] : []),
            scientific(form.weightError),
            ...(calibration ? [scientific(form.chosenError), scientific(form.error)] : []),
          ],
        ]
      : [],
  );
  const kept = all.filter((l) => !l.form);
  const blocks: RewriteBlock[] = [
    {
      title: `Factorised: ${changed.length} of ${counted(all.length, 'convolution')}`,
      heads: [
        ...['layer', 'form', 'rank', 'MACs:', 'parameters:', 'traffic:'],
        ...(timed ? ['time:'] : []),
        ...['weights off:', ...(calibration ? ['outputs off:', 'fitted:'] : [])],
      ],
      rows,
      note: measure,
    },
  ];
  const why = (title: string, some: typeof all): readonly RewriteBlock[] => {
    const told = some.filter(({ refusals: reasons }) => reasons.length > 0);
    if (!explain || told.length === 0) return [];
    const reasonsOf = (l: (typeof all)[number]) =>
      l.refusals.map(({ method, reason }) => (method ? `${method}: ${reason}` : reason)).join('; ');
    return [{ title, heads: ['layer', 'why'], rows: told.map((l) => [plain(l.layer), reasonsOf(l)]) }];
  };
  blocks.push(...why('As they were', kept), ...why('Forms that others do not have', changed));
  return blocks;
}

const applications = ({ applications: all }: RewriteReport): readonly RewriteBlock[] =>
  all.length === 0
    ? []
    : [
        {
          title: 'Applied',
          heads: ['at', 'rule'],
          rows: all.map(({ rule, node }) => [plain(node), rule]),
        },
      ];

const refusals = ({ refusals: all }: RewriteReport): readonly RewriteBlock[] =>
  all.length === 0
    ? []
    : [
        {
          title: 'Refused',
          heads: ['at', 'rule', 'why'],
          rows: all.map(({ rule, node, reason }) => [plain(node), rule, plain(reason)]),
        },
      ];

function verification({ verification: v }: RewriteReport): RewriteBlock {
  const what = v.noise ? `${counted(v.samples, 'input')} of noise` : counted(v.samples, 'sample');
  const bound = v.bound === null ? '' : `; an exact rewrite may differ by ${scientific(v.bound)}`;
  return {
    title: 'Compared with the original',
    heads: ['output', 'largest:', 'mean:', 'same class:'],
    rows: v.outputs.map(({ output, largest, mean, sameTop }) => [
      plain(output),
      scientific(largest),
      scientific(mean),
      sameTop === null ? '' : percent(sameTop),
    ]),
    note: `differences as parts of the largest magnitude of each output, on ${what}${bound}`,
  };
}

const scientific = (n: number | undefined): string =>
  n === undefined ? '' : n === 0 ? '0' : n.toExponential(1);
