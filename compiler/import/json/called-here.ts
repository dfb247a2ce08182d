/** What layers and options of other frameworks are called here. */

/** Words of frameworks, in lower case and without signs, and what they are called here. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  conv: ['convolution', 'conv1d', 'conv2d', 'conv3d'],
  depthwise: ['depthwiseconv', 'depthwiseconv2d', 'dwconv'],
  depthwiseSeparable: ['separableconv', 'separableconv2d', 'sepconv'],
  transposed: ['deconv', 'convtranspose', 'convtranspose2d', 'conv2dtranspose', 'deconvolution'],
  dense: ['linear', 'fc', 'fullyconnected', 'gemm', 'innerproduct'],
  interpolate: ['upsample', 'upsampling', 'upsampling2d', 'resize'],
  globalPool: ['gap', 'globalavgpool', 'globalaveragepool', 'adaptiveavgpool', 'adaptiveavgpool2d'],
  averagePool: ['avgpool', 'avgpool2d', 'averagepooling2d', 'meanpool'],
  maxPool: ['maxpool2d', 'maxpooling', 'maxpooling2d'],
  norm: ['bn', 'batchnorm', 'batchnorm2d', 'batchnormalization', 'layernorm', 'groupnorm', 'instancenorm'],
  pad: ['zeropad', 'zeropad2d', 'zeropadding2d'],
  depthToSpace: ['pixelshuffle'],
  squeezeExcite: ['se', 'seblock'],
  add: ['sum', 'residual', 'plus'],
  mul: ['multiply', 'product'],
  concat: ['cat', 'concatenate'],
  silu: ['swish'],
  hardSwish: ['hswish'],
  hardSigmoid: ['hsigmoid'],
  leakyRelu: ['lrelu'],
  channels: ['filters', 'outchannels', 'features'],
  units: ['outfeatures', 'channels', 'neurons', 'size'],
  kernel: ['kernelsize', 'k', 'ksize', 'size'],
  stride: ['s'],
  padding: ['p'],
  dilation: ['dilationrate', 'd'],
  bias: ['usebias'],
  groups: ['numgroups', 'g'],
  epsilon: ['eps'],
  alpha: ['negativeslope', 'slope'],
  rate: ['p', 'probability'],
  scale: ['scalefactor', 'factor'],
  ceil: ['ceilmode'],
  includePadding: ['countincludepad'],
  multiplier: ['depthmultiplier'],
  block: ['blocksize', 'upscalefactor'],
  reduction: ['ratio'],
};

/** What a word of another framework is called here, among `known`. */
export function calledHere(word: string, known: readonly string[]): string | undefined {
  const plain = word.toLowerCase().replace(/[^a-z\d]/g, '');
  return known.find((name) => ELSEWHERE[name]?.includes(plain));
}
