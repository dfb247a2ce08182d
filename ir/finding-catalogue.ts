/** What an audit finds to be said about a network: the texts of `convolith explain`, by the code of the finding. */

interface FindingEntry {
  readonly kind: 'finding';
  readonly title: string;
  readonly explanation: string;
  readonly hint: string;
}

/** A code here without a rule in `passes/analysis/findings` does not compile, nor a rule without a code. */
export const FINDINGS = {
  checkerboard: {
    kind: 'finding',
    title: 'A transposed convolution covers its outputs unevenly',
    explanation:
      'Where the kernel is not a multiple of the stride, some output positions are sums of more products than their neighbours. The pattern has the period of the stride and shows in generated pictures as a checkerboard (Odena et al., Deconvolution and Checkerboard Artifacts, Distill 2016). Training can hide it, but spends capacity on that.',
    hint: 'take a kernel that is a multiple of the stride, or resize and then convolve, and train again',
  },
  gridding: {
    kind: 'finding',
    title: 'Stacked dilations leave holes in what is seen',
    explanation:
      'Dilations with a common factor, one behind the other, only ever reach positions a multiple of that factor away, so neighbouring outputs are computed from separate grids of the input (Yu et al., Dilated Residual Networks, 2017; Wang et al., Understanding Convolution for Semantic Segmentation, 2018). The share of positions that an output sees is counted along every path since the resolution last changed, so a layer in front that fills the holes is taken into account. Stacks are listed of which an output sees three quarters of the positions within its reach, or less.',
    hint: 'choose dilations without a common factor, such as 1, 2, 5, or put a layer of dilation 1 among them, and train again',
  },
  'paths-misaligned': {
    kind: 'finding',
    title: 'Paths meet that look at different places',
    explanation:
      'The values that are joined here have receptive fields with other centres, or other distances between neighbours, so that one path is shifted against the other. Even kernels and uneven padding are the usual causes. Causal layers, which are aligned at their last position on purpose, are not counted.',
    hint: 'make the padding of one path such that the centres agree; the JSON report lists both fields under misaligned',
  },
  'kernels-dense': {
    kind: 'finding',
    title: 'Dense kernels hold most of the arithmetic',
    explanation:
      'A k×k convolution from every input channel to every output channel takes k²·Cin·Cout products per position; a depthwise convolution and a pointwise one behind it take k²·Cin + Cin·Cout (Howard et al., MobileNets, 2017). Layers are listed of which a separable pair would save half or more, and 1 % of the network or more; those that read fewer than 8 channels are not. The exchange changes what the network computes: it has to be trained again, and may lose accuracy.',
    hint: 'rewrite with --factorize depthwise takes the kernels that are there apart, within a budget, and says how far off each layer is; where accuracy can be regained by training, replace the layers named first, which save most',
  },
  'groups-narrow': {
    kind: 'finding',
    title: 'A grouped convolution has very few channels per group',
    explanation:
      'Fewer than four input or output channels per group leave vector instructions of four floats partly empty, and reuse little of what is loaded: such a layer takes much longer than its arithmetic suggests. Depthwise convolutions of one output per input are not meant, which have their own kernels.',
    hint: 'use fewer and wider groups, or depthwise layers, and train again',
  },
  'batch-norm-unfolded': {
    kind: 'finding',
    title: 'Batch normalisation is a layer of its own',
    explanation:
      'At inference a batch normalisation scales and shifts each channel by constants. A convolution or dense layer next to it can have both in its weights and bias, with equal results up to rounding; then the normalisation, which reads and writes its whole tensor, is gone. rewrite and compile do this. A normalisation between layers that cannot take it becomes one scale and one shift; where none can be folded, nothing is said.',
    hint: 'compile does it by itself; for other runtimes rewrite the model, or export it in inference mode, so that the exporter folds it',
  },
  'branches-mergeable': {
    kind: 'finding',
    title: 'Branches of one value are added that could be one layer',
    explanation:
      'Convolutions are linear: the sum of two that read one value is a convolution whose weights are the sum of theirs, the smaller kernel padded with zeros, and the value itself is a convolution too. Networks of this kind are trained with branches and run without (Ding et al., RepVGG, 2021); a file with branches is in the form of training. rewrite and compile merge them, with equal results up to rounding.',
    hint: 'rewrite the model, or export it in the form that is meant for inference',
  },
  'lanes-unfilled': {
    kind: 'finding',
    title: 'Channels do not fill vectors',
    explanation:
      'Compiled kernels compute output channels in vectors of four floats. Where the channels of a group are not a multiple of four, the last vector is partly empty, and takes as long as a full one. Layers are listed that spend 5 % of their products or more in such lanes, and hold 1 % of the MACs of the network or more.',
    hint: 'take a number of channels that is a multiple of four: up to the next one they cost no time',
  },
  'past-border': {
    kind: 'finding',
    title: 'Layers widen fields that span the whole image',
    explanation:
      'The receptive field of what enters these layers is at least as large as the image: where a position is in the middle, their kernels bring in little that is new, and positions at the border see much padding. Richter et al. (Should You Go Deeper?, 2021) find that such layers add little to the accuracy of a classifier. Where outputs have positions, as in segmentation, such layers may still place what they see; below 5 % of the MACs and of the parameters little is lost either way: both are for information. Layers are listed where they hold 1 % or more. Gates that see everything (squeeze-excite) are left out of the field. The size of the image decides: give the one that the network will run at.',
    hint: 'for this image size, try a network with fewer of these layers or with less striding before them; or use larger images',
  },
  'permutations-removable': {
    kind: 'finding',
    title: 'Data is moved into an order that could be made without moving',
    explanation:
      'A channel shuffle behind or before a convolution without groups is a permutation of its filters, exactly; between grouped convolutions it is not. Transposes that follow each other are one, or none.',
    hint: 'rewrite the model: the order of a shuffle goes into the weights of the layer that is named, and transposes that follow each other are merged; compile does so itself',
  },
  'weights-duplicated': {
    kind: 'finding',
    title: 'Equal weights are stored more than once',
    explanation:
      'Constants of the same type have the same values, each stored by itself. Found by comparing values, so weights that are not there are not compared.',
    hint: 'rewrite the model: equal weights are stored once, and the layers share them; compile does so itself',
  },
  'kernels-rank-1': {
    kind: 'finding',
    title: 'Kernels are products of a column and a row',
    explanation:
      'Each k×k kernel of these layers, which sees a single channel, equals a k×1 kernel followed by a 1×k kernel within one part in 10,000 of its norm. The pair gives the same results with 2k products per position in place of k². Blurs, and kernels that were trained as pairs and then multiplied out, are like this. Found by values, so layers without weights are not looked at.',
    hint: 'rewrite the model: where a pair is faster, such a layer becomes two, k×1 with its vertical stride and padding, then 1×k with the rest and the bias',
  },
  'filters-dead': {
    kind: 'finding',
    title: 'Filters are zero',
    explanation:
      'All weights of these filters are zero, so that their output channel is its bias everywhere, whatever the input is. Pruning and training with strong weight decay leave such filters. Found by values, so layers without weights are not looked at, nor are weights of more than 1 MiB that still lie in a file, as an audit is to be quick; whoever gives audit() a graph with its weights in memory has all of them looked at.',
    hint: 'rewrite the model: the channels are removed here and from the layers that read them, what their bias contributes going into the bias there; a channel that leaves the network, or whose bias meets padding, stays',
  },
} as const satisfies Record<string, FindingEntry>;

export type FindingCode = keyof typeof FINDINGS;
