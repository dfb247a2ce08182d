import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gate } from './requirement.ts';

/**
 * The collection of models that the tests of whole networks run on: the folder $CONVOLITH_MODELS, else `shared` beside
 * the checkout. It is not part of the repository.
 */
export const repositoryFolder = resolve(import.meta.dirname, '../..');
const folder = process.env.CONVOLITH_MODELS ?? join(repositoryFolder, '../shared');
const missing = existsSync(join(folder, 'zoo/materialize.mjs'))
  ? undefined
  : `no model collection at ${folder}; set CONVOLITH_MODELS to its folder`;

/** For tests that need the collection: skipped loudly without it, failing where CONVOLITH_REQUIRE_MODELS is set. */
export const withModels = gate(missing, 'CONVOLITH_REQUIRE_MODELS');

/** Whether the collection is there, for code that lists its models outside a gated test. */
export const hasCollection = missing === undefined;

/** The path of a file of the collection, such as `models/mnist-vgg.onnx`. */
export function collectionFile(path: string): string {
  if (missing !== undefined) throw new Error(missing);
  const file = join(folder, path);
  if (!existsSync(file)) throw new Error(`the model collection has no ${path}`);
  return file;
}

/** The names in a folder of the collection, sorted; none without a collection. */
export function collectionNames(path: string): readonly string[] {
  return missing === undefined ? readdirSync(join(folder, path)).sort() : [];
}

/** The networks of the zoo, sorted; none without a collection. */
export function zooNames(): readonly string[] {
  return collectionNames('zoo').flatMap((file) => (file.endsWith('.onnx') ? [file.slice(0, -5)] : []));
}

/** A zoo network with its weights as ONNX external data. */
export interface ZooModel {
  readonly name: string;
  /** The path of the .onnx file. */
  readonly model: string;
  /** The path of the weights beside it. */
  readonly weights: string;
  readonly inputShape: readonly number[];
}

const pending = new Map<string, Promise<ZooModel>>();

/**
 * Materialises a zoo network into `.cache/zoo/`, once: the folder's name has a digest of what it is made from, and it
 * appears by one rename, so that test workers and runs may share it.
 */
export function zooModel(name: string): Promise<ZooModel> {
  const started = pending.get(name);
  if (started !== undefined) return started;
  const promise = materialize(name);
  pending.set(name, promise);
  return promise;
}

async function materialize(name: string): Promise<ZooModel> {
  const script = collectionFile('zoo/materialize.mjs');
  const description = readFileSync(collectionFile(`zoo/${name}.json`), 'utf8');
  const digest = createHash('sha256')
    .update(description)
    .update(await readFile(script));
  digest.update(await readFile(collectionFile(`zoo/${name}.onnx`)));

  const cache = join(repositoryFolder, '.cache/zoo');
  const target = join(cache, `${name}-${digest.digest('hex').slice(0, 8)}`);
  if (!existsSync(target)) {
    const temporary = join(cache, `.${name}-${randomUUID()}`);
    await mkdir(temporary, { recursive: true });
    try {
      await promisify(execFile)(process.execPath, [script, temporary, name]);
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      // another worker may have finished first, and then its folder is as good
      if (!existsSync(target)) throw error;
    }
  }
  return {
    name,
    model: join(target, `${name}.onnx`),
    weights: join(target, `${name}.weights`),
    inputShape: inputShape(description, name),
  };
}

function inputShape(description: string, name: string): readonly number[] {
  const parsed: unknown = JSON.parse(description);
  if (typeof parsed === 'object' && parsed !== null && 'input' in parsed && Array.isArray(parsed.input)) {
    return parsed.input.map(Number);
  }
  throw new Error(`zoo/${name}.json has no input shape`);
}
