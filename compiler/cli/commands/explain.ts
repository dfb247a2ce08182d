import { CATALOGUE } from '#ir/diagnostic-catalogue.ts';
import type { DiagnosticKind } from '#ir/diagnostics.ts';
import { fail } from '#ir/diagnostics.ts';
import { FINDINGS } from '#ir/finding-catalogue.ts';
import { renderColumns } from '../../report/columns.ts';
import { wrap } from '../../report/wrap.ts';
import { EXIT } from '../errors.ts';
import type { CommandContext } from '../program.ts';
import { didYouMean } from '../suggest.ts';

const PAGES = { ...CATALOGUE, ...FINDINGS };
type Code = keyof typeof PAGES;
type Kind = DiagnosticKind | 'finding';
const CODES = Object.keys(PAGES) as Code[];

/** What each kind means, in the order of the list. */
const KINDS: readonly (readonly [Kind, string])[] = [
  ['invalid', `the model is wrong (exit code ${EXIT.invalid})`],
  ['unsupported', `something is unsupported, or was not given (exit code ${EXIT.unsupported})`],
  ['usage', `the command is wrong, or a file unreadable (exit code ${EXIT.usage})`],
  ['failed', `a check failed (exit code ${EXIT.failed})`],
  ['bug', `convolith is wrong (exit code ${EXIT.bug})`],
  ['warning', 'a warning'],
  ['note', 'a note'],
  ['finding', 'what audit finds worth saying about a network'],
];

export function runExplain(code: string | undefined, context: CommandContext): void {
  context.terminal.print(code === undefined ? list(context) : explain(code, context));
}

function list({ terminal }: CommandContext): string {
  const c = terminal.colours;
  const width = Math.max(...CODES.map((code) => code.length));
  const blocks = KINDS.flatMap(([kind, meaning]) => {
    const codes = CODES.filter((code) => PAGES[code].kind === kind);
    if (codes.length === 0) return [];
    const rows = codes.map((code) => [`  ${code.padEnd(width)}`, PAGES[code].title]);
    const columns = [
      { title: '', align: 'left', paint: c.cyan },
      { title: '', align: 'left' },
    ] as const;
    return [
      `${c.bold(kind)}: ${meaning}\n${renderColumns(columns, rows, { width: terminal.width, header: false })}`,
    ];
  });
  return blocks.join('\n\n');
}

function explain(given: string, { terminal }: CommandContext): string {
  // as it stands in a message: error[onnx-truncated]
  const name = /\[([\w-]+)\]/.exec(given)?.[1] ?? given;
  const code = CODES.find((known) => known === name);
  if (code === undefined) {
    const hint = didYouMean(name, CODES) ?? 'convolith explain lists them all';
    fail('usage-invalid', name, 'there is no diagnostic or finding of this code', hint);
  }
  const c = terminal.colours;
  const entry: { kind: Kind; title: string; explanation: string; hint?: string } = PAGES[code];
  const meaning = KINDS.find(([kind]) => kind === entry.kind)?.[1] ?? '';
  const width = Math.min(terminal.width, 100);
  return [
    `${c.bold(c.cyan(code))}  ${c.bold(entry.title)}`,
    wrap(entry.explanation, width),
    ...(entry.hint === undefined ? [] : [wrap(`What to do: ${entry.hint}.`, width)]),
    c.dim(`Kind: ${entry.kind}, ${meaning}`),
  ].join('\n\n');
}
