/** `audit` on the command line. */
import { type Command, Option } from 'commander';
import { PRESET_NAMES } from '#passes/analysis/presets/index.ts';
import type { AuditArguments } from '../commands/audit.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, modelCommand, quietOption } from './parts.ts';

export function addAudit(program: Command, context: CommandContext): void {
  const command = modelCommand(
    program,
    'audit',
    'cost, receptive fields and memory of a model; weights may be missing',
  )
    .addOption(
      new Option('--format <format>', 'by the extension of -o, else table, unless said').choices([
        'table',
        'json',
        'csv',
        'md',
        'dot',
        'svg',
      ]),
    )
    .option('-o, --output <file>', 'write to a file instead of stdout')
    .option('--depth <n>', 'add layers up by module, to this depth (table)')
    .option('--rows <n>', 'list at most so many layers (table; 60 unless said)')
    .addOption(
      new Option('--preset <name>', 'count as another tool would; exact MACs unless said').choices(
        PRESET_NAMES,
      ),
    )
    .option('--full', 'draw every node on its own (dot, svg)')
    .option('--footprint', 'memory and weights of the compiled program')
    .option('--compile', 'the same, and the size of its code');
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'audit model.onnx',
    'audit model.onnx --shape image=1x3x640x640 --depth 2',
    'audit model.onnx -o model.svg            # the network as a picture',
    'audit model.onnx --format json | jq .totals.macs',
  ]);
  command.action(async (model: string, options: AuditArguments) =>
    (await import('../commands/audit.ts')).runAudit(model, options, context),
  );
}
