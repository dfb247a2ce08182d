/** Official cases that do not pass, and why: the list of gaps. It may only shrink. */
const FRACTION =
  'ONNX maps corners by the fractional output size scale·input; PyTorch and onnxruntime, by the whole one, and so does convolith';

export const GAPS: Readonly<Record<string, string>> = {
  test_resize_downsample_scales_cubic_align_corners: FRACTION,
  test_resize_downsample_scales_linear_align_corners: FRACTION,
};

/** Cases of Debian's older collection that are beyond what convolith is for. */
export const BEYOND: readonly { readonly what: RegExp; readonly why: string }[] = [
  {
    what: /NegativeLogLikelihoodLoss|SoftmaxCrossEntropyLoss|ai\.onnx\.preview\.training|in training mode/,
    why: 'training',
  },
  {
    what: /StringNormalizer|TfIdfVectorizer|not tensors of supported types/,
    why: 'strings, sequences, optionals',
  },
  { what: /Sequence|Optional|Loop|Scan/, why: 'sequences, optionals and loops' },
  { what: /Bernoulli|Random/, why: 'random results' },
  { what: /\bDFT|STFT|MelWeightMatrix|Window/, why: 'signal processing' },
  { what: /Compress|Unique/, why: 'sizes that depend on data' },
  { what: /bfloat16|BFLOAT16|dimension-invalid/, why: 'bfloat16' },
  { what: /tf_half_pixel_for_nn/, why: 'a coordinate rule that ONNX has withdrawn' },
  { what: /ReverseSequence/, why: 'not implemented' },
];
