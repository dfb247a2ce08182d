/** Where a text stops being JSON, as engines do not agree on whether and how they tell; and what JSON.parse drops. */
import { at, type Path } from './problems.ts';

const TOKEN =
  /\s*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;

type Expected = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or end' | 'nothing';

/** Line and column, from 1, of the first character that cannot stand there, and what to write. */
export function whereJsonEnds(text: string): {
  readonly line: number;
  readonly column: number;
  readonly hint: string;
} {
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
  return {
    line: before.length,
    column: (before.at(-1) ?? '').length + 1,
    hint: malformedHint(text.slice(position, position + 40), expected, open),
  };
}

/** What to do about `rest`, which is not what is expected after what is open. */
function malformedHint(rest: string, expected: Expected, open: readonly string[]): string {
  const close = open.at(-1) === '{' ? '}' : ']';
  if (rest === '') {
    const closing = [...open].reverse().map((bracket) => (bracket === '{' ? '}' : ']'));
    return closing.length === 0
      ? 'write a network here'
      : `the text ends too early: ${closing.join(' ')} is missing`;
  }
  if (/^\/[/*]/.test(rest) || rest.startsWith('#')) return 'JSON has no comments; "description" is for text';
  if (rest.startsWith("'")) return 'a text stands in double quotes, here and at its end';
  if ((expected === 'key' || expected === 'value') && rest.startsWith(close) && open.length > 0)
    return 'take the comma before it away';
  if (expected === 'nothing') return 'take away what stands here; the network has ended';
  if (expected === ', or end')
    return /^[\]}]/.test(rest)
      ? `write "${close}", which closes what is open`
      : `write "," before it, or "${close}" if nothing follows`;
  if (expected === ':') return 'write ":" between a key and its value';
  const word = /^[A-Za-z_$][\w$-]*/.exec(rest)?.[0];
  if (expected === 'key' || expected === 'key or }')
    return word === undefined ? 'write a key in double quotes' : `write it in double quotes: "${word}"`;
  if (word === 'NaN' || word === 'Infinity') return `JSON has no ${word}; write a number`;
  if (word !== undefined)
    return ['true', 'false', 'null'].includes(word.toLowerCase())
      ? `write ${word.toLowerCase()}`
      : `write it in double quotes: "${word}"`;
  if (rest.startsWith('"'))
    return 'a text ends in the line in which it begins; write \\" for a quote within it';
  return /^[-+.\d]/.test(rest)
    ? 'a number is written as 10, -1, 0.5 or 1e-5'
    : 'a value is expected here: a number, a text in double quotes, a list or an object';
}

interface RepeatedKey {
  readonly path: Path;
  readonly key: string;
  /** From 1. */
  readonly lines: readonly [first: number, second: number];
}

/** Keys that one object has twice, of which JSON.parse keeps the last. `text` is JSON. */
export function repeatedKeys(text: string): RepeatedKey[] {
  const found: RepeatedKey[] = [];
  const open: { keys: Map<string, number> | undefined; key: string; index: number }[] = [];
  const line = (position: number) => text.slice(0, position).split('\n').length;
  let isKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    const inside = open.at(-1);
    if (c === '{' || c === '[') open.push({ keys: c === '{' ? new Map() : undefined, key: '', index: 0 });
    else if (c === '}' || c === ']') open.pop();
    else if (c === ',' && inside) inside.index++;
    if (c === '{' || (c === ',' && inside?.keys)) isKey = true;
    if (c !== '"') continue;
    const start = i;
    for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
    if (!isKey || !inside?.keys) continue;
    isKey = false;
    inside.key = JSON.parse(text.slice(start, i + 1)) as string;
    const before = inside.keys.get(inside.key);
    if (before === undefined) inside.keys.set(inside.key, start);
    else {
      const path = open.reduce<Path>((p, { keys, key, index }) => at(p, keys ? key : index), '');
      found.push({ path, key: inside.key, lines: [line(before), line(start)] });
    }
  }
  return found;
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
    if (!fits || open.at(-1) !== (token === '}' ? '{' : '[')) return undefined;
    open.pop();
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
