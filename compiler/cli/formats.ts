/** Formats of what audits write: by --format, else by the extension of -o. */
import { fail } from '#ir/diagnostics.ts';

const EXTENSIONS = {
  table: ['txt'],
  json: ['json'],
  csv: ['csv'],
  md: ['md'],
  dot: ['dot', 'gv'],
  svg: ['svg'],
  html: ['html', 'htm'],
  sarif: ['sarif'],
  github: [],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type Format = keyof typeof EXTENSIONS;

/** All that there are, as the command line names them. */
export const FORMATS = Object.keys(EXTENSIONS) as readonly Format[];

export interface FormatTexts {
  readonly format?: string;
  readonly output?: string;
}

/**
 * A table where neither is said.
 * @param what has these formats, for messages: `an audit`
 * @throws CompileError `usage-invalid` for an extension that no format has, and for a format that this has not
 */
export function formatOf<F extends Format>(
  { format, output }: FormatTexts,
  allowed: readonly F[],
  what: string,
): F {
  const extension = /\.(\w+)$/.exec(output ?? '')?.[1]?.toLowerCase();
  const byExtension = extension === undefined ? 'table' : ofExtension(extension);
  const asked = format ?? byExtension;
  const given = format === undefined ? `-o ${output}` : `--format ${format}`;
  if (asked === undefined) {
    fail('usage-invalid', given, `no format goes with .${extension}`, 'give one with --format');
  }
  const found = allowed.find((one) => one === asked);
  return (
    found ?? fail('usage-invalid', given, `${what} has no form of ${asked}`, `there is ${allowed.join(', ')}`)
  );
}

const ofExtension = (extension: string): Format | undefined =>
  FORMATS.find((format) => EXTENSIONS[format].some((own) => own === extension));
