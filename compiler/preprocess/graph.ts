/**
 * A network that reads pictures.
 *
 * Before: `image` f32 [N, C, H, W]. After: `image` u8 [N, h, w, 4], and in front of what was there
 * Cast → Transpose → Resize (per axis that differs) → Slice or Pad → Conv 1×1, which reorders channels and normalises.
 */
import { Builder } from '#ir/builder.ts';
import { cloneGraph } from '#ir/clone.ts';
import { fail } from '#ir/diagnostics.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { formatType } from '#ir/types.ts';
import type { PictureInput } from '#runtime/abi.ts';
import { didYouMean } from '../suggest.ts';
import { placePicture, resizeAttrs } from './geometry.ts';
import {
  channelMatrix,
  PIXELS,
  type PictureSize,
  type PictureTarget,
  type PreprocessOptions,
  pictureLayout,
  pictureTarget,
} from './options.ts';

export interface PreprocessedGraph {
  readonly graph: Graph;
  /** What the manifest says about each input that is a picture now. */
  readonly pictures: ReadonlyMap<string, PictureInput>;
}

/**
 * A copy of the graph with one input turned into a picture of `source` pixels, of the network's size unless given.
 * @throws CompileError `usage-invalid`, `input-invalid`
 */
export function preprocessGraph(
  graph: Graph,
  options: PreprocessOptions,
  source?: PictureSize,
): PreprocessedGraph {
  const input = pictureInput(graph, options.input);
  if (input.type.dtype !== 'f32') {
    const message = `it is ${formatType(input.type)}; only f32 inputs take pictures`;
    fail('input-invalid', input.name, message);
  }
  const target = pictureTarget(input.name, input.type, options);
  const pixels = options.pixels ?? 'rgba';
  const copy = cloneGraph(graph, undefined, (value, into) =>
    value === input
      ? frontOf(new Builder(into), value.name, target, pixels, source ?? target)
      : into.addInput(value.name, value.type),
  );
  const { channels, resize, pad, scale, mean, std } = target;
  const picture: PictureInput = { pixels, channels, resize, pad, scale, mean, std };
  return { graph: copy, pictures: new Map([[input.name, picture]]) };
}

function pictureInput({ inputs }: Graph, name: string | undefined): Value {
  const known = inputs.map((i) => i.name);
  const names = known.join(', ');
  if (name !== undefined) {
    const named = inputs.find((i) => i.name === name);
    if (named) return named;
    const hint = didYouMean(name, known) ?? `write "input": "${known[0]}", or leave it out`;
    return fail('usage-invalid', 'preprocess', `there is no input "${name}"; there is ${names}`, hint);
  }
  const [found, another] = inputs.filter(
    (i) => i.type.dtype === 'f32' && pictureLayout(i.type) !== undefined,
  );
  if (!found) fail('input-invalid', 'preprocess', `none of the inputs (${names}) is a picture of floats`);
  if (another) {
    const message = `"${found.name}" and "${another.name}" can both be pictures`;
    fail('usage-invalid', 'preprocess', message, `say which is meant: { "input": "${found.name}" }`);
  }
  return found;
}

function frontOf(
  b: Builder,
  name: string,
  target: PictureTarget,
  pixels: PictureInput['pixels'],
  source: PictureSize,
): Value {
  const planes = PIXELS[pixels];
  const part = (what: string) => ({ name: `${name}/${what}`, outputs: [`${name}/${what}`] });
  const [rows, columns] = placePicture(source, target, target.resize);
  const bytes = b.input(name, [target.batch, source.height, source.width, planes], 'u8');
  const floats = b.op('Cast', [bytes], { to: 'f32' }, part('floats'));
  let x = b.op('Transpose', [floats], { perm: [0, 3, 1, 2] }, part('channelsFirst'));
  // the axis that shrinks more goes first
  const axes = [
    { axis: 2, size: rows.resized, what: 'height' },
    { axis: 3, size: columns.resized, what: 'width' },
  ].sort((p, q) => p.size / (x.type.shape[p.axis] ?? 1) - q.size / (x.type.shape[q.axis] ?? 1));
  for (const { axis, size, what } of axes) {
    if (x.type.shape[axis] !== size)
      x = b.op('Resize', [x], resizeAttrs(x.type.shape, axis, size), part(what));
  }
  const cut = [rows, columns].map(({ start }) => Math.max(0, start));
  const begin = [rows, columns].map(({ start }) => Math.max(0, -start));
  const end = [rows, columns].map((a, i) => Math.max(0, a.target - a.resized - (begin[i] ?? 0)));
  if (rows.resized > rows.target || columns.resized > columns.target) {
    const sizes = [target.batch, planes, rows.target, columns.target];
    x = b.op('Slice', [x], { starts: [0, 0, ...cut], sizes, steps: [1, 1, 1, 1] }, part('cut'));
  }
  if ([...begin, ...end].some((p) => p > 0)) {
    const pads = [0, 0, ...begin, 0, 0, ...end];
    x = b.op('Pad', [x], { mode: 'constant', pads, value: target.pad }, part('padded'));
  }
  const { factors, shifts } = channelMatrix(target, pixels);
  const weight = b.constant(`${name}/factors`, f32([factors.length, planes, 1, 1], factors.flat()));
  const bias = b.constant(`${name}/shifts`, f32([shifts.length], shifts));
  const attrs = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group: 1 };
  const normalised = b.op('Conv', [x, weight, bias], attrs, part('normalised'));
  if (target.layout === 'nchw') return normalised;
  return b.op('Transpose', [normalised], { perm: [0, 2, 3, 1] }, part('channelsLast'));
}
