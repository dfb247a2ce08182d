/** What the definitions of commands are made of. */
import { type Command, Option } from 'commander';
import { collect } from '../options.ts';

/** A command whose one argument is a model. */
export function modelCommand(program: Command, name: string, summary: string): Command {
  const sentence = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return program
    .command(name)
    .summary(summary)
    .description(sentence)
    .argument('<model>', 'an ONNX file or a JSON network description; - for stdin');
}

export function dimensionOptions(command: Command, again?: string): void {
  const more = again ? `; ${again}` : '';
  command
    .option('--dim <name=size>', `the size of an open dimension (repeatable)${more}`, collect)
    .option(
      '--shape <input=shape>',
      `the whole shape of an input, as 1x3x224x224 (repeatable)${more}`,
      collect,
    );
}

/** How pictures become tensors. */
export function pictureOptions(command: Command): void {
  command
    .option(
      '--preprocess <how>',
      'of pictures: imagenet, unit (0 … 1), signed (−1 … 1), JSON or a .json file',
    )
    .option('--scale <x>', 'of pictures: each channel becomes (byte · x − mean) / std; 1/255 unless said')
    .option('--mean <list>', 'one number, or one per channel of the network (0 unless said)')
    .option('--std <list>', 'likewise (1 unless said)')
    .addOption(
      new Option('--channels <order>', 'what the network reads; by its shape unless said').choices([
        'rgb',
        'bgr',
        'gray',
        'rgba',
      ]),
    )
    .addOption(
      new Option('--layout <layout>', 'where it has its channels; by its shape unless said').choices([
        'nchw',
        'nhwc',
      ]),
    )
    .addOption(
      new Option('--resize <how>', 'where sizes differ; stretch unless said').choices([
        'stretch',
        'cover',
        'contain',
      ]),
    )
    .option('--pad <byte>', 'around a picture that is contained (0 unless said)');
}

export const formatOption = (command: Command): Command =>
  command.addOption(
    new Option('--format <format>', 'how to print the result').choices(['table', 'json']).default('table'),
  );

export const quietOption = (command: Command): Command =>
  command.option('-q, --quiet', 'no notes, no progress');

export function examples(command: Command, lines: readonly string[]): void {
  const title = lines.length > 1 ? 'Examples:' : 'Example:';
  command.addHelpText('after', `\n${title}\n${lines.map((line) => `  $ convolith ${line}`).join('\n')}`);
}
