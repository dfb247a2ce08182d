/** Quantisation, and products of quantised tensors. */
import type { Value } from '#ir/graph.ts';
import { type DType, elementCount } from '#ir/types.ts';
import type { ImportRule, NodeImport } from '../rule.ts';
import { weightKernel, windowAttrs } from './window.ts';

/** One scale for all leaves the axis without meaning, and it may be out of range. */
function spread(node: NodeImport): { readonly axis: number; readonly block: number } {
  const block = node.attrs.int('block_size', 0);
  if (block === 0 && elementCount(node.shape(1)) === 1) return { axis: 0, block };
  return { axis: node.axis(node.attrs.int('axis', 1), node.shape(0).length), block };
}

const quantizeLinear: ImportRule = (node) => {
  const zero = node.inputs[2];
  const code = node.attrs.int('output_dtype', 0);
  const said: DType = code === 0 ? 'u8' : node.dtypeOf(code);
  const inputs = [node.input(0), node.input(1), zero];
  return node.emit('QuantizeLinear', inputs, { ...spread(node), to: zero?.type.dtype ?? said });
};

const dequantizeLinear: ImportRule = (node) =>
  node.emit('DequantizeLinear', [node.input(0), node.input(1), node.inputs[2]], spread(node));

const integerProduct: ImportRule = (node) =>
  node.emit('MatMulInteger', [node.input(0), node.input(1), rows(node, 0, 2), node.inputs[3]], {});

/** A list of one number per row of operand `slot` becomes a column. */
function rows(node: NodeImport, slot: number, list: number): Value | undefined {
  const value = node.inputs[list];
  const [count = 1] = value?.type.shape ?? [];
  const isList = value?.type.shape.length === 1 && count > 1 && node.shape(slot).length > 1;
  return isList ? node.step('Reshape', [value], { shape: [count, 1] }) : value;
}

const convInteger: ImportRule = (node) =>
  node.emit('ConvInteger', [node.input(0), node.input(1), node.inputs[2], node.inputs[3]], {
    ...windowAttrs(node, weightKernel(node)),
    group: node.attrs.int('group', 1),
  });

const qLinearConv: ImportRule = (node) => {
  const inputs = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => node.input(i));
  return node.emit('QLinearConv', [...inputs, node.inputs[8]], {
    ...windowAttrs(node, weightKernel(node, 3)),
    group: node.attrs.int('group', 1),
  });
};

const qLinearMatMul: ImportRule = (node) => {
  const inputs = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => {
    node.input(i);
    return i === 1 || i === 2 || i > 5 ? rows(node, 0, i) : node.input(i);
  });
  return node.emit('QLinearMatMul', inputs, {});
};

export const QUANTIZATION = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: (node) => node.emit('DynamicQuantizeLinear', [node.input(0)], {}),
  ConvInteger: convInteger,
  MatMulInteger: integerProduct,
  QLinearConv: qLinearConv,
  QLinearMatMul: qLinearMatMul,
} satisfies Record<string, ImportRule>;
