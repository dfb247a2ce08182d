/** `audit` on the command line. */
import { type Command, Option } from 'commander';
import { fail } from '#ir/diagnostics.ts';
import { PRESET_NAMES } from '#passes/analysis/presets/names.ts';
import { DEVICES } from '../../roofline/devices.ts';
import type { AuditArguments } from '../commands/audit.ts';
import type { DiffArguments } from '../commands/diff.ts';
import { FORMATS } from '../formats.ts';
import { collect, isRange } from '../options.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, modelCommand, quietOption } from './parts.ts';

/** Options that make `audit` a question of its own. */
interface Apart {
  readonly at?: string;
  readonly correlation?: string;
  readonly calibrate?: string;
  readonly preprocess?: string;
}

export function addAudit(program: Command, context: CommandContext): void {
  const command = modelCommand(
    program,
    'audit',
    'cost, receptive fields and memory of a model; weights may be missing',
  )
    .addOption(
      new Option('--format <format>', 'by the extension of -o, else table, unless said').choices(FORMATS),
    )
    .option('-o, --output <file>', 'write to a file instead of stdout')
    .option('--depth <n>', 'add layers up by module, to this depth (table, dot, svg)')
    .option('--rows <n>', 'list at most so many layers (table; 60 unless said)')
    .addOption(
      new Option('--preset <name>', 'count as another tool would; exact MACs unless said').choices(
        PRESET_NAMES,
      ),
    )
    .option('--at <layer,position>', 'what one position of a layer sees of the inputs (table, json)')
    .option('--correlation <layer>', 'how near the filters of a layer are to groups (table, json, html, svg)')
    .option(
      '--calibrate <file>',
      'for --correlation: of responses to these samples, a .npy, a picture or a folder of them',
    )
    .option('--preprocess <how>', 'of these pictures, as run --preprocess')
    .option('--full', 'draw every node on its own (dot, svg)')
    .option(
      '--device <which>',
      `predict times on a machine that calibrate measured (a file), or by a data sheet: ${DEVICES.map(({ name }) => name).join(', ')}`,
    )
    .option(
      '--budget <limits>',
      'fail beyond limits on totals, as macs<=300M,params<=5M,peak<=8MiB (repeatable)',
      collect,
    )
    .option('--findings <n>', 'list at most so many findings (12 unless said)')
    .option('--ignore <codes>', 'findings to leave out, as past-border,kernels-dense')
    .option('--footprint', 'memory and weights of the compiled program')
    .option('--compile', 'the same, and the size of its code');
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'audit model.onnx',
    'audit model.onnx --shape image=1x3x640x640 --depth 2',
    'audit model.onnx -o report.html          # all of it on one page, with charts',
    'audit model.onnx -o model.svg            # the network as a picture',
    'audit model.onnx --dim H=224:512:32 --dim W=224   # totals for each of these sizes',
    'audit model.onnx --format json | jq .totals.macs',
    'audit model.onnx --at /layer1/conv1/Conv,3x5',
    'audit model.onnx --correlation layer2.0.conv2 -o heat.html',
  ]);
  command.action(async (model: string, { at, correlation, ...options }: AuditArguments & Apart) => {
    if (at !== undefined && correlation !== undefined) {
      fail('usage-invalid', '--at', 'it does not go with --correlation', 'leave out one of the two');
    }
    if (at !== undefined) {
      return (await import('../commands/audit-at.ts')).runAuditAt(model, { at, ...options }, context);
    }
    if (correlation !== undefined) {
      const { runAuditCorrelation } = await import('../commands/audit-correlation.ts');
      return runAuditCorrelation(model, { correlation, ...options }, context);
    }
    if (options.calibrate !== undefined || options.preprocess !== undefined) {
      const option = options.calibrate === undefined ? '--preprocess' : '--calibrate';
      fail('usage-invalid', option, 'it goes with --correlation', 'give --correlation LAYER too');
    }
    if (options.dim?.some(isRange)) {
      return (await import('../commands/audit-range.ts')).runAuditRange(model, options, context);
    }
    return (await import('../commands/audit.ts')).runAudit(model, options, context);
  });
}

export function addDiff(program: Command, context: CommandContext): void {
  const command = program
    .command('diff')
    .summary('the audits of two models, side by side')
    .description(
      'Compares two models: totals, and the layers that differ, matched by name, then by structure.',
    )
    .argument('<a>', 'the first model, an ONNX file or a JSON network description')
    .argument('<b>', 'the second')
    .option('-o, --output <file>', 'write to a file instead of stdout')
    .option('--rows <n>', 'list at most so many layers (table; 60 unless said)')
    .option(
      '--budget <limits>',
      'fail beyond limits on totals of the second, also relative to the first: macs<=+5% (repeatable)',
      collect,
    )
    .option('--footprint', 'memory of the compiled programs too')
    .option('--compile', 'the same, and the size of their code')
    .option('--device <which>', 'predicted times too, as audit --device does')
    .addOption(
      new Option('--format <format>', 'by the extension of -o, else table, unless said').choices([
        'table',
        'json',
        'md',
      ]),
    );
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'diff before.onnx after.onnx',
    'diff before.onnx after.onnx --budget "macs<=+0%,params<=+1%"',
  ]);
  command.action(async (a: string, b: string, options: DiffArguments) =>
    (await import('../commands/diff.ts')).runDiff(a, b, options, context),
  );
}
