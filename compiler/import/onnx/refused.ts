/** The operators of the ONNX standard (any version) that are not read, by what they are for, with what to do instead. */

export interface RefusedGroup {
  readonly what: string;
  readonly instead: string;
  readonly ops: readonly string[];
}

const UNROLLED =
  'export the model with fixed sizes and control flow unrolled (torch.onnx.export traces loops away)';

export const REFUSED: readonly RefusedGroup[] = [
  { what: 'loops', instead: UNROLLED, ops: ['Loop', 'Scan'] },
  {
    what: 'sequences and optional values',
    instead: UNROLLED,
    ops: [
      'ConcatFromSequence',
      'Optional',
      'OptionalGetElement',
      'OptionalHasElement',
      'SequenceAt',
      'SequenceConstruct',
      'SequenceEmpty',
      'SequenceErase',
      'SequenceInsert',
      'SequenceLength',
      'SequenceMap',
      'SplitToSequence',
    ],
  },
  {
    what: 'attention and state in one operator',
    instead: 'export the model with opset_version 22 or older, which writes them in operators that are known',
    ops: [
      'Attention',
      'CausalConvWithState',
      'LinearAttention',
      'RotaryEmbedding',
      'SwiGLU',
      'TensorScatter',
    ],
  },
  {
    what: 'sizes that depend on values',
    instead: 'export the network without this step, and compute it in the application',
    ops: ['Compress', 'Unique'],
  },
  {
    what: 'random numbers',
    instead: 'make the random numbers an input of the network',
    ops: [
      'Bernoulli',
      'Multinomial',
      'RandomNormal',
      'RandomNormalLike',
      'RandomUniform',
      'RandomUniformLike',
    ],
  },
  {
    what: 'signal processing',
    instead: 'export the network without this step, and give it the spectrum as an input',
    ops: ['BlackmanWindow', 'DFT', 'HammingWindow', 'HannWindow', 'MelWeightMatrix', 'STFT'],
  },
  {
    what: 'text and image files',
    instead: 'export the network without this step, and give it numbers',
    ops: [
      'ImageDecoder',
      'RegexFullMatch',
      'StringConcat',
      'StringNormalizer',
      'StringSplit',
      'TfIdfVectorizer',
    ],
  },
  {
    what: 'training',
    instead: 'export the network as it is used, without its loss (model.eval())',
    ops: ['NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'],
  },
  {
    what: 'others',
    instead: 'export the network without this operator, and compute it in the application',
    ops: ['BitCast', 'MaxRoiPool', 'ReverseSequence'],
  },
];
