/** `rewrite` on the command line. */
import { type Command, Option } from 'commander';
import { QUANTITIES } from '../../rewrite/quantity-names.ts';
import type { RewriteArguments } from '../commands/rewrite.ts';
import { collect } from '../options.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, modelCommand, pictureOptions, quietOption } from './parts.ts';

export function addRewrite(program: Command, context: CommandContext): void {
  const command = modelCommand(
    program,
    'rewrite',
    'a cheaper model: exact passes, and convolutions factorised under a budget',
  )
    .option('-o, --output <file>', 'the rewritten model, .onnx or .json; without it only the report')
    .option('--skip <passes>', 'exact passes to leave out, as fuseBatchNormIntoConv (repeatable)', collect)
    .option(
      '--also <passes>',
      'optional passes, which trade one cost for another: convTransposeToPixelShuffle (repeatable)',
      collect,
    )
    .option('--factorize <methods>', 'depthwise,spatial,tucker,cp,group, or all; needs a limit')
    .option(
      '--budget <limit>',
      'what the network may take at most: macs<=50%, params<=2M, bytes<=80%, time<=3ms',
    )
    .option(
      '--max-error <part>',
      'or what it may be off by: the part of all variance that layers lose together',
    )
    .addOption(
      new Option('--ranks <choice>', 'or the ranks that the weights give evidence for (tucker)').choices([
        'vbmf',
      ]),
    )
    .addOption(
      new Option('--minimise <what>', 'what --max-error makes as small as it can').choices([...QUANTITIES]),
    )
    .option(
      '--device <name>',
      'predict times: a profile that calibrate wrote, or jetson-nano, jetson-agx-orin …',
    )
    .option('--calibrate <path>', 'inputs to fit it to: an .npy of samples, or a folder of .npy or pictures')
    .option('--samples <n>', 'take at most so many of them (512 unless said)')
    .option('--explain', 'print every application of a rule and every refusal too')
    .option('--report <file>', 'write the report to a file: .json, .md, .html')
    .addOption(
      new Option('--format <format>', 'how to print the report')
        .choices(['table', 'json', 'md', 'html'])
        .default('table'),
    );
  pictureOptions(command);
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'rewrite model.onnx -o lean.onnx          # exact: the same results, fewer nodes',
    'rewrite model.onnx -o half.onnx --factorize all --budget "macs<=50%" --calibrate images/',
    'rewrite model.onnx --explain             # what was done, and what not and why',
  ]);
  command.action(async (model: string, options: RewriteArguments) =>
    (await import('../commands/rewrite.ts')).runRewrite(model, options, context),
  );
}
