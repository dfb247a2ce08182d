/** The commands and their options. What a command does is imported when it runs, so that help is quick. */
import { Command, CommanderError } from 'commander';
import { diagnostic } from '#ir/diagnostics.ts';
import { VERSION } from '../version.ts';
import { addAudit, addDiff } from './define/audit.ts';
import { addCompile, addConvert } from './define/compile.ts';
import { addExplain, addIr } from './define/look.ts';
import { addBench, addCalibrate } from './define/measure.ts';
import { examples } from './define/parts.ts';
import { addRewrite } from './define/rewrite.ts';
import { addRun, addVerify } from './define/run.ts';
import { EXIT, printDiagnostics, reportError } from './errors.ts';
import { EndedElsewhere } from './optimised-code.ts';
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
  addDiff(program, context);
  addRewrite(program, context);
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
