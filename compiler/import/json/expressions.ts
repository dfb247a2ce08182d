/** Parameters of blocks: `"$width"` is the parameter's value, `"$width * 4"` arithmetic on it. */
import { nearOrAll } from './hints.ts';

export type Parameters = ReadonlyMap<string, unknown>;

/** Why an expression has no value, and what to write. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** A parameter that should have been given, and was reported: what reads it is neither right nor wrong. */
export const NOT_GIVEN = Symbol('not given');
export class NotGiven extends Error {
  override readonly name = 'NotGiven';
}

const VOCABULARY = 'there are numbers, $parameters, + - * / // % and ( )';

/** `value` with every text that has a `$` replaced by what it stands for, at any depth. @throws ExpressionError | NotGiven */
export function substitute(value: unknown, parameters: Parameters): unknown {
  if (typeof value === 'string') return value.includes('$') ? evaluate(value, parameters) : value;
  if (Array.isArray(value)) return value.map((v) => substitute(v, parameters));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, substitute(v, parameters)]));
}

/** Sums and products of numbers and parameters, with parentheses; `/` is exact division, `//` rounds down. */
export function evaluate(text: string, parameters: Parameters): unknown {
  const alone = /^\$([A-Za-z_]\w*)$/.exec(text.trim())?.[1];
  if (alone !== undefined) return lookup(alone, parameters);
  const tokens = text.match(/\d+(?:\.\d+)?|\$[A-Za-z_]\w*|\/\/|[-+*/()%]|\S/g) ?? [];
  if (tokens.length > 200)
    throw new ExpressionError('the expression is too long', 'give its result as a parameter: "with": { … }');
  let next = 0;
  let depth = 0;
  const take = (...signs: readonly string[]): string | undefined => {
    const token = tokens[next];
    return token !== undefined && signs.includes(token) ? tokens[next++] : undefined;
  };
  const sum = (): number => {
    let total = product();
    for (let sign = take('+', '-'); sign; sign = take('+', '-'))
      total += sign === '+' ? product() : -product();
    return total;
  };
  const product = (): number => {
    let total = atom();
    for (let sign = take('*', '/', '//', '%'); sign; sign = take('*', '/', '//', '%')) {
      const right = atom();
      if (sign === '*') total *= right;
      else if (sign === '%') total %= right;
      else total = sign === '/' ? total / right : Math.floor(total / right);
    }
    return total;
  };
  const atom = (): number => {
    if (++depth > 100)
      throw new ExpressionError('the expression is nested too deeply', 'take parentheses away');
    try {
      if (take('-')) return -atom();
      if (take('(')) {
        const inside = sum();
        if (!take(')'))
          throw new ExpressionError(
            'a ")" is missing',
            `write ${JSON.stringify(`${text})`)}, or put it where it belongs`,
          );
        return inside;
      }
      const token = tokens[next++];
      if (token === undefined)
        throw new ExpressionError(
          'the expression ends too early',
          `a number or a $parameter is missing after ${JSON.stringify(text)}`,
        );
      if (token.startsWith('$') && token.length > 1) {
        const value = lookup(token.slice(1), parameters);
        if (typeof value === 'number') return value;
        throw new ExpressionError(
          `${token} is not a number`,
          `only numbers are calculated with; alone, "${token}" is its value`,
        );
      }
      if (/^\d/.test(token)) return Number(token);
      throw new ExpressionError(`"${token}" is not understood`, VOCABULARY);
    } finally {
      depth--;
    }
  };
  const result = sum();
  if (next < tokens.length) throw new ExpressionError(`"${tokens[next]}" is not understood here`, VOCABULARY);
  if (!Number.isFinite(result))
    throw new ExpressionError(
      'the result is not a number',
      'its divisor is 0: write another, or give the parameter another value',
    );
  return result;
}

function lookup(name: string, parameters: Parameters): unknown {
  if (parameters.has(name)) {
    const value = parameters.get(name);
    if (value === NOT_GIVEN) throw new NotGiven();
    return value;
  }
  if (name === 'index')
    throw new ExpressionError('$index is not known here', 'it counts from 0 in the layers of a "repeat"');
  const known = [...parameters.keys()].map((key) => `$${key}`);
  throw new ExpressionError(
    `there is no parameter $${name}`,
    nearOrAll(
      `$${name}`,
      known,
      'write the number itself, or put the layer in a block with this parameter under "blocks"',
    ),
  );
}
