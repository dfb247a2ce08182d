/** Where the weights of a described network come from: written down, from a file, or made from a seed. */
import type { Constant, Tensor } from '#ir/tensor.ts';
import { elementCount, formatShape, type Shape, sameShape } from '#ir/types.ts';
import { similar } from '../../suggest.ts';
import { listed } from '../onnx/text.ts';
import { either } from './hints.ts';
import type { InitName, Values } from './kinds.ts';
import type { Problems } from './problems.ts';

export interface WeightRequest {
  /** Its name in a file of weights: `stage1.0.conv1.weight`. */
  readonly key: string;
  readonly shape: Shape;
  readonly init: InitName;
  /** Inputs and outputs of one element, for the scale of random values. */
  readonly fan: readonly [input: number, output: number];
  /** Values written in the description, and where. */
  readonly values?: Values | undefined;
  readonly path: string;
  /** From where the block of its layer is entered. */
  readonly used: string | undefined;
}

export type WeightSource =
  | { readonly kind: 'seed'; readonly seed: number }
  | { readonly kind: 'file'; readonly tensors: ReadonlyMap<string, Tensor> }
  | { readonly kind: 'missing'; readonly file: string };

/** Larger weights are no network's. */
const MOST_ELEMENTS = 2 ** 31;

/** Hands out the weights of a network, and remembers which were asked for. */
export class Weights {
  readonly #source: WeightSource;
  readonly #problems: Problems;
  readonly #asked = new Set<string>();

  constructor(source: WeightSource, problems: Problems) {
    this.#source = source;
    this.#problems = problems;
  }

  /** Tensors of the file that no layer asked for. */
  get unused(): readonly string[] {
    const { tensors } = this.#source.kind === 'file' ? this.#source : { tensors: new Map<string, Tensor>() };
    return [...tensors.keys()].filter((key) => !this.#asked.has(key));
  }

  /** Values are made when somebody reads them. Undefined where they cannot be, which is reported. */
  constant(request: WeightRequest): Constant | undefined {
    const { key, shape, path, values, used } = request;
    const type = { dtype: 'f32', shape } as const;
    const report = (message: string, hint: string) => this.#problems.report(path, message, { hint, used });
    if (this.#asked.has(key)) {
      report(
        `another layer has weights of the same name, "${key}"`,
        'give one of the layers another "name"; a dot in a name may make two alike',
      );
      return undefined;
    }
    this.#asked.add(key);
    const count = elementCount(shape);
    if (!(count <= MOST_ELEMENTS)) {
      report(
        `its weights would be ${formatShape(shape)}, ${count.toExponential(1)} numbers`,
        `there may be ${MOST_ELEMENTS.toExponential(1)}: take fewer channels, here or before it`,
      );
      return undefined;
    }
    if (values !== undefined) {
      const flat = typeof values === 'number' ? undefined : (values as readonly Values[]).flat(16);
      const wanted = `[${shape.join(', ')}]`;
      if (flat && flat.length !== count) {
        report(
          `${flat.length} numbers are given; ${wanted} has ${count}`,
          `write ${count} in the order of ${wanted}, or one number alone, which is for all`,
        );
        return undefined;
      }
      if (flat && !isNested(values, [count]) && !isNested(values, shape)) {
        report(
          `its lists are not nested as ${wanted} is`,
          `write its ${count} numbers in one list, in the order of ${wanted}, or in lists of ${shape.join(' of ')}`,
        );
        return undefined;
      }
      return lazy(type, () => {
        if (flat) return Float32Array.from(flat as number[]);
        return new Float32Array(count).fill(values as number);
      });
    }
    if (this.#source.kind === 'missing')
      return { type, data: null, missing: `the file "${this.#source.file}" with its weights is not there` };
    if (this.#source.kind === 'seed') {
      const { seed } = this.#source;
      return lazy(type, () => initial(request, seed));
    }
    const { tensors } = this.#source;
    const stored = tensors.get(key);
    const invalid = (message: string, hint: string) =>
      this.#problems.report(path, message, { code: 'weights-invalid', hint, used });
    const wanted = `[${shape.join(', ')}]`;
    if (!stored) {
      const free = this.unused;
      const fitting = free.filter((name) => {
        const tensor = tensors.get(name);
        return tensor && sameShape(tensor.type.shape, shape);
      });
      const others =
        fitting.length > 0
          ? `of this shape it has ${listed(fitting)}; a tensor is named by the path of its layer`
          : `the file has ${listed(free.length > 0 ? free : [...tensors.keys()])}; a tensor is named by the path of its layer`;
      invalid(
        `the file with weights has no tensor "${key}" of ${wanted}`,
        nearKey(key, fitting.length > 0 ? fitting : free) ?? others,
      );
    } else if (!sameShape(stored.type.shape, shape)) {
      const got = `[${stored.type.shape.join(', ')}]`;
      invalid(
        `the tensor "${key}" of the file with weights is ${got}; the layer has ${wanted}`,
        `change the channels and the kernel of the layer so that its weight is ${got}, or save the tensor as ${wanted}`,
      );
    } else if (stored.type.dtype !== 'f32')
      invalid(
        `the tensor is ${stored.type.dtype}; f32, f16, bf16 and f64 are read`,
        `save "${key}" as one of them, for example with tensor.float() in PyTorch`,
      );
    else return stored;
    return undefined;
  }
}

/** Are these lists in lists, of exactly these lengths, outermost first? */
function isNested(values: Values, [length, ...inner]: Shape): boolean {
  if (length === undefined) return typeof values === 'number';
  return Array.isArray(values) && values.length === length && values.every((v) => isNested(v, inner));
}

/** Tensors whose name is nearly this one: step for step, or with a prefix more or less. */
function nearKey(key: string, names: readonly string[]): string | undefined {
  const steps = key.split('.');
  const near = names.filter((name) => {
    if (name.endsWith(`.${key}`) || key.endsWith(`.${name}`)) return true;
    const own = name.split('.');
    return own.length === steps.length && own.every((step, i) => similar(steps[i] ?? '', [step]).length > 0);
  });
  return near.length === 0 ? undefined : `did you mean ${either(near.slice(0, 3))}?`;
}

function lazy(type: Tensor['type'], make: () => Float32Array): Tensor {
  let data: Float32Array | undefined;
  return {
    type,
    get data() {
      data ??= make();
      return data;
    },
  };
}

/**
 * He et al. 2015: variance 2 / inputs; Glorot and Bengio 2010 (xavier): 2 / (inputs + outputs). Random numbers are of
 * the weight's own, by its name, so that a layer more or less changes no other. Only arithmetic that every machine
 * rounds alike: a normal value is the sum of four uniform ones of 16 bits.
 */
function initial({ key, shape, init, fan: [input, output] }: WeightRequest, seed: number): Float32Array {
  const result = new Float32Array(elementCount(shape));
  if (init === 'zeros' || init === 'ones') return result.fill(init === 'ones' ? 1 : 0);
  const he = init === 'heNormal' || init === 'heUniform';
  const deviation = Math.sqrt(2 / (he ? input : input + output));
  const random = mulberry32(hash(key, seed));
  if (init === 'heUniform' || init === 'xavierUniform') {
    const scale = (deviation * Math.sqrt(3)) / 2 ** 31;
    for (let i = 0; i < result.length; i++) result[i] = (random() - 2 ** 31) * scale;
    return result;
  }
  const scale = (deviation * Math.sqrt(3)) / 2 ** 16;
  for (let i = 0; i < result.length; i++) {
    const [a, b] = [random(), random()];
    result[i] = ((a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) - 131070) * scale;
  }
  return result;
}

/** 32 random bits per call. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** FNV-1a over the name and the seed. */
function hash(key: string, seed: number): number {
  let h = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}
