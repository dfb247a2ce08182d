/** Names that need no quotes; those that exporters make (`/layer1/Conv_output_0`, `onnx::Conv_12`) are among them. */
export const PLAIN_NAME = /[\w./$-]+(?:::[\w./$-]+)*/y;

/** The name that a node has in the text form where it says none. */
export const derivedName = (output: string): string => output.replace(/_out$/, '') || output;

export interface Token {
  readonly kind: 'word' | 'name' | 'string' | 'sign' | 'end';
  /** Without the quotes of a string and the % of a name. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const SPACE = /(?:\s+|#[^\n]*)*/y;
const WORD = /[\w.+-]+/y;
const SIGN = /->|[{}()[\]:,=]/y;

/** A cursor over the tokens of the text form, one token ahead. */
export class Tokens {
  readonly #text: string;
  #token: Token;
  #last = 0;

  constructor(text: string) {
    this.#text = text;
    this.#token = this.#read(0);
  }

  /** An error at the token before the cursor. */
  error(message: string): SyntaxError {
    const line = this.#text.slice(0, this.#last).split('\n').length;
    return new SyntaxError(`line ${line}: ${message}`);
  }

  /** Is the next token this sign or word? */
  at(text: string): boolean {
    const { kind } = this.#token;
    return (kind === 'sign' || kind === 'word') && this.#token.text === text;
  }

  take(text: string): boolean {
    if (!this.at(text)) return false;
    this.advance();
    return true;
  }

  expect(text: string): void {
    if (!this.take(text)) this.next('nothing', `"${text}"`);
  }

  advance(): Token {
    const token = this.#token;
    this.#last = token.start;
    this.#token = this.#read(token.end);
    return token;
  }

  next(kind: Token['kind'] | 'nothing', wanted: string): Token {
    const token = this.advance();
    if (token.kind !== kind) {
      throw this.error(`expected ${wanted}, found ${token.kind === 'end' ? 'the end' : `"${token.text}"`}`);
    }
    return token;
  }

  word = (): string => this.next('word', 'a word').text;
  string = (): string => this.next('string', 'a string in double quotes').text;
  number = (): number => this.toNumber(this.advance());

  bigint(): bigint {
    const { text } = this.next('word', 'a whole number');
    if (!/^-?\d+$/.test(text)) throw this.error(`"${text}" is not a whole number`);
    return BigInt(text);
  }

  toNumber({ kind, text }: Token): number {
    const value = Number(text);
    if (kind !== 'word' || (Number.isNaN(value) && text !== 'NaN'))
      throw this.error(`"${text}" is not a number`);
    return value;
  }

  end(): void {
    if (this.#token.kind !== 'end') this.next('end', 'the end');
  }

  /** Where the next token starts. */
  position = (): number => this.#token.start;
  /** The text from `start` to the end of the token before the cursor. */
  since = (start: number): string => this.#text.slice(start, this.#token.start).replace(/#[^\n]*/g, '');

  #read(from: number): Token {
    const text = this.#text;
    const start = from + (match(SPACE, text, from) ?? '').length;
    const token = (kind: Token['kind'], body: string, end = start + body.length): Token => ({
      kind,
      text: body,
      start,
      end,
    });
    if (start >= text.length) return token('end', '');
    const isName = text[start] === '%';
    const at = isName ? start + 1 : start;
    if (text[at] === '"') {
      const end = this.#stringEnd(at);
      return token(isName ? 'name' : 'string', this.#unquote(at, end), end);
    }
    if (isName) {
      const name = match(PLAIN_NAME, text, at) ?? '';
      return token('name', name, at + name.length);
    }
    const sign = match(SIGN, text, start);
    if (sign !== undefined) return token('sign', sign);
    const word = match(WORD, text, start);
    if (word !== undefined) return token('word', word);
    this.#last = start;
    throw this.error(`unexpected character "${text[start]}"`);
  }

  #unquote(start: number, end: number): string {
    try {
      return String(JSON.parse(this.#text.slice(start, end)));
    } catch {
      this.#last = start;
      throw this.error('a string is not well formed');
    }
  }

  /** Past the closing quote. Scanned by hand: base64 data is too long for a regular expression with alternatives. */
  #stringEnd(start: number): number {
    for (
      let quote = this.#text.indexOf('"', start + 1);
      quote >= 0;
      quote = this.#text.indexOf('"', quote + 1)
    ) {
      let backslashes = 0;
      while (this.#text[quote - 1 - backslashes] === '\\') backslashes++;
      if (backslashes % 2 === 0) return quote + 1;
    }
    this.#last = start;
    throw this.error('a string does not end');
  }
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
