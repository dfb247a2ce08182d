/**
 * The canonical text form of a graph, one value or node per line:
 *
 *   graph "tiny" {
 *     input %image: f32[1,3,8,8]
 *     const %w: f32[4,3,1,1] = splat 0.5
 *     %y: f32[1,4,8,8] = Conv(%image, %w, _) {strides=[1,1], …, group=1} -> max(add(x0, x1), 0) with (%r) name "stem"
 *     output "logits" = %y
 *   }
 *
 * An output whose size depends on data says after `count` which scalar holds the size of which axis: `count %n axis 0`.
 *
 * `_` is an absent optional input. After `->` stands the epilogue, after `with` its extra operands. The name of a node
 * is left out where it is that of its first output without a final `_out`; `origin "…"` says what a composite was
 * written as. `#` starts a comment.
 *
 * A constant is a list of its values, `splat` of one value, `data` in base64 of its little-endian bytes, `missing` with
 * the reason why its values are not known, or `elided` where the printer was asked to leave large ones out.
 */
import type { AttrValue } from './attrs.ts';
import { encodeBase64 } from './base64.ts';
import { formatExpr } from './expr.ts';
import { epilogueOperands, type Graph, type GraphOutput, type Node, ownInputs, type Value } from './graph.ts';
import { bytesOfData, type Constant, type TensorData } from './tensor.ts';
import { derivedName, PLAIN_NAME } from './text-tokens.ts';
import { formatType } from './types.ts';

export { parseGraph } from './text-parse.ts';

export interface PrintOptions {
  /** Constants of more elements than this are printed as `elided`; they do not survive the parse. */
  readonly elideAbove?: number;
}

/** The graph as text. `parseGraph` of it gives an equal graph, unless constants were elided. */
export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  const constants = graph.values.flatMap((value) =>
    value.source.kind === 'constant' ? [printConstant(value, value.source.constant, options)] : [],
  );
  const lines = [
    ...graph.inputs.map((value) => `input ${printTyped(value)}`),
    ...constants,
    ...graph.nodes.map(printNode),
    ...graph.outputs.map(printOutput),
  ];
  return [`graph ${JSON.stringify(graph.name)} {`, ...lines.map((line) => `  ${line}`), '}', ''].join('\n');
}

const printOutput = ({ name, value, count }: GraphOutput): string =>
  `output ${JSON.stringify(name)} = ${printName(value)}${count ? ` count ${printName(count.value)} axis ${count.axis}` : ''}`;

/** One node as its line in the text form. */
export function printNode(node: Node): string {
  const operands = ownInputs(node).map(printOperand).join(', ');
  const extra = epilogueOperands(node);
  const [first] = node.outputs;
  const parts = [`${node.outputs.map(printTyped).join(', ')} = ${node.op}(${operands})`];
  const attrs = Object.entries(node.attrs as Record<string, AttrValue>);
  if (attrs.length > 0) parts.push(`{${attrs.map(([k, v]) => `${k}=${printAttr(v)}`).join(', ')}}`);
  if (node.epilogue) parts.push(`-> ${formatExpr(node.epilogue)}`);
  if (extra.length > 0) parts.push(`with (${extra.map(printOperand).join(', ')})`);
  if (!first || node.name !== derivedName(first.name)) parts.push(`name ${JSON.stringify(node.name)}`);
  if (node.origin) parts.push(`origin ${JSON.stringify(node.origin)}`);
  return parts.join(' ');
}

function printName(value: Value): string {
  PLAIN_NAME.lastIndex = 0;
  const plain = PLAIN_NAME.exec(value.name)?.[0] === value.name;
  return `%${plain ? value.name : JSON.stringify(value.name)}`;
}

const printTyped = (value: Value): string => `${printName(value)}: ${formatType(value.type)}`;
const printOperand = (value: Value | undefined): string => (value ? printName(value) : '_');
const printNumber = (n: number): string => (Object.is(n, -0) ? '-0' : String(n));

function printAttr(value: AttrValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return printNumber(value);
  return typeof value === 'boolean' ? String(value) : `[${value.map(printNumber).join(',')}]`;
}

/** Longer lists than this are printed as base64. */
const LONGEST_LIST = 16;

function printConstant(value: Value, constant: Constant, options: PrintOptions): string {
  return `const ${printTyped(value)} = ${printData(constant, options)}`;
}

function printData(constant: Constant, { elideAbove = Number.POSITIVE_INFINITY }: PrintOptions): string {
  const { data } = constant;
  if (!data) return `missing ${JSON.stringify(constant.missing)}`;
  const print = (x: number | bigint) => printElement(x, constant.type.dtype === 'f32');
  // the bits of a NaN are data too, and only base64 keeps them
  const printable = !(data instanceof Float32Array && data.some(Number.isNaN));
  const [first] = data;
  if (printable && first !== undefined && data.length > 1 && isSplat(data)) return `splat ${print(first)}`;
  if (data.length > elideAbove) return 'elided';
  if (!printable || data.length > LONGEST_LIST) return `data "${encodeBase64(bytesOfData(data))}"`;
  return `[${Array.from(data as ArrayLike<number | bigint>, print).join(', ')}]`;
}

function isSplat(data: TensorData): boolean {
  const [first] = data;
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], first)) return false;
  return true;
}

/** The shortest decimal that reads back as the same element. */
function printElement(x: number | bigint, float: boolean): string {
  if (typeof x === 'bigint') return String(x);
  if (!float || x === 0 || !Number.isFinite(x)) return printNumber(x);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(x.toPrecision(digits));
    if (Math.fround(short) === x) return printNumber(short);
  }
  return printNumber(x);
}
