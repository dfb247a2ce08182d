import { decodeBase64 } from './base64.ts';
import { type Expr, parseExpr } from './expr.ts';
import { Graph, isOpName, type NodeOptions, type OutputCount, type Value } from './graph.ts';
import { OpError } from './op.ts';
import { allocate, type Constant, tensor, viewBytes, write } from './tensor.ts';
import { derivedName, type Token, Tokens } from './text-tokens.ts';
import { byteSize, elementCount, formatType, isDType, isWide, sameType, type TensorType } from './types.ts';

/** Elements that a `splat` may allocate. */
const LARGEST_SPLAT = 2 ** 28;

/** Reads the text form of a graph. @throws SyntaxError, with the line, where the text or the graph in it is wrong. */
export function parseGraph(text: string): Graph {
  const tokens = new Tokens(text);
  try {
    return new Parser(tokens).graph();
  } catch (error) {
    if (error instanceof OpError || error instanceof RangeError) throw tokens.error(error.message);
    throw error;
  }
}

class Parser {
  readonly #tokens: Tokens;
  readonly #values = new Map<string, Value>();
  #graph = new Graph('');

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  graph(): Graph {
    const t = this.#tokens;
    t.expect('graph');
    this.#graph = new Graph(t.string());
    t.expect('{');
    while (!t.take('}')) this.#line();
    t.end();
    return this.#graph;
  }

  #line(): void {
    const t = this.#tokens;
    if (t.take('input')) {
      const { name, type } = this.#typed();
      this.#define(name, () => this.#graph.addInput(name, type));
    } else if (t.take('const')) {
      const { name, type } = this.#typed();
      t.expect('=');
      const constant = this.#constant(type);
      this.#define(name, () => this.#graph.addConstant(name, constant));
    } else if (t.take('output')) {
      const name = t.string();
      t.expect('=');
      const value = this.#value();
      this.#graph.addOutput(name, value, t.take('count') ? this.#count() : undefined);
    } else {
      this.#node();
    }
  }

  #count(): OutputCount {
    const value = this.#value();
    this.#tokens.expect('axis');
    return { value, axis: this.#tokens.number() };
  }

  #typed(): { name: string; type: TensorType } {
    const t = this.#tokens;
    const name = t.next('name', 'a value name such as %x').text;
    t.expect(':');
    const dtype = t.word();
    if (!isDType(dtype)) throw t.error(`"${dtype}" is no element type`);
    const shape = this.#list(() => t.number());
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
      throw t.error('sizes must be whole and not negative');
    }
    return { name, type: { dtype, shape } };
  }

  #define(name: string, make: () => Value): void {
    this.#claim(name);
    this.#values.set(name, make());
  }

  #claim(name: string): void {
    if (name === '') throw this.#tokens.error('a value needs a name');
    if (this.#values.has(name)) throw this.#tokens.error(`value "${name}" is defined twice`);
  }

  #value(): Value {
    const { text } = this.#tokens.next('name', 'a value name such as %x');
    const value = this.#values.get(text);
    if (!value) throw this.#tokens.error(`value "${text}" is not defined above`);
    return value;
  }

  #list<T>(element: () => T, open = '[', close = ']'): T[] {
    const t = this.#tokens;
    const list: T[] = [];
    t.expect(open);
    if (t.take(close)) return list;
    do list.push(element());
    while (t.take(','));
    t.expect(close);
    return list;
  }

  #constant(type: TensorType): Constant {
    const t = this.#tokens;
    if (t.take('missing')) return { type, data: null, missing: t.string() };
    if (t.take('elided')) return { type, data: null, missing: 'elided from the text form' };
    const element = () => (isWide(type.dtype) ? t.bigint() : t.number());
    if (t.take('splat')) {
      const count = elementCount(type.shape);
      if (count > LARGEST_SPLAT) throw t.error(`${formatType(type)} is too large`);
      const data = allocate(type.dtype, count);
      write(data, 0, element());
      (data as Float32Array).fill(data[0] as number);
      return { type, data };
    }
    if (t.take('data')) {
      const bytes = decodeBase64(t.string());
      if (bytes.length !== byteSize(type)) {
        throw t.error(`${bytes.length} bytes for ${formatType(type)}, which has ${byteSize(type)}`);
      }
      return { type, data: viewBytes(type.dtype, bytes) };
    }
    return tensor(type.dtype, type.shape, this.#list(element));
  }

  #node(): void {
    const t = this.#tokens;
    const outputs = [this.#typed()];
    while (t.take(',')) outputs.push(this.#typed());
    t.expect('=');
    const op = t.word();
    if (!isOpName(op)) throw t.error(`there is no op "${op}"`);
    const operand = () => (t.take('_') ? undefined : this.#value());
    const operands = this.#list(operand, '(', ')');
    const attrs = this.#attrs();
    const expr = t.take('->') ? this.#expr() : undefined;
    const extra = t.take('with') ? this.#list(() => this.#value(), '(', ')') : [];
    const [first] = outputs;
    const name = t.take('name') ? t.string() : derivedName(first?.name ?? '');
    const origin = t.take('origin') ? t.string() : undefined;
    for (const { name: output } of outputs) this.#claim(output);
    if (!expr && extra.length > 0) throw t.error('operands of an epilogue, but no epilogue');
    const options: NodeOptions = {
      name,
      outputs: outputs.map((o) => o.name),
      ...(expr ? { epilogue: { expr, operands: extra } } : {}),
      ...(origin === undefined ? {} : { origin }),
    };
    const node = this.#graph.addNode(op, operands, attrs as never, options);
    if (node.outputs.length !== outputs.length) {
      throw t.error(`${op} has ${node.outputs.length} outputs, not ${outputs.length}`);
    }
    node.outputs.forEach((value, i) => {
      const declared = outputs[i];
      if (!declared || value.name !== declared.name) throw t.error(`value "${value.name}" is defined twice`);
      if (!sameType(value.type, declared.type)) {
        throw t.error(
          `"${value.name}" is ${formatType(value.type)}, not ${formatType(declared.type)}, by the rules of ${op}`,
        );
      }
      this.#values.set(value.name, value);
    });
  }

  #attrs(): Record<string, unknown> {
    const t = this.#tokens;
    if (!t.at('{')) return {};
    const entries = this.#list(
      (): [string, unknown] => {
        const key = t.word();
        t.expect('=');
        return [key, t.at('[') ? this.#list(() => t.number()) : scalar(t, t.advance())];
      },
      '{',
      '}',
    );
    return Object.fromEntries(entries);
  }

  /** A term, and its operands in parentheses where it has any. */
  #expr(): Expr {
    const t = this.#tokens;
    const start = t.position();
    t.word();
    let depth = 0;
    if (t.at('(')) {
      do {
        const { kind, text } = t.advance();
        if (kind === 'end') throw t.error('unclosed parenthesis');
        if (kind === 'sign') depth += text === '(' ? 1 : text === ')' ? -1 : 0;
      } while (depth > 0);
    }
    try {
      return parseExpr(t.since(start));
    } catch (error) {
      throw error instanceof SyntaxError ? t.error(error.message) : error;
    }
  }
}

function scalar(t: Tokens, token: Token): unknown {
  if (token.kind === 'string') return token.text;
  if (token.text === 'true' || token.text === 'false') return token.text === 'true';
  return t.toNumber(token);
}
