/** `run` and `verify` on the command line. */
import { type Command, Option } from 'commander';
import type { RunArguments } from '../commands/run.ts';
import type { VerifyArguments } from '../commands/verify.ts';
import { collect } from '../options.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, formatOption, pictureOptions, quietOption } from './parts.ts';

export function addRun(program: Command, context: CommandContext): void {
  const command = program
    .command('run')
    .summary('run a model or a bundle; compare backends')
    .description('Runs a model or a bundle once and describes its outputs; compares backends.')
    .argument('<model|bundle>', 'a model (ONNX or JSON), - for stdin, or the folder of a bundle')
    .option('-i, --input <name=file>', 'an input: .npy, .json, .pb, .png or .jpg (repeatable)', collect)
    .option('--random <seed>', 'random values for the inputs that are not given')
    .option('-o, --output <file>', 'write the output: FILE.npy, or DIR or NAME=FILE (repeatable)', collect)
    .addOption(
      new Option('--backend <backend>', 'for a bundle wasm, else reference, unless said').choices([
        'reference',
        'wasm',
        'webgpu',
      ]),
    )
    .option('--outputs <value...>', 'these values of the network instead of its outputs')
    .option('--compare <a,b>', 'run two backends and compare, as reference,wasm')
    .option('--per-layer', 'compare every value that both have, not only the outputs')
    .option('--top <k>', 'print the k largest elements of each output')
    .option('--labels <file>', 'their names: one per line, or a JSON list');
  pictureOptions(command);
  dimensionOptions(command);
  formatOption(command);
  quietOption(command);
  examples(command, [
    'run model.onnx --input image=cat.npy -o logits.npy',
    'run model.onnx --input image=cat.jpg --preprocess imagenet --resize cover --top 5',
    'run bundle --random 1',
    'run model.onnx --random 1 --outputs conv1 relu2',
    'run model.onnx --random 1 --compare reference,wasm --per-layer',
    'run model.onnx --random 1 --backend webgpu     # with the npm package webgpu',
  ]);
  command.addHelpText('after', `\n${ORIENTATION}`);
  command.action(async (path: string, options: RunArguments) =>
    (await import('../commands/run.ts')).runRun(path, options, context),
  );
}

const ORIENTATION = `The orientation that a camera noted in a JPEG (EXIF) is not applied: turn such pictures upright first.`;

export function addVerify(program: Command, context: CommandContext): void {
  const command = program
    .command('verify')
    .summary('check the files of a bundle and its self-test')
    .description('Compares the files of a bundle with the digests in its manifest, and runs its self-test.')
    .argument('<bundle>', 'the folder of a bundle');
  formatOption(command);
  quietOption(command);
  examples(command, ['verify bundle']);
  command.action(async (folder: string, options: VerifyArguments) =>
    (await import('../commands/verify.ts')).runVerify(folder, options, context),
  );
}
