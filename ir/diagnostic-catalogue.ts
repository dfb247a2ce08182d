/**
 * `invalid`: the model is wrong. `unsupported`: it needs what is not there or not given. `usage`: the call is wrong.
 * `failed`: a check did not pass. `bug`: convolith is wrong.
 */
export type DiagnosticKind = ErrorKind | 'warning' | 'note';
type ErrorKind = 'invalid' | 'unsupported' | 'usage' | 'failed' | 'bug';

interface Texts {
  readonly title: string;
  /** At length, for `convolith explain`. */
  readonly explanation: string;
}

/**
 * An error says what to do; the place that raises it may know better than the entry, and with `hintBy: 'place'` only the
 * place knows.
 */
type CatalogueEntry = Texts &
  (
    | { readonly kind: ErrorKind; readonly hint: string }
    | { readonly kind: ErrorKind; readonly hintBy: 'place' }
    | { readonly kind: 'warning' | 'note'; readonly hint?: string }
  );

/** Every diagnostic there is. Codes are stable; a new one is one entry. */
export const CATALOGUE = {
  'onnx-truncated': {
    kind: 'invalid',
    title: 'The file ends in the middle of a field',
    explanation:
      'An ONNX file is a protocol-buffer message. This one announces more bytes than it has: it was cut off while it was written, copied or downloaded.',
    hint: 'compare the file size with the original, or export or download it again',
  },
  'onnx-malformed': {
    kind: 'invalid',
    title: 'The file is not an ONNX model',
    explanation:
      'The bytes do not decode as an ONNX ModelProto with a graph. Common causes: an HTML error page or a Git LFS pointer saved under the name of a model, a zip archive, or a model of another framework.',
    hint: 'open the file in a text editor: an error page or a Git LFS pointer is readable text',
  },
  'json-malformed': {
    kind: 'invalid',
    title: 'A network description is not JSON',
    explanation:
      'A file whose text begins with "{" is read as a JSON network description. Common slips: a comma after the last element, a missing comma, single quotes, comments.',
    hint: 'look at the line and column that the message names; a JSON formatter shows the same place',
  },
  'network-invalid': {
    kind: 'invalid',
    title: 'A network description is wrong at one place',
    explanation:
      'The place is given as a path from the top: layers[4].conv.groups is the option "groups" of the fifth layer, a conv. Everything wrong is listed at once; sizes after a layer that is wrong are not known, so a second look may find more. Each message has a hint of its own that says what to write there. docs/json.md in the package has the vocabulary, schema/network.schema.json the same for editors.',
    hintBy: 'place',
  },
  'layer-unused': {
    kind: 'warning',
    title: 'A layer of a network description reaches no output',
    explanation:
      'Its result is read by no layer that leads to an output, so nothing of it is computed. Often a later layer has a "from" that goes past it, or a name is missing under "outputs".',
  },
  'block-unused': {
    kind: 'warning',
    title: 'A block of a network description is used nowhere',
    explanation:
      'No layer of the network uses it, nor a block that one uses. Its layers are checked as far as that is possible without what enters it.',
  },
  'input-unused': {
    kind: 'warning',
    title: 'An input of a network description is read by nothing',
    explanation:
      'Layers begin at the first input; another one is read by its name, with "from" or in a join. A network with an input that nothing reads still asks for it when it runs.',
  },
  'weights-invalid': {
    kind: 'invalid',
    title: 'A file with weights does not fit the network',
    explanation:
      'The safetensors file is damaged, or it lacks a tensor that a layer needs, or a tensor has another shape. Tensors are named by the path of their layer: stage1.0.conv1.weight.',
    hint: 'give the safetensors file that was saved for this network, with its tensors named by the paths of the layers',
  },
  'weights-unused': {
    kind: 'warning',
    title: 'A file with weights has tensors that no layer uses',
    explanation:
      'Often the layers have other names than the tensors, or the file is that of another network.',
  },
  'export-unsupported': {
    kind: 'unsupported',
    title: 'The other format cannot say this',
    explanation:
      'The node named cannot be written in the format that was asked for. The JSON description speaks of layers, and has no words for arithmetic between constants, shapes and indices.',
    hint: 'write the network in a format that has this node: .onnx has all that convolith reads',
  },
  'export-differs': {
    kind: 'note',
    title: 'What is written differs from the model in a way that does not change its results',
    explanation:
      'The other format cannot say this in the same way: inputs or outputs have other names there, or weights that layers share are written for each of them, so that they count more than once.',
  },
  'graph-cyclic': {
    kind: 'invalid',
    title: 'The graph has a cycle',
    explanation:
      'A value depends on itself. ONNX graphs must be acyclic; no order of the nodes can compute this one.',
    hint: 'export the model again; if its graph was edited, look at the edges into the named nodes',
  },
  'graph-undefined-value': {
    kind: 'invalid',
    title: 'A node reads a value that nothing produces',
    explanation: 'The name is neither a graph input, nor an initializer, nor the output of a node.',
    hint: 'export the model again; if its graph was edited, the node that made this value is missing or has another name',
  },
  'graph-duplicate-value': {
    kind: 'invalid',
    title: 'Two producers give a value the same name',
    explanation: 'ONNX graphs are in single-assignment form: each value has exactly one producer.',
    hint: 'export the model again; if its graph was edited or two were merged, give one of the values another name',
  },
  'graph-invalid': {
    kind: 'invalid',
    title: 'The graph breaks a rule of the IR',
    explanation: 'The verifier found an inconsistency; the message names the node and the rule.',
    hint: 'export the model again, and check it with onnx.checker.check_model',
  },
  'tensor-size': {
    kind: 'invalid',
    title: 'A tensor has a different number of bytes than its shape needs',
    explanation:
      'The dimensions and the element type of a stored tensor fix its size; the data present has another.',
    hint: 'export or download the model again; with external data, make sure that the files belong to this model',
  },
  'external-outside': {
    kind: 'invalid',
    title: 'External data lies outside the model’s folder',
    explanation:
      'A model may name files that hold its weights. For safety they must lie in the folder of the model or below it, by a relative path; absolute paths, ".." that leaves the folder, and links out of it are refused.',
    hint: 'move the file into the model’s folder and save the model with that relative path (onnx.save with a new location)',
  },
  'external-missing': {
    kind: 'unsupported',
    title: 'A file with the model’s weights is missing',
    explanation:
      'The model keeps weights in separate files (ONNX external data). Auditing does not need them; compiling and running do.',
    hint: 'put the named file beside the model',
  },
  'weights-missing': {
    kind: 'unsupported',
    title: 'The values of a constant are needed and not there',
    explanation: 'Only the shape of this constant is known, because the file with its data was not given.',
    hint: 'put the file with the weights beside the model',
  },
  'dimension-missing': {
    kind: 'unsupported',
    title: 'A dimension has no value',
    explanation:
      'The model leaves this dimension open. A symbolic batch is taken as 1, with a note; any other must be given to compile or run.',
    hint: 'give it with --dim NAME=VALUE or --shape INPUT=1x3x224x224',
  },
  'dimension-invalid': {
    kind: 'usage',
    title: 'A given dimension does not fit the model',
    explanation:
      'The option names an input or dimension that the model does not have, or a size that contradicts it.',
    hint: 'convolith audit MODEL --format json lists the inputs with their symbols',
  },
  'batch-assumed': {
    kind: 'note',
    title: 'The batch dimension was not given and is taken as 1',
    explanation:
      'The first dimension of the inputs is symbolic; convolith takes one image unless told otherwise.',
    hint: 'give it with --dim NAME=VALUE',
  },
  'dtype-converted': {
    kind: 'note',
    title: 'Weights or values of f16 or f64 were converted to f32',
    explanation: 'Computation is in f32. f16 converts exactly; f64 is rounded to nearest.',
  },
  'dtype-unsupported': {
    kind: 'unsupported',
    title: 'An element type is not supported',
    explanation: 'Tensors of strings, complex numbers, bfloat16, float8 and 4-bit types are not supported.',
    hint: 'export the model in float32; inputs and outputs of other types belong in the application',
  },
  'op-unknown': {
    kind: 'unsupported',
    title: 'An operator is not known',
    explanation: 'The node’s operator (with its domain and version) is not among those that convolith reads.',
    hint: 'export the network without this operator; another opset_version may write it in operators that are known',
  },
  'op-refused': {
    kind: 'unsupported',
    title: 'An operator of the standard is refused',
    explanation:
      'The operator is one of ONNX that convolith does not read: loops, sequences, sizes that depend on values, random numbers and others that README.md lists. The hint says what to do for this one.',
    hint: 'export the network without this operator, and compute it in the application',
  },
  'op-unsupported-form': {
    kind: 'unsupported',
    title: 'This form of an operator is not supported',
    explanation: 'The operator is known, but not with these attributes or inputs; the message says which.',
    hint: 'export the node in another form; the message says what it may be',
  },
  'opset-unsupported': {
    kind: 'unsupported',
    title: 'The model is of an op set that is too old',
    explanation:
      'Each ONNX model says of which version of the operator set it is. Versions from 6 on are read; of older ones, operators that have not changed until then.',
    hint: 'convert it with onnx.version_converter.convert_version(model, 13), or export it with a newer opset_version',
  },
  'opset-newer': {
    kind: 'warning',
    title: 'The model is of an op set that is newer than what is known',
    explanation:
      'Operators are read as the newest known op set defines them. Should one have changed since, it would be read wrongly; comparing with another runtime shows that.',
    hint: 'export the model with an older opset_version',
  },
  'shape-mismatch': {
    kind: 'invalid',
    title: 'The shapes at a node do not fit its operator',
    explanation: 'Inference over the given input sizes fails at this node.',
    hint: 'export the model again and check it with onnx.checker.check_model(model, full_check=True)',
  },
  'output-shape-differs': {
    kind: 'warning',
    title: 'An output has another shape than the model declares',
    explanation:
      'A model says the shape of its outputs beside the nodes that compute them. Here the nodes give another one at these input sizes. Mostly the declaration is left from other sizes, such as a batch of 1; it may also be that the model was edited, or is read wrongly. What is computed has the shape of the nodes.',
    hint: 'if the declaration is right, compare with another runtime; if it is stale, export the model again or ignore this',
  },
  'shape-data-dependent': {
    kind: 'unsupported',
    title: 'A shape depends on the values of the input',
    explanation: 'Sizes must be computable from the sizes of the inputs alone.',
    hint: 'export with fixed sizes, and without steps that select by value, such as NonZero and post-processing',
  },
  'target-unsupported': {
    kind: 'unsupported',
    title: 'The target has no kernel for a node',
    explanation: 'The operator is read and audited, but this target cannot run it in this form.',
    hint: 'leave this node out of the exported network and compute it in the application',
  },
  'gpu-missing': {
    kind: 'unsupported',
    title: 'There is no WebGPU here',
    explanation:
      'Node has no WebGPU of its own: the command takes the package "webgpu" (Dawn, the implementation in Chromium) where it is installed, in the folder where it runs or beside convolith. That in turn takes a driver for Vulkan, Metal or Direct3D 12. A real GPU is preferred; without one, SwiftShader, which comes with Chromium, computes on the processor: its results are right, its times say nothing about a GPU.',
    hintBy: 'place',
  },
  'gpu-refused': {
    kind: 'unsupported',
    title: 'The device refuses the network',
    explanation:
      'The network needs a buffer that is larger than the device can bind, or the device does not compile one of its kernels. Nothing has been computed.',
    hint: 'use a smaller input, batch or network, or another backend',
  },
  'gpu-split': {
    kind: 'note',
    title: 'Some layers run on WebAssembly where the network runs on a GPU',
    explanation:
      'These layers have no kernel on WebGPU in this form. The network is cut there: what they read comes back from the GPU, and what they give goes to it again. A run waits for that at every cut.',
    hint: 'see which layers these are, and whether the network can do without',
  },
  'memory-limit': {
    kind: 'unsupported',
    title: 'The network needs more memory than its target has',
    explanation:
      'On WebAssembly weights and activations lie in one memory, whose addresses have 32 bits; on WebGPU all that is computed lies in one buffer, and no device binds 4 GiB. Nothing is written.',
    hint: 'use a smaller input, batch or network',
  },
  'self-check-failed': {
    kind: 'bug',
    title: 'A compiled kernel disagrees with the reference',
    explanation:
      'After compiling, sampled outputs of every kernel call are compared with the reference evaluator. A disagreement is a bug of convolith; no bundle is written.',
    hint: 'please report it, with the model if you can',
  },
  'output-not-finite': {
    kind: 'warning',
    title: 'An output holds infinities or NaN on random input',
    explanation:
      'The network was run on random input while it was compiled, and an output overflowed or is not a number; the reference agrees. Some networks need inputs of a certain range; weights that are not the trained ones do this too.',
  },
  'bundle-corrupt': {
    kind: 'failed',
    title: 'A bundle does not verify',
    explanation:
      'A file of the bundle is missing, has another SHA-256 than the manifest says, or the self-test disagrees.',
    hint: 'compile it again, or copy all of its files again',
  },
  'comparison-failed': {
    kind: 'failed',
    title: 'Two backends disagree beyond the tolerance',
    explanation: 'The outputs differ by more than 1e-4 of the largest magnitude.',
    hint: '--per-layer shows where the difference begins',
  },
  'rewrite-inexact': {
    kind: 'failed',
    title: 'Exact passes changed what the network computes',
    explanation:
      'Before a rewritten model is written, original and rewritten run on the same inputs. Exact passes may change results by what rounding explains: 1e-5 of the largest magnitude, or 8 times what rounding every weight once more does to this network, if that is more. Nothing was written.',
    hint: 'find the pass with --skip PASS, and report it with the model',
  },
  'budget-exceeded': {
    kind: 'failed',
    title: 'A total of an audit is beyond its budget',
    explanation:
      'The limits are those of --budget, each a total, a relation and an amount: macs<=300M, params<=5M, peak<=8MiB; k, M, G and T are powers of 1000, Ki, Mi, Gi and Ti of 1024. With diff the totals are those of the second model, and macs<=+5% is relative to the first. A total that is not known, because a size or a device is not given, meets no limit. The report is printed all the same; the exit code is 1.',
    hint: 'the findings name the layers that would save most; convolith diff OLD NEW shows what has grown',
  },
  'file-unreadable': {
    kind: 'usage',
    title: 'A file cannot be read or written',
    explanation: 'The operating system refused; the message has its reason.',
    hint: 'check the path and its permissions',
  },
  'input-invalid': {
    kind: 'usage',
    title: 'A given input does not fit the model',
    explanation:
      'The name, shape or element type of an input tensor is not what the model asks for, or its file is none of the kinds that are read; or a value of it is one that an operator does not take, such as an index outside the axis that it goes to.',
    hint: 'convolith audit MODEL lists the inputs with their shapes and types',
  },
  'usage-invalid': {
    kind: 'usage',
    title: 'An option is unknown or has a wrong value',
    explanation: 'The message names the option and what it takes.',
    hint: 'convolith COMMAND --help lists the options and what they take',
  },
} as const satisfies Record<string, CatalogueEntry>;
