/**
 * TensorFlow.js on its WebAssembly backend: a network as TensorFlow.js operations, channels last, with bias and activation in the
 * fused convolutions, made from the graph after our own rewrites. Weights are put in its order once.
 */
import { createRequire } from 'node:module';
import { readModel } from '../../dist/files.js';
import { PIPELINES, runPipeline } from '../../dist/index.js';
import { inputsOf } from './sides.mjs';

export async function tensorflow({ model, bundle }) {
  const require = createRequire(import.meta.url);
  const tf = require('@tensorflow/tfjs-core');
  const { version_wasm: version } = require('@tensorflow/tfjs-backend-wasm');
  await tf.setBackend('wasm');
  await tf.ready();
  if (!(await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT'))) throw new Error('its backend has no SIMD here');
  const { graph } = await readModel(model, { requireWeights: true });
  runPipeline(graph, PIPELINES.graph);
  return { name: 'TensorFlow.js', version, load: async () => network(tf, graph, inputsOf(bundle)) };
}

function network(tf, graph, inputs) {
  const { steps, input, output, outputName } = stepsOf(tf, graph);
  const [{ shape, data }] = inputs;
  const [n, c, h, w] = shape;
  const channelsLast = permuted(data, shape, [0, 2, 3, 1]);
  const run = () => {
    const values = new Map([[input, tf.tensor4d(channelsLast, [n, h, w, c])]]);
    for (const { operands, result, compute, last } of steps) {
      values.set(
        result,
        tf.tidy(() => compute(...operands.map((value) => values.get(value)))),
      );
      for (const value of last) values.get(value).dispose();
    }
    const result = values.get(output);
    const copy = result.dataSync();
    result.dispose();
    return copy;
  };
  return { run, outputs: async () => new Map([[outputName, run()]]), dispose: () => tf.disposeVariables() };
}

/** One step for each node, but activations that a fused operation takes; and the values that nobody reads after it. */
function stepsOf(tf, graph) {
  const [input, ...more] = graph.inputs;
  const [{ name: outputName, value: output }] = graph.outputs;
  if (more.length > 0 || graph.outputs.length > 1)
    throw new Error('a network of one input and one output is expected');
  const readers = new Map();
  for (const node of graph.nodes)
    for (const value of node.operands) readers.set(value, [...(readers.get(value) ?? []), node]);
  const fused = new Set();
  const steps = [];
  for (const node of graph.nodes) {
    if (fused.has(node)) continue;
    const make = OPERATIONS[node.op];
    if (!make) throw new Error(`${node.op} is not written as TensorFlow.js operations here`);
    const [only, ...others] = readers.get(node.outputs[0]) ?? [];
    const activation = only && others.length === 0 && FUSING.has(node.op) ? activationOf(only) : undefined;
    if (activation) fused.add(only);
    const operands = node.operands.filter((value) => value && value.source.kind !== 'constant');
    const result = (activation ? only : node).outputs[0];
    steps.push({ operands, result, compute: make(tf, node, activation) });
  }
  const seen = new Set([output]);
  for (const step of steps.toReversed()) {
    step.last = [...new Set(step.operands)].filter((value) => !seen.has(value));
    for (const value of step.operands) seen.add(value);
  }
  return { steps, input, output, outputName };
}

const FUSING = new Set(['Conv', 'Gemm']);

const activationOf = ({ op, attrs }) => {
  if (op === 'Relu') return 'relu';
  return op === 'Clip' && attrs.min === 0 && attrs.max === 6 ? 'relu6' : undefined;
};

const OPERATIONS = {
  Conv(tf, node, activation) {
    const { strides, pads, dilations, group } = node.attrs;
    const [weights, bias] = constants(node);
    const { shape } = weights.type;
    const [cout, cin, kh, kw] = shape;
    const common = {
      strides,
      dilations,
      pad: padding(pads),
      dataFormat: 'NHWC',
      ...(bias && { bias: tf.tensor1d(bias.data) }),
      ...(activation && { activation }),
    };
    if (group === 1) {
      const filter = tf.tensor4d(permuted(weights.data, shape, [2, 3, 1, 0]), [kh, kw, cin, cout]);
      return (x) => tf.fused.conv2d({ x, filter, ...common });
    }
    if (cin !== 1) throw new Error('a grouped convolution is not written as TensorFlow.js operations here');
    const order = permuted(weights.data, shape, [2, 3, 0, 1]);
    const filter = tf.tensor4d(order, [kh, kw, group, cout / group]);
    return (x) => tf.fused.depthwiseConv2d({ x, filter, ...common });
  },
  Gemm(tf, node, activation) {
    const { alpha, beta, transA, transB } = node.attrs;
    const [weights, bias] = constants(node);
    if (alpha !== 1 || beta !== 1 || transA) throw new Error('this Gemm is not a plain layer');
    const { shape } = weights.type;
    const order = transB ? [1, 0] : [0, 1];
    const b = tf.tensor2d(
      permuted(weights.data, shape, order),
      order.map((axis) => shape[axis]),
    );
    const more = { ...(bias && { bias: tf.tensor1d(bias.data) }), ...(activation && { activation }) };
    return (a) => tf.fused.matMul({ a, b, ...more });
  },
  MaxPool(tf, { attrs }) {
    if (attrs.ceil || attrs.dilations.some((d) => d !== 1))
      throw new Error('this MaxPool is not a plain one');
    const pad = padding(attrs.pads);
    return (x) => tf.maxPool(x, attrs.kernel, attrs.strides, pad);
  },
  GlobalAveragePool: (tf) => (x) => tf.mean(x, [1, 2], true),
  Add: (tf, node) => {
    if (constants(node).length > 0) throw new Error('an Add of a constant is not written here');
    return (a, b) => tf.add(a, b);
  },
  Relu: (tf) => (x) => tf.relu(x),
  Clip:
    (tf, { attrs }) =>
    (x) =>
      tf.clipByValue(x, attrs.min, attrs.max),
  Flatten:
    (tf, { outputs }) =>
    (x) => {
      if (x.shape[1] !== 1 || x.shape[2] !== 1)
        throw new Error('only what is pooled globally is flattened here');
      return tf.reshape(x, outputs[0].type.shape);
    },
};

const constants = ({ operands }) =>
  operands.flatMap((value) => (value?.source.kind === 'constant' ? [value.source.constant] : []));

/** As one number where it is the same on all sides. */
function padding([top, left, bottom, right]) {
  if (top === left && top === bottom && top === right) return top;
  return [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
}

/** A dense array with its axes in another order. */
function permuted(data, shape, order) {
  const steps = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const result = new Float32Array(data.length);
  const sizes = order.map((axis) => shape[axis]);
  const index = sizes.map(() => 0);
  for (let i = 0, from = 0; i < result.length; i++) {
    result[i] = data[from];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += steps[order[axis]];
      if (++index[axis] < sizes[axis]) break;
      from -= sizes[axis] * steps[order[axis]];
      index[axis] = 0;
    }
  }
  return result;
}
