/**
 * How long `convolith audit` takes, the whole process, and how much memory: ResNet-50 and VGG-16 of the model collection
 * (the folder $CONVOLITH_MODELS, else `shared` beside the checkout), each with its weights beside it and inside, and
 * graphs of 5,000, 10,000 and 20,000 nodes. Medians of five runs, taken in turns; needs `npm run build`.
 *
 *   node scripts/audit-speed.mjs [--runs N] [--folder FOLDER]
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ModelProto } from '../compiler/import/onnx/generated/onnx-proto.js';

const root = resolve(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    folder: { type: 'string', default: join(root, '.cache/audit-speed') },
  },
});
const runs = Number(values.runs);
const collection = process.env.CONVOLITH_MODELS ?? join(root, '../shared');
const command = join(root, 'dist/cli.js');
if (!existsSync(command)) throw new Error('there is no dist/cli.js: npm run build');
mkdirSync(values.folder, { recursive: true });

const cases = [
  ...zoo('resnet50', 0.6),
  ...zoo('vgg16', 0.8),
  ...[5000, 10000, 20000].map((nodes) => ({
    name: `${nodes} nodes`,
    file: made(`chain-${nodes}.onnx`, (file) => writeFileSync(file, residualChain(nodes))),
    bound: 5,
  })),
];

const measured = cases.map(() => []);
for (let run = 0; run < runs; run++)
  for (const [i, { file }] of cases.entries()) measured[i].push(measure(['audit', file]));

console.log(`medians of ${runs}; ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}`);
console.log(
  `node -e 0: ${median(Array.from({ length: runs }, () => measure(undefined).seconds)).toFixed(2)} s`,
);
cases.forEach(({ name, bound }, i) => {
  const [seconds, busy, megabytes] = ['seconds', 'busy', 'megabytes'].map((what) =>
    median(measured[i].map((one) => one[what])),
  );
  console.log(
    `${name.padEnd(26)} ${seconds.toFixed(2)} s (at most ${bound}), ${busy.toFixed(2)} s of a processor, ${megabytes.toFixed(0)} MB`,
  );
});

function median(list) {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
}

/** One process; it prints what it used when it ends. */
function measure(args) {
  const report =
    'data:text/javascript,process.on("exit",()=>{const u=process.resourceUsage();' +
    'require("node:fs").writeSync(3,[u.maxRSS,u.userCPUTime+u.systemCPUTime].join(" "))})';
  const preload = report
    .replace('require("node:fs").', 'w.')
    .replace('process.on', 'import w from "node:fs";process.on');
  const started = performance.now();
  const result = spawnSync(
    process.execPath,
    ['--import', preload, ...(args === undefined ? ['-e', '0'] : [command, ...args])],
    { stdio: ['ignore', 'pipe', 'inherit', 'pipe'], encoding: 'utf8', maxBuffer: 2 ** 28 },
  );
  const seconds = (performance.now() - started) / 1000;
  if (result.status !== 0) throw new Error(`${args?.join(' ')} ended with ${result.status}`);
  const [kibibytes, microseconds] = result.output[3].split(' ').map(Number);
  return { seconds, busy: microseconds / 1e6, megabytes: (kibibytes * 1024) / 1e6 };
}

function made(name, make) {
  const file = join(values.folder, name);
  if (!existsSync(file)) {
    make(`${file}.part`);
    renameSync(`${file}.part`, file);
  }
  return file;
}

function zoo(name, bound) {
  const script = join(collection, 'zoo/materialize.mjs');
  if (!existsSync(script)) {
    console.log(`${name}: no model collection at ${collection}`);
    return [];
  }
  const file = join(values.folder, `${name}.onnx`);
  if (!existsSync(join(values.folder, `${name}.weights`)) || !existsSync(file)) {
    spawnSync(process.execPath, [script, values.folder, name], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const inside = made(`${name}-inside.onnx`, (target) => writeInside(file, target));
  return [
    { name: `${name}, weights beside`, file, bound },
    { name: `${name}, weights inside`, file: inside, bound },
  ];
}

/** A model with the weights of the file beside it in its own. */
function writeInside(file, target) {
  const model = ModelProto.decode(readFileSync(file));
  const weights = readFileSync(file.replace(/onnx$/, 'weights'));
  const initializer = model.graph.initializer.map((tensor) => {
    if (tensor.dataLocation !== 1) return tensor;
    const entry = (key) => Number(tensor.externalData.find((e) => e.key === key)?.value);
    const rawData = weights.subarray(entry('offset'), entry('offset') + entry('length'));
    return { name: tensor.name, dims: tensor.dims, dataType: tensor.dataType, rawData };
  });
  const out = openSync(target, 'w');
  const bytes = ModelProto.encode({ ...model, graph: { ...model.graph, initializer } });
  for (let at = 0; at < bytes.length; ) at += writeSync(out, bytes, at, Math.min(bytes.length - at, 2 ** 28));
  closeSync(out);
}

/** Blocks of two convolutions, two activations and the addition of what came in, over an open batch. */
function residualChain(nodes) {
  const channels = 8;
  const initializer = [];
  const node = [];
  const conv = (input, output) => {
    const rawData = new Uint8Array(new Float32Array(channels * channels).fill(0.01).buffer);
    initializer.push({ name: `${output}.weight`, dims: [channels, channels, 1, 1], dataType: 1, rawData });
    node.push({
      opType: 'Conv',
      name: `/${output}/Conv`,
      input: [input, `${output}.weight`],
      output: [output],
    });
  };
  const other = (opType, input, output) =>
    node.push({ opType, name: `/${output}/${opType}`, input, output: [output] });
  let value = 'x';
  for (let block = 0; node.length < nodes; block++) {
    const at = `blocks.${block}`;
    conv(value, `${at}.first`);
    other('Relu', [`${at}.first`], `${at}.relu`);
    conv(`${at}.relu`, `${at}.second`);
    other('Add', [`${at}.second`, value], `${at}.sum`);
    other('Relu', [`${at}.sum`], `${at}.out`);
    value = `${at}.out`;
  }
  const info = (name, batch) => ({
    name,
    type: {
      tensorType: {
        elemType: 1,
        shape: { dim: [batch, { dimValue: channels }, { dimValue: 16 }, { dimValue: 16 }] },
      },
    },
  });
  return ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'chain',
      node,
      initializer,
      input: [info('x', { dimParam: 'N' })],
      output: [info(value, { dimParam: 'N' })],
    },
  });
}
