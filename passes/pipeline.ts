/** The named pipelines. Each step says why it stands where it stands. */
import { expandComposites } from './canonicalize/expand-composites.ts';
import { foldConstants } from './canonicalize/fold-constants.ts';
import { mergeCommonSubexpressions } from './canonicalize/merge-common-subexpressions.ts';
import { mergeViews } from './canonicalize/merge-views.ts';
import { recogniseActivations } from './canonicalize/recognise-activations.ts';
import { recogniseChannelShuffle } from './canonicalize/recognise-channel-shuffle.ts';
import { recogniseGlobalAveragePool } from './canonicalize/recognise-global-average-pool.ts';
import { recogniseLayerNormalization } from './canonicalize/recognise-layer-normalization.ts';
import { removeDeadValues } from './canonicalize/remove-dead-values.ts';
import { removeIdentities } from './canonicalize/remove-identities.ts';
import { convTransposeToPixelShuffle } from './fuse/conv-transpose-to-pixel-shuffle.ts';
import { expandBatchNorm } from './fuse/expand-batch-norm.ts';
import { foldChannelPermutations } from './fuse/fold-channel-permutations.ts';
import { foldPadIntoConv } from './fuse/fold-pad-into-conv.ts';
import { foldPadIntoPool } from './fuse/fold-pad-into-pool.ts';
import { fuseActivation } from './fuse/fuse-activation.ts';
import { fuseBatchNormBeforeConv } from './fuse/fuse-batch-norm-before-conv.ts';
import { fuseBatchNormIntoConv } from './fuse/fuse-batch-norm-into-conv.ts';
import { fuseBiasIntoConv } from './fuse/fuse-bias-into-conv.ts';
import { fuseChannelShuffle } from './fuse/fuse-channel-shuffle.ts';
import { fuseElementwise } from './fuse/fuse-elementwise.ts';
import { fuseResidual } from './fuse/fuse-residual.ts';
import { fuseScaleIntoConv } from './fuse/fuse-scale-into-conv.ts';
import { globalPoolBeforePointwise } from './fuse/global-pool-before-pointwise.ts';
import { joinScaleAndShift } from './fuse/join-scale-and-shift.ts';
import { mergeConvPairs } from './fuse/merge-conv-pairs.ts';
import { mergeParallelConvs } from './fuse/merge-parallel-convs.ts';
import { rankOneToSeparable } from './fuse/rank-one-to-separable.ts';
import { removeDeadChannels } from './fuse/remove-dead-channels.ts';
import type { OrderedPass, Pipeline } from './pass.ts';

/** Spellings of exporters become the ops that they mean; layers and weights stay as they are. */
export const spellingPipeline: Pipeline = {
  name: 'spelling',
  steps: [
    { pass: removeDeadValues, because: 'what nobody reads is not described' },
    { pass: removeIdentities, because: 'what does nothing is no layer' },
    { pass: recogniseChannelShuffle, because: 'a shuffle is a layer, its reshapes are not' },
    { pass: recogniseGlobalAveragePool, because: 'a mean over space is a layer too' },
  ],
};

/** What a graph of ONNX ops can express: exact, and a model again. */
export const graphPipeline: Pipeline = {
  name: 'graph',
  steps: [
    { pass: removeDeadValues, because: 'a reader that is dead must not stand in the way of a fusion' },
    {
      pass: foldConstants,
      because: 'all below ask for constants, which models compute from shapes and weights',
    },
    { pass: removeIdentities, because: 'what does nothing must not stand between a layer and what it takes' },
    { pass: recogniseChannelShuffle, because: 'merging views would take its spelling apart' },
    { pass: recogniseGlobalAveragePool, because: 'it may leave a reshape for the next step' },
    {
      repeat: [
        { pass: mergeViews, because: 'chains of reshapes and transposes become one' },
        { pass: removeIdentities, because: 'which may do nothing at all' },
      ],
      because: 'what is removed can bring two views together',
    },
    {
      pass: mergeCommonSubexpressions,
      because: 'one spelling is left of each; a reader less is a fusion more',
    },
    {
      pass: recogniseActivations,
      because:
        'what an activation is computed from must have one spelling, and before layers take its factors',
    },
    {
      pass: recogniseLayerNormalization,
      because: 'the two subtractions of some spellings are one now, and layers have not taken its scale',
    },
    {
      pass: foldPadIntoConv,
      because: 'a shift before a layer folds only if it has no padding, which shows now',
    },
    { pass: foldPadIntoPool, because: 'a Pad that a layer shares with a pool has fewer readers then' },
    {
      pass: fuseBatchNormIntoConv,
      because: 'the layer before can take scale and shift always: it goes first',
    },
    {
      pass: fuseBatchNormBeforeConv,
      because: 'what has no layer before it may have an unpadded one after it',
    },
    { pass: expandBatchNorm, because: 'the rest becomes Mul and Add, which the steps below can take apart' },
    {
      repeat: [
        { pass: fuseScaleIntoConv, because: 'a scale goes into the weights' },
        { pass: fuseBiasIntoConv, because: 'a shift goes into the bias' },
        {
          pass: mergeParallelConvs,
          because:
            'branches are nothing but convs now; one conv in place of their sum may take what follows it',
        },
        {
          pass: foldChannelPermutations,
          because: 'scales, shifts and batch norms on its way are in the weights, or can follow the order',
        },
        {
          pass: globalPoolBeforePointwise,
          because: 'a layer and its scale and shift are one; the mean may meet another layer before it',
        },
        { pass: mergeConvPairs, because: 'with nothing between two layers they may be one' },
      ],
      because: 'scales and shifts alternate, and each folds only where it touches the layer',
    },
    {
      pass: removeDeadChannels,
      because: 'a filter is zero, or a constant is, only once all factors are in the weights',
    },
    {
      pass: rankOneToSeparable,
      because: 'scales may have changed kernels until now, and pairs are not to be merged again',
    },
    {
      pass: joinScaleAndShift,
      because: 'what no layer has taken by now none will, and one op moves half of what two do',
    },
    { pass: foldConstants, because: 'batch norms with computed parameters are ops on them now' },
    { pass: removeIdentities, because: 'a scale of 1 or a shift of 0 may be left of a batch norm' },
    { pass: mergeCommonSubexpressions, because: 'new weights and biases may be equal' },
  ],
};

export interface OptionalPass extends OrderedPass {
  /** What it gives for what: by our own cost model the result is not better. */
  readonly trades: string;
}

/** Exact too, but for other runtimes: part of `graph` only where asked for by name, at its end. */
export const OPTIONAL_PASSES: readonly OptionalPass[] = [
  {
    pass: convTransposeToPixelShuffle,
    because: 'scales and shifts are in the weights of the transposed convolution, and stay there',
    trades:
      'the same MACs, and one more write and read of the result, for a runtime without a good ConvTranspose',
  },
];

/** `graph` with optional passes; names of others are ignored. */
export const graphPipelineWith = (names: readonly string[]): Pipeline => ({
  name: graphPipeline.name,
  steps: [...graphPipeline.steps, ...OPTIONAL_PASSES.filter(({ pass }) => names.includes(pass.name))],
});

/** What only a kernel program can express; after `graph`. */
export const lowerPipeline: Pipeline = {
  name: 'lower',
  steps: [
    {
      pass: expandComposites,
      because:
        'targets know few ops, and what a composite is made of fuses with its neighbours like all else',
    },
    {
      pass: expandBatchNorm,
      because: 'kernels take a multiplication and an addition where they take other elementwise ops',
    },
    { pass: removeDeadValues, because: 'a reader that is dead must not stand in the way of a fusion' },
    { pass: foldConstants, because: 'scales and zero points of composites are ops on constants now' },
    {
      repeat: [
        { pass: fuseActivation, because: 'it needs no operand, so it is free' },
        { pass: fuseResidual, because: 'the activation before the sum must be in the epilogue already' },
        {
          pass: fuseElementwise,
          because:
            'a layer takes each term of a sum as it comes, which keeps few tensors alive; this takes the rest',
        },
      ],
      because: 'each fusion can leave a node with a single reader that had two',
    },
    {
      pass: fuseChannelShuffle,
      because: 'the activation between a layer and its shuffle is in the epilogue by now',
    },
  ],
};

export const PIPELINES = { graph: graphPipeline, lower: lowerPipeline } as const;
export type PipelineName = keyof typeof PIPELINES;
