/** `bench` and `calibrate` on the command line. */
import { type Command, Option } from 'commander';
import { GPU_PRECISIONS } from '../../targets/webgpu/words.ts';
import type { BenchArguments } from '../commands/bench.ts';
import type { CalibrateArguments } from '../commands/calibrate.ts';
import type { CommandContext } from '../program.ts';
import { dimensionOptions, examples, formatOption, modelCommand, quietOption } from './parts.ts';

export function addBench(program: Command, context: CommandContext): void {
  const command = modelCommand(
    program,
    'bench',
    'time of each layer and of the whole, beside onnxruntime-web where it is installed',
  )
    .addOption(
      new Option('--backend <backend>', 'what it runs on; wasm unless said').choices(['wasm', 'webgpu']),
    )
    .addOption(
      new Option('--gpu-precision <how>', 'for --backend webgpu: as in compile').choices(GPU_PRECISIONS),
    )
    .option('--rounds <n>', 'how often each side is timed, in turn (15 unless said)')
    .addOption(
      new Option(
        '--against <other>',
        'what to compare with; unless said onnxruntime-web, with --backend webgpu wasm',
      ).choices(['onnxruntime-web', 'wasm', 'none']),
    )
    .option(
      '--profile <file>',
      'also what each layer was to take by what calibrate measured, for the same backend',
    )
    .option('--json', 'the same as --format json');
  dimensionOptions(command);
  formatOption(command);
  quietOption(command);
  examples(command, [
    'bench model.onnx',
    'bench model.onnx --shape image=1x3x640x640 --against none',
    'bench model.onnx --backend webgpu               # with the npm package webgpu',
    'bench model.onnx --format json | jq .other.ratio.median',
  ]);
  command.action(async (model: string, options: BenchArguments) =>
    (await import('../commands/bench.ts')).runBench(model, options, context),
  );
}

export function addCalibrate(program: Command, context: CommandContext): void {
  const command = program
    .command('calibrate')
    .summary('measure what the choice of kernels is estimated from')
    .description(
      'Measures how fast this machine is at the parts of kernels, for compile --profile and audit --device.',
    )
    .requiredOption('-o, --output <file>', 'the profile, as JSON')
    .addOption(
      new Option('--backend <backend>', 'what it is about; wasm unless said').choices(['wasm', 'webgpu']),
    );
  formatOption(command);
  quietOption(command);
  examples(command, [
    'calibrate -o profile.json',
    'compile model.onnx -o bundle --profile profile.json',
    'calibrate --backend webgpu -o gpu.json',
    'audit model.onnx --device gpu.json',
  ]);
  command.action(async (options: CalibrateArguments) =>
    (await import('../commands/calibrate.ts')).runCalibrate(options, context),
  );
}
