/** `ir` and `explain` on the command line. */
import type { Command } from 'commander';
import type { IrArguments } from '../commands/ir.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, quietOption } from './parts.ts';

export function addIr(program: Command, context: CommandContext): void {
  const command = program
    .command('ir')
    .summary('the intermediate representation as text, after any pass')
    .description('Prints the network as convolith sees it: as imported, or after the passes up to one.')
    .argument('[model]', 'an ONNX file or a JSON network description; - for stdin')
    .option('--after <pass>', 'run the passes up to this one; "graph" or "lower" for a whole pipeline')
    .option('--passes', 'list the passes; with a model, what each does to it')
    .option('--full', 'print all values of constants')
    .option('-o, --output <file>', 'write to a file instead of stdout');
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'ir model.onnx',
    'ir model.onnx --after fuseBatchNormIntoConv',
    'ir model.onnx --passes',
  ]);
  command.action(async (model: string | undefined, options: IrArguments) =>
    (await import('../commands/ir.ts')).runIr(model, options, context),
  );
}

export function addExplain(program: Command, context: CommandContext): void {
  const command = program
    .command('explain')
    .summary('a diagnostic, at length')
    .description('Explains the code of an error, warning or note; without one, lists all of them.')
    .argument('[code]', 'as printed in brackets: dimension-missing');
  quietOption(command);
  examples(command, ['explain dimension-missing']);
  command.action(async (code: string | undefined) =>
    (await import('../commands/explain.ts')).runExplain(code, context),
  );
}
