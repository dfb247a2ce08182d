import { expect, test } from 'vitest';
import { auditSchema } from '#compiler/audit/schema.ts';
import { useCli } from '../../support/cli.ts';
import { collectionFile, withModels } from '../../support/collection.ts';
import { expectGolden } from '../../support/golden.ts';

const cli = useCli();
const mnist = (): string => collectionFile('models/mnist-vgg.onnx');

async function output(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli.run(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

test('help', async () => {
  const commands = ['audit', 'compile', 'run', 'bench', 'convert', 'verify', 'calibrate', 'ir', 'explain'];
  const texts = await Promise.all([output('--help'), ...commands.map((name) => output(name, '--help'))]);
  expectGolden('cli/help.txt', texts.join(`\n${'─'.repeat(40)}\n`));
});

test('every command has an example', async () => {
  const help = await output('--help');
  const commands = [...help.matchAll(/^ {2}([a-z]+) {2,}/gm)]
    .map((m) => m[1] ?? '')
    .filter((n) => n !== 'help');
  expect(commands).toContain('audit');
  for (const name of commands) expect(await output(name, '--help')).toContain(`$ convolith ${name} `);
});

test('explain', async () => {
  expectGolden('cli/explain.txt', await output('explain', 'external-outside'));
  expect(await output('explain', 'error[external-outside]')).toBe(
    await output('explain', 'external-outside'),
  );
});

test('explain lists every code', async () => {
  const list = await output('explain');
  for (const code of ['onnx-truncated', 'dimension-missing', 'comparison-failed', 'batch-assumed']) {
    expect(list).toContain(`  ${code} `);
  }
});

test('the list of passes', async () => {
  expectGolden('cli/passes.txt', await output('ir', '--passes'));
});

withModels.describe('mnist-vgg', () => {
  test('audit table', async () => {
    expectGolden('cli/audit-mnist-vgg.txt', await output('audit', mnist()));
  });

  test('audit JSON keeps its schema', async () => {
    const report = auditSchema.parse(JSON.parse(await output('audit', mnist(), '--format', 'json')));
    expect(report.totals.macs).toBe(29_128_448);
  });

  test('ir, as imported and after all passes', async () => {
    expectGolden('cli/ir-mnist-vgg.txt', await output('ir', mnist(), '--quiet'));
    expectGolden('cli/ir-mnist-vgg-lower.txt', await output('ir', mnist(), '--quiet', '--after', 'lower'));
  });

  test('ir --passes tells what each does', async () => {
    expectGolden('cli/ir-mnist-vgg-passes.txt', await output('ir', mnist(), '--quiet', '--passes'));
  });
});
