/** Where a command prints: its result to stdout, everything else to stderr. */
import pc from 'picocolors';

export type Colours = ReturnType<typeof pc.createColors>;

type Stream = NodeJS.WriteStream;

/** NO_COLOR and FORCE_COLOR decide, else whether the stream is a terminal that knows colours. */
export function wantsColour(stream: Pick<Stream, 'isTTY'>, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

/** Told how far a long piece of work is. */
export interface Progress {
  /** `part` names the stage of the work that `done` and `total` are of. */
  update(done: number, total: number, part?: string): void;
  /** Removes what was drawn. */
  end(): void;
}

const DEFAULT_WIDTH = 100;
/** Work that ends sooner shows nothing. */
const QUIET_MS = 1000;
const REDRAW_MS = 100;

export class Terminal {
  /** No notes, no progress. */
  quiet = false;
  /** For stdout. */
  readonly colours: Colours = pc.createColors(wantsColour(process.stdout));
  /** For stderr. */
  readonly errorColours: Colours = pc.createColors(wantsColour(process.stderr));

  /** Columns of the terminal. */
  get width(): number {
    return process.stdout.columns || DEFAULT_WIDTH;
  }

  get colour(): boolean {
    return wantsColour(process.stdout);
  }

  /** The result of the command. */
  print(text: string): void {
    process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** Something by the way; not with --quiet. */
  note(text: string): void {
    if (!this.quiet) this.error(text);
  }

  error(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** Draws on a terminal only, and only once the work takes more than a second. */
  progress(label: string): Progress {
    const started = performance.now();
    const on = process.stderr.isTTY === true && !this.quiet;
    let drawn = 0;
    let stage = { label, since: started };
    return {
      update: (done, total, part = label) => {
        const now = performance.now();
        if (part !== stage.label) stage = { label: part, since: now };
        if (!on || now - started < QUIET_MS || now - drawn < REDRAW_MS) return;
        drawn = now;
        process.stderr.write(`\r\u001b[K${progressLine(part, done, total, now - stage.since)}`);
      },
      end: () => {
        if (drawn > 0) process.stderr.write('\r\u001b[K');
      },
    };
  }
}

/** `reference  ━━━━━━──────  52 %  about 3 s left`. */
export function progressLine(label: string, done: number, total: number, elapsedMs: number): string {
  const part = total > 0 ? Math.min(1, done / total) : 0;
  const cells = 24;
  const full = Math.round(part * cells);
  const left = part > 0.05 ? `  about ${Math.ceil((elapsedMs / part - elapsedMs) / 1000)} s left` : '';
  return `${label}  ${'━'.repeat(full)}${'─'.repeat(cells - full)}  ${Math.floor(part * 100)} %${left}`;
}
