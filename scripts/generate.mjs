/**
 * Writes the modules that other code imports but nobody writes by hand, into git-ignored `generated/` folders:
 * the text of the runtime, which the bundle writer copies, and the ONNX protobuf codec.
 * Deterministic; a file is touched only when its content changes.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { generateOnnxProto } from './generate/onnx-proto.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Each entry of `runtime/` that is shipped as text, and the constant that holds it. */
const runtimeTexts = [
  { entry: 'runtime/index.ts', constant: 'RUNTIME_SOURCE', output: 'runtime-source.ts', textOf: bundleText },
  { entry: 'runtime/worker.ts', constant: 'WORKER_SOURCE', output: 'worker-source.ts', textOf: bundleText },
  { entry: 'runtime/expand.ts', constant: 'EXPAND_SOURCE', output: 'expand-source.ts', textOf: bundleText },
  { entry: 'runtime/webgpu.ts', constant: 'WEBGPU_SOURCE', output: 'webgpu-source.ts', textOf: bundleText },
  {
    entry: 'runtime/model-types.ts',
    constant: 'MODEL_TYPES',
    output: 'model-types.ts',
    textOf: declarations,
  },
];

for (const { entry, constant, output, textOf } of runtimeTexts) {
  const text = await textOf(entry);
  write(
    `compiler/bundle/generated/${output}`,
    `/** ${entry}, as text. */\nexport const ${constant}: string = ${JSON.stringify(text)};\n`,
  );
}

const proto = await generateOnnxProto();
write('compiler/import/onnx/generated/onnx-proto.js', proto.code);
write('compiler/import/onnx/generated/onnx-proto.d.ts', proto.types);
write('compiler/import/onnx/generated/THIRD-PARTY-NOTICES.txt', proto.packages.map(notice).join('\n'));

async function bundleText(entry) {
  if (!existsSync(join(root, entry))) {
    console.warn(`generate: ${entry} does not exist; its text is empty`);
    return '';
  }
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    // the same text runs in a browser and in Node, where files are read through a guarded dynamic import
    external: ['node:*'],
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
  });
  const [output] = result.outputFiles;
  if (!output) throw new Error(`esbuild wrote nothing for ${entry}`);
  return output.text;
}

/** A module of nothing but types, without the comment about the file; what its types are over is the bundle's own. */
function declarations(entry) {
  const text = readFileSync(join(root, entry), 'utf8');
  if (/^import /m.test(text)) throw new Error(`${entry} must stand alone`);
  return text.slice(text.indexOf('export ')).replace(/^(export interface Model)<[\w, ]+>/gm, '$1');
}

function notice(name) {
  const folder = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8').trim()}\n`;
}

/** Through a temporary file, so that a build running at the same time never reads half a module. */
function write(path, text) {
  const target = join(root, path);
  if (existsSync(target) && readFileSync(target, 'utf8') === text) return;
  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, target);
  console.log(`generate: ${relative(root, target)} (${(Buffer.byteLength(text) / 1024).toFixed(1)} KiB)`);
}
