/** `compile` and `convert` on the command line. */
import { type Command, Option } from 'commander';
import { GPU_PRECISIONS } from '../../targets/webgpu/words.ts';
import { WEIGHT_FORMATS } from '../../weights/formats.ts';
import type { CompileArguments } from '../commands/compile.ts';
import type { ConvertArguments } from '../commands/convert.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, formatOption, modelCommand, quietOption } from './parts.ts';

export function addCompile(program: Command, context: CommandContext): void {
  const command = modelCommand(program, 'compile', 'a bundle that runs the model, with no runtime library')
    .requiredOption('-o, --output <dir>', 'the folder of the bundle')
    .option('--target <list>', 'what to generate: wasm, webgpu, or wasm,webgpu', 'wasm')
    .addOption(
      new Option('--check <how>', 'compare kernels with the reference: at sampled elements, or at all')
        .choices(['sampled', 'full'])
        .default('sampled'),
    )
    .option(
      '--preprocess <how>',
      'take a picture as bytes: imagenet, unit (0 … 1), signed (−1 … 1), JSON or a .json file',
    )
    .addOption(
      new Option('--weights <how>', 'how weights are stored: as in memory, before transforms, or rounded')
        .choices(WEIGHT_FORMATS)
        .default('f32'),
    )
    .addOption(
      new Option('--gpu-precision <how>', 'what floats on a GPU are kept as between layers')
        .choices(GPU_PRECISIONS)
        .default('f32'),
    )
    .option('--threads <n>', 'the bundle can run on up to so many threads')
    .option('--tune <file>', 'choose kernels by measuring them here; what is found is kept in the file')
    .option('--tune-software', 'measure kernels for WebGPU also where the adapter is software')
    .option('--tuning <file>', 'choose kernels as such a file says, without measuring')
    .option('--profile <file>', 'estimate the time of kernels from what calibrate measured')
    .option('--no-relaxed', 'leave out the module for engines with relaxed SIMD, where it is faster')
    .option('--force', 'replace a folder that is not a bundle, and all that is in it');
  dimensionOptions(command, 'again for another specialisation over the same weights');
  formatOption(command);
  quietOption(command);
  examples(command, [
    'compile model.onnx -o bundle',
    'compile model.onnx -o bundle --shape image=1x3x640x640 --check full',
    'compile model.onnx -o bundle --dim batch=1 --dim batch=8',
    'compile model.onnx -o bundle --preprocess imagenet',
    'compile model.onnx -o bundle --tune tuning.json',
  ]);
  command.addHelpText('after', `\n${PREPROCESSING}`);
  command.action(async (model: string, options: CompileArguments) =>
    (await import('../commands/compile.ts')).runCompile(model, options, context),
  );
}

const PREPROCESSING = `Preprocessing, as JSON; all but what is needed may be left out:
  { "input": "image",                          the network's input
    "pixels": "rgba",                          what is given: rgba (a canvas), rgb, gray
    "source": { "width": 320, "height": 240 }, the size that is given; a list of them for
                                               several specialisations
    "resize": "cover",                         stretch, cover (cut off evenly) or contain
    "pad": 0,                                  the byte around a contained picture
    "channels": "bgr",                         what the network reads: rgb, bgr, gray, rgba
    "layout": "nchw",                          where it has its channels
    "scale": 0.00392, "mean": [0.5, 0.5, 0.5], "std": 0.5 }
  Channel c becomes (byte · scale − mean[c]) / std[c]; scale is 1/255 unless said. Resizing is
  linear, and over all pixels that become one where the picture shrinks. Alpha is left out.
  The bundle takes pictures of the network's size, or of source, and refuses all others.`;

export function addConvert(program: Command, context: CommandContext): void {
  const command = modelCommand(
    program,
    'convert',
    'between ONNX and the JSON network description',
  ).requiredOption('-o, --output <file>', 'FILE.onnx, or FILE.json with FILE.safetensors beside it');
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'convert network.json -o network.onnx      # with seeded weights, or those it names',
    'convert model.onnx -o model.json',
  ]);
  command.action(async (model: string, options: ConvertArguments) =>
    (await import('../commands/convert.ts')).runConvert(model, options, context),
  );
}
