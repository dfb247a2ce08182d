/**
 * How long `convolith audit` takes, the whole process, and how much memory: ResNet-50 and VGG-16 of the model collection
 * (the folder $CONVOLITH_MODELS, else `shared` beside the checkout), each with its weights beside it and inside, and
 * graphs of 5,000, 10,000 and 20,000 nodes: of 1×1 kernels over an open batch, of 3×3 kernels that are dilated here and
 * there, and of results that are read again in reverse order. Medians of five runs, taken in turns; needs `npm run build`.
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

/** Of each value of a graph made here. */
const CHANNELS = 8;

const cases = [
  ...zoo('resnet50', 0.6),
  ...zoo('vgg16', 0.8),
  ...[5000, 10000, 20000].flatMap((nodes) =>
    Object.entries({ chain: residualChain, kernels: dilatedChain, skips: longSkips }).map(
      ([shape, graph]) => ({
        name: `${nodes} nodes, ${shape}`,
        file: made(`${shape}-${nodes}.onnx`, (file) => writeFileSync(file, graph(nodes))),
        bound: 5,
      }),
    ),
  ),
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

/** A graph of convolutions and other nodes, over pictures of 16 × 16. */
function network(build, batch = { dimParam: 'N' }) {
  const initializer = [];
  const node = [];
  const conv = (input, output, kernel = 1, dilation = 1) => {
    const rawData = new Uint8Array(new Float32Array(CHANNELS * CHANNELS * kernel ** 2).fill(0.01).buffer);
    const dims = [CHANNELS, CHANNELS, kernel, kernel];
    initializer.push({ name: `${output}.weight`, dims, dataType: 1, rawData });
    const ints = (name, list) => ({ name, type: 7, ints: list });
    const pad = ((kernel - 1) / 2) * dilation;
    node.push({
      opType: 'Conv',
      name: `/${output}/Conv`,
      input: [input, `${output}.weight`],
      output: [output],
      attribute: [ints('pads', [pad, pad, pad, pad]), ints('dilations', [dilation, dilation])],
    });
    return output;
  };
  const other = (opType, input, output) => {
    node.push({ opType, name: `/${output}/${opType}`, input, output: [output] });
    return output;
  };
  const value = build({ node, conv, other });
  const info = (name) => ({
    name,
    type: {
      tensorType: {
        elemType: 1,
        shape: { dim: [batch, { dimValue: CHANNELS }, { dimValue: 16 }, { dimValue: 16 }] },
      },
    },
  });
  return ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: { name: 'graph', node, initializer, input: [info('x')], output: [info(value)] },
  });
}

/** Blocks of two convolutions, two activations and the addition of what came in, over an open batch. */
function residualChain(nodes) {
  return network(({ node, conv, other }) => {
    let value = 'x';
    for (let block = 0; node.length < nodes; block++) {
      const at = `blocks.${block}`;
      const relu = other('Relu', [conv(value, `${at}.first`)], `${at}.relu`);
      const sum = other('Add', [conv(relu, `${at}.second`), value], `${at}.sum`);
      value = other('Relu', [sum], `${at}.out`);
    }
    return value;
  });
}

/** Convolutions of 3×3 and activations; each twentieth convolution and the one behind it are dilated. */
function dilatedChain(nodes) {
  return network(
    ({ node, conv, other }) => {
      let value = 'x';
      for (let layer = 0; node.length < nodes; layer++) {
        const dilation = layer % 20 < 2 ? 2 : 1;
        value = other('Relu', [conv(value, `layers.${layer}`, 3, dilation)], `layers.${layer}.out`);
      }
      return value;
    },
    { dimValue: 1 },
  );
}

/** Convolutions, and then the additions of all their results, the last first. */
function longSkips(nodes) {
  return network(
    ({ conv, other }) => {
      const skips = ['x'];
      for (let layer = 0; layer < nodes / 2; layer++) skips.push(conv(skips[layer], `layers.${layer}`, 3));
      let value = skips.pop();
      while (skips.length > 0) {
        const skip = skips.pop();
        value = other('Add', [value, skip], `${skip}.sum`);
      }
      return value;
    },
    { dimValue: 1 },
  );
}
