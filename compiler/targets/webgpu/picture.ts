/** Kernels that read a picture from a texture into an input of bytes, each in a module of its own. */
import type { Port } from '#compiler/schedule/program.ts';
import type { PictureInput } from '#runtime/abi.ts';
import { type GpuPicture, MODULE_BREAK } from '#runtime/gpu-plan.ts';
import { WORD_BYTES } from './words.ts';

export interface PictureCode {
  readonly picture: GpuPicture;
  /** What `kernels.wgsl` has behind the other kernels: the module for textures, then the one for frames of videos. */
  readonly wgsl: string;
}

/** Bytes of a pixel, as PNG and `getImageData` have them. */
const CHANNELS: Readonly<Record<PictureInput['pixels'], readonly string[]>> = {
  rgba: ['pixel.r', 'pixel.g', 'pixel.b', 'pixel.a'],
  rgb: ['pixel.r', 'pixel.g', 'pixel.b'],
  gray: ['round(dot(pixel.rgb, vec3f(0.299, 0.587, 0.114)))'],
};

/** The code for an input that is one picture; undefined for others, which take data. */
export function pictureCode({ name, type, offset }: Port, { pixels }: PictureInput): PictureCode | undefined {
  const [batch, height = 0, width = 0] = type.shape;
  if (batch !== 1) return undefined;
  const label = name.replace(/[^\x20-\x7e]/g, '?');
  const channels = CHANNELS[pixels];
  const module = (what: string, bindings: readonly string[], read: string) =>
    [
      `// ${what}, as the bytes of ${label}`,
      '@group(0) @binding(0) var<storage, read_write> words: array<u32>;',
      ...bindings,
      '',
      '@compute @workgroup_size(8, 8)',
      'fn picture_in(@builtin(global_invocation_id) id: vec3u) {',
      `  if (id.x >= ${width} || id.y >= ${height}) { return; }`,
      `  let pixel = round(255 * saturate(${read}));`,
      `  let at = ${offset / WORD_BYTES}u + ${channels.length}u * (id.y * ${width}u + id.x);`,
      ...channels.map((value, c) => `  words[at + ${c}u] = u32(${value});`),
      '}',
      '',
    ].join('\n');
  const texture = module(
    'A texture',
    ['@group(0) @binding(1) var source: texture_2d<f32>;'],
    'textureLoad(source, id.xy, 0)',
  );
  const frame = module(
    'A frame of a video',
    ['@group(0) @binding(1) var source: texture_external;', '@group(0) @binding(2) var between: sampler;'],
    `textureSampleBaseClampToEdge(source, between, (vec2f(id.xy) + 0.5) / vec2f(${width}, ${height}))`,
  );
  return { picture: { width, height }, wgsl: `${MODULE_BREAK}${texture}${MODULE_BREAK}${frame}` };
}
