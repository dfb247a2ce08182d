/** Where a text stops being JSON; engines do not agree on whether and how they tell. */

const TOKEN =
  /\s*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or end' | 'nothing';

/** Line and column, from 1, of the first character that cannot stand there. */
export function whereJsonEnds(text: string): { readonly line: number; readonly column: number } {
  const open: string[] = [];
  let expected: Expected = 'value';
  let position = 0;
  for (;;) {
    TOKEN.lastIndex = position;
    const match: RegExpExecArray | null = TOKEN.exec(text);
    const next: Expected | undefined | null =
      match && follow(match[1] ?? (match[2] === undefined ? 'scalar' : 'string'), expected, open);
    if (!match || !next) break;
    expected = next;
    position = TOKEN.lastIndex;
  }
  position += /^\s*/.exec(text.slice(position))?.[0].length ?? 0;
  const before = text.slice(0, position).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
}

/** What is expected after a token; undefined where the token cannot stand there. */
function follow(token: string, expected: Expected, open: string[]): Expected | undefined {
  const after = (): Expected => (open.length === 0 ? 'nothing' : ', or end');
  const takesValue = expected === 'value' || expected === 'value or ]';
  if (token === '{' || token === '[') {
    if (!takesValue) return undefined;
    open.push(token);
    return token === '{' ? 'key or }' : 'value or ]';
  }
  if (token === '}' || token === ']') {
    const fits = expected === ', or end' || expected === (token === '}' ? 'key or }' : 'value or ]');
    if (!fits || open.pop() !== (token === '}' ? '{' : '[')) return undefined;
    return after();
  }
  if (token === ':') return expected === ':' ? 'value' : undefined;
  if (token === ',') {
    if (expected !== ', or end') return undefined;
    return open.at(-1) === '{' ? 'key' : 'value';
  }
  if (token === 'string' && (expected === 'key' || expected === 'key or }')) return ':';
  return takesValue ? after() : undefined;
}
