/** Tools and conventions that count multiply-accumulates and nothing else. */
import type { OpName } from '#ir/graph.ts';
import { byMacs, countByOp, definePreset, forOps } from './preset.ts';

export const convolith = definePreset({
  name: 'convolith',
  unit: 'MAC',
  says: 'every multiply-accumulate of every op, exactly; a transposed convolution by its input',
  source: 'the cost model of this program',
  perMac: 1,
  count: byMacs,
});

/** What PyTorch runs as a convolution, linear layer or matrix product, however the exporter writes it. */
export const TORCH_PRODUCTS = [
  'Conv',
  'ConvTranspose',
  'Gemm',
  'MatMul',
  'Einsum',
] as const satisfies readonly OpName[];

export const torchvision = definePreset({
  name: 'torchvision',
  unit: 'MAC',
  says: 'convolutions, linear layers and matrix products; no bias, nothing else',
  source: 'the GFLOPS in the documentation of torchvision',
  perMac: 1,
  count: countByOp(forOps(TORCH_PRODUCTS, byMacs)),
});

export const torch = definePreset({
  name: 'torch',
  unit: 'FLOP',
  says: '2 per MAC of convolutions, linear layers and matrix products; no bias, nothing else',
  source: 'torch.utils.flop_counter',
  perMac: 2,
  count: countByOp(forOps(TORCH_PRODUCTS, (_, macs) => 2 * macs)),
});

export const papers = definePreset({
  name: 'papers',
  unit: 'MAC',
  says: '1 per MAC, which papers call FLOPs or Mult-Adds; no bias, normalisation, activation or pooling',
  source: 'ResNet, ResNeXt, MobileNet, ShuffleNet',
  perMac: 1,
  count: byMacs,
});

export const multiplications = definePreset({
  name: 'multiplications',
  unit: 'multiplication',
  says: '1 per MAC: the multiplications of a layer, products with zero padding among them',
  source: 'counts by hand, as textbooks do them',
  perMac: 1,
  count: byMacs,
});
