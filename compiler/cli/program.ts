/** The commands and their options. What a command does is imported when it runs, so that help is quick. */
import { Command, CommanderError, Option } from 'commander';
import { diagnostic } from '#ir/diagnostics.ts';
import { VERSION } from '../version.ts';
import { WEIGHT_FORMATS } from '../weights/formats.ts';
import type { AuditArguments } from './commands/audit.ts';
import type { BenchArguments } from './commands/bench.ts';
import type { CalibrateArguments } from './commands/calibrate.ts';
import type { CompileArguments } from './commands/compile.ts';
import type { ConvertArguments } from './commands/convert.ts';
import type { IrArguments } from './commands/ir.ts';
import type { RunArguments } from './commands/run.ts';
import type { VerifyArguments } from './commands/verify.ts';
import { EXIT, printDiagnostics, reportError } from './errors.ts';
import { EndedElsewhere } from './optimised-code.ts';
import { collect } from './options.ts';
import { Terminal } from './terminal.ts';

/** What every command is given besides its arguments. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Runs one command line. @returns the exit code */
export async function runProgram(args: readonly string[], signal: AbortSignal): Promise<number> {
  const terminal = new Terminal();
  try {
    await makeProgram({ terminal, signal }).parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (error) {
    if (error instanceof EndedElsewhere) return error.code;
    return error instanceof CommanderError
      ? reportUsage(error, args, terminal)
      : reportError(error, terminal);
  }
}

function makeProgram(context: CommandContext): Command {
  const { terminal } = context;
  const program = new Command('convolith')
    .description('Audits, rewrites and compiles convolutional networks.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'the help of a command')
    .exitOverride()
    .hook('preAction', (_, command) => {
      terminal.quiet = command.opts<{ quiet?: boolean }>().quiet ?? false;
    })
    // errors are printed with all others
    .configureOutput({
      outputError: () => undefined,
      getOutHelpWidth: () => terminal.width,
      getErrHelpWidth: () => terminal.width,
      getOutHasColors: () => terminal.colour,
    })
    .configureHelp({
      styleTitle: (text) => terminal.colours.bold(text),
      styleOptionText: (text) => terminal.colours.cyan(text),
      styleSubcommandText: (text) => terminal.colours.cyan(text),
      subcommandTerm: (command) => command.name(),
      optionDescription: ({ description, argChoices, defaultValue }) => {
        const list = argChoices ? `: ${argChoices.join(', ')}` : '';
        return `${description}${list}${defaultValue === undefined ? '' : ` (${defaultValue} unless said)`}`;
      },
      argumentTerm: (argument) => argument.name().toUpperCase(),
      commandUsage: (command) => {
        const names = command.registeredArguments.map((argument) => {
          const name = argument.name().toUpperCase();
          return argument.required ? `${name} ` : `[${name}] `;
        });
        const path =
          command.parent === null ? 'convolith COMMAND … ' : `convolith ${command.name()} ${names.join('')}`;
        return `${path}[options]`;
      },
    });
  examples(program, [
    'audit model.onnx                         # what it costs, layer by layer',
    'compile model.onnx -o bundle             # WebAssembly made for this network',
    'run model.onnx --random 1                # try it',
  ]);
  program.addHelpText('after', `\n${EXIT_CODES}`);
  addAudit(program, context);
  addCompile(program, context);
  addRun(program, context);
  addBench(program, context);
  addConvert(program, context);
  addVerify(program, context);
  addCalibrate(program, context);
  addIr(program, context);
  addExplain(program, context);
  return program;
}

const EXIT_CODES = `Exit codes:
  0  done                           3  the model is invalid
  1  a check or comparison failed   4  something unsupported, or not given
  2  wrong usage, unreadable file   70 a bug of convolith`;

function addAudit(program: Command, context: CommandContext): void {
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
    .option('--full', 'draw every node on its own (dot, svg)');
  dimensionOptions(command);
  quietOption(command);
  examples(command, [
    'audit model.onnx',
    'audit model.onnx --shape image=1x3x640x640 --depth 2',
    'audit model.onnx -o model.svg            # the network as a picture',
    'audit model.onnx --format json | jq .totals.macs',
  ]);
  command.action(async (model: string, options: AuditArguments) =>
    (await import('./commands/audit.ts')).runAudit(model, options, context),
  );
}

function addCompile(program: Command, context: CommandContext): void {
  const command = modelCommand(program, 'compile', 'a bundle that runs the model, with no runtime library')
    .requiredOption('-o, --output <dir>', 'the folder of the bundle')
    .addOption(new Option('--target <target>', 'what to generate').choices(['wasm']).default('wasm'))
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
    .option('--threads <n>', 'the bundle can run on up to so many threads')
    .option('--tune <file>', 'choose kernels by measuring them here; what is found is kept in the file')
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
    (await import('./commands/compile.ts')).runCompile(model, options, context),
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

const ORIENTATION = `The orientation that a camera noted in a JPEG (EXIF) is not applied: turn such pictures upright first.`;

function addRun(program: Command, context: CommandContext): void {
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
      ]),
    )
    .option('--outputs <value...>', 'these values of the network instead of its outputs')
    .option('--compare <a,b>', 'run two backends and compare: reference,wasm')
    .option('--per-layer', 'compare every value that both have, not only the outputs')
    .option('--top <k>', 'print the k largest elements of each output')
    .option('--labels <file>', 'their names: one per line, or a JSON list')
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
  dimensionOptions(command);
  formatOption(command);
  quietOption(command);
  examples(command, [
    'run model.onnx --input image=cat.npy -o logits.npy',
    'run model.onnx --input image=cat.jpg --preprocess imagenet --resize cover --top 5',
    'run bundle --random 1',
    'run model.onnx --random 1 --outputs conv1 relu2',
    'run model.onnx --random 1 --compare reference,wasm --per-layer',
  ]);
  command.addHelpText('after', `\n${ORIENTATION}`);
  command.action(async (path: string, options: RunArguments) =>
    (await import('./commands/run.ts')).runRun(path, options, context),
  );
}

function addBench(program: Command, context: CommandContext): void {
  const command = modelCommand(
    program,
    'bench',
    'time of each layer and of the whole, beside onnxruntime-web where it is installed',
  )
    .option('--rounds <n>', 'how often each side is timed, in turn (15 unless said)')
    .addOption(
      new Option('--against <other>', 'what to compare with')
        .choices(['onnxruntime-web', 'none'])
        .default('onnxruntime-web'),
    )
    .option('--json', 'the same as --format json');
  dimensionOptions(command);
  formatOption(command);
  quietOption(command);
  examples(command, [
    'bench model.onnx',
    'bench model.onnx --shape image=1x3x640x640 --against none',
    'bench model.onnx --format json | jq .other.ratio.median',
  ]);
  command.action(async (model: string, options: BenchArguments) =>
    (await import('./commands/bench.ts')).runBench(model, options, context),
  );
}

function addConvert(program: Command, context: CommandContext): void {
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
    (await import('./commands/convert.ts')).runConvert(model, options, context),
  );
}

function addVerify(program: Command, context: CommandContext): void {
  const command = program
    .command('verify')
    .summary('check the files of a bundle and its self-test')
    .description('Compares the files of a bundle with the digests in its manifest, and runs its self-test.')
    .argument('<bundle>', 'the folder of a bundle');
  formatOption(command);
  quietOption(command);
  examples(command, ['verify bundle']);
  command.action(async (folder: string, options: VerifyArguments) =>
    (await import('./commands/verify.ts')).runVerify(folder, options, context),
  );
}

function addCalibrate(program: Command, context: CommandContext): void {
  const command = program
    .command('calibrate')
    .summary('measure what the choice of kernels is estimated from')
    .description('Measures how fast this machine is at the parts of kernels, for compile --profile.')
    .requiredOption('-o, --output <file>', 'the profile, as JSON');
  formatOption(command);
  quietOption(command);
  examples(command, ['calibrate -o profile.json', 'compile model.onnx -o bundle --profile profile.json']);
  command.action(async (options: CalibrateArguments) =>
    (await import('./commands/calibrate.ts')).runCalibrate(options, context),
  );
}

function addIr(program: Command, context: CommandContext): void {
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
    (await import('./commands/ir.ts')).runIr(model, options, context),
  );
}

function addExplain(program: Command, context: CommandContext): void {
  const command = program
    .command('explain')
    .summary('a diagnostic, at length')
    .description('Explains the code of an error, warning or note; without one, lists all of them.')
    .argument('[code]', 'as printed in brackets: dimension-missing');
  quietOption(command);
  examples(command, ['explain dimension-missing']);
  command.action(async (code: string | undefined) =>
    (await import('./commands/explain.ts')).runExplain(code, context),
  );
}

/** A command whose one argument is a model. */
function modelCommand(program: Command, name: string, summary: string): Command {
  const sentence = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return program
    .command(name)
    .summary(summary)
    .description(sentence)
    .argument('<model>', 'an ONNX file or a JSON network description; - for stdin');
}

function dimensionOptions(command: Command, again?: string): void {
  const more = again ? `; ${again}` : '';
  command
    .option('--dim <name=size>', `the size of an open dimension (repeatable)${more}`, collect)
    .option(
      '--shape <input=shape>',
      `the whole shape of an input, as 1x3x224x224 (repeatable)${more}`,
      collect,
    );
}

const formatOption = (command: Command): Command =>
  command.addOption(
    new Option('--format <format>', 'how to print the result').choices(['table', 'json']).default('table'),
  );

const quietOption = (command: Command): Command => command.option('-q, --quiet', 'no notes, no progress');

function examples(command: Command, lines: readonly string[]): void {
  const title = lines.length > 1 ? 'Examples:' : 'Example:';
  command.addHelpText('after', `\n${title}\n${lines.map((line) => `  $ convolith ${line}`).join('\n')}`);
}

/** Help and version are no errors; anything else that commander throws is wrong usage. */
function reportUsage(error: CommanderError, args: readonly string[], terminal: Terminal): number {
  if (error.code === 'commander.help') return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (error.exitCode === 0) return EXIT.done;
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n');
  const guess = /\(Did you mean (.*?)\?\)/.exec(more.join(' '))?.[1];
  const [command = ''] = args;
  const help = /^[a-z]+$/.test(command) && error.code !== 'commander.unknownCommand' ? `${command} ` : '';
  const hint = guess ? `did you mean ${guess}?` : `convolith ${help}--help lists what there is`;
  printDiagnostics([diagnostic('usage-invalid', '', first, hint)], terminal);
  return EXIT.usage;
}
