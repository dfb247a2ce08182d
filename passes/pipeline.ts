/** The named pipelines. Each step says why it stands where it stands. */
import { removeDeadValues } from './canonicalize/remove-dead-values.ts';
import { expandBatchNorm } from './fuse/expand-batch-norm.ts';
import { fuseActivation } from './fuse/fuse-activation.ts';
import { fuseBatchNormBeforeConv } from './fuse/fuse-batch-norm-before-conv.ts';
import { fuseBatchNormIntoConv } from './fuse/fuse-batch-norm-into-conv.ts';
import { fuseBiasIntoConv } from './fuse/fuse-bias-into-conv.ts';
import { fuseElementwise } from './fuse/fuse-elementwise.ts';
import { fuseResidual } from './fuse/fuse-residual.ts';
import { fuseScaleIntoConv } from './fuse/fuse-scale-into-conv.ts';
import type { Pipeline } from './pass.ts';

/** What a graph of ONNX ops can express: exact, and a model again. */
export const graphPipeline: Pipeline = {
  name: 'graph',
  steps: [
    { pass: removeDeadValues, because: 'a reader that is dead must not stand in the way of a fusion' },
    {
      pass: fuseBatchNormIntoConv,
      because: 'the layer before can take scale and shift always, so it goes first',
    },
    {
      pass: fuseBatchNormBeforeConv,
      because: 'what has no layer before it may still have an unpadded one after it',
    },
    { pass: expandBatchNorm, because: 'the rest becomes Mul and Add, which the steps below can take apart' },
    {
      repeat: [
        { pass: fuseScaleIntoConv, because: 'a scale goes into the weights' },
        { pass: fuseBiasIntoConv, because: 'a shift goes into the bias' },
      ],
      because: 'scales and shifts alternate, and each can be folded only when it touches the layer',
    },
  ],
};

/** What only a kernel program can express; after `graph`. */
export const lowerPipeline: Pipeline = {
  name: 'lower',
  steps: [
    { pass: removeDeadValues, because: 'a reader that is dead must not stand in the way of a fusion' },
    {
      repeat: [
        {
          pass: fuseElementwise,
          because: 'x·sigmoid(x) reads a layer once only when its parts are one node',
        },
        { pass: fuseActivation, because: 'needs no operand, so it is free' },
        { pass: fuseResidual, because: 'the activation before the sum must be in the epilogue already' },
      ],
      because: 'each fusion can leave a node with a single reader that had two',
    },
  ],
};

export const PIPELINES = { graph: graphPipeline, lower: lowerPipeline } as const;
export type PipelineName = keyof typeof PIPELINES;
