/** Findings and budgets for code hosts. The types of what is written are made from the published schema of SARIF 2.1.0. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkBudget, parseBudget } from '#compiler/audit/budget.ts';
import { audit } from '#compiler/audit/index.ts';
import type { AuditReport } from '#compiler/audit/schema.ts';
import { renderGithub, renderSarif } from '#compiler/report/sarif.ts';
import { Builder } from '#ir/builder.ts';
import { FINDINGS } from '#ir/finding-catalogue.ts';
import { useCli } from '../support/cli.ts';
import { repositoryFolder } from '../support/collection.ts';
import { Random } from '../support/graphs.ts';

/** A transposed convolution whose kernel is no multiple of its stride, under a name that is not harmless. */
function checkerboard(): AuditReport {
  const b = new Builder('net');
  const weights = b.constant('w', new Random(1).tensor([4, 4, 3, 3]));
  const attrs = { strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], outputPadding: [0, 0], group: 1 };
  b.output('y', b.op('ConvTranspose', [b.input('x', [1, 4, 8, 8]), weights], attrs, { name: 'up,%\n::x' }));
  const report = audit(b.graph);
  return { ...report, budget: [...checkBudget(parseBudget('macs<=1k,params<=1k'), report)] };
}

describe('SARIF', () => {
  const log = JSON.parse(renderSarif(checkerboard(), 'models/a model.onnx'));
  const [run] = log.runs;

  test('has a result for each finding and each budget that is missed', () => {
    expect(
      run.results.map(({ ruleId, level }: { ruleId: string; level: string }) => [ruleId, level]),
    ).toEqual([
      ['budget-exceeded', 'error'],
      ['checkerboard', 'note'],
    ]);
    expect(run.results[0].message.text).toMatch(/^macs<=1k: 9\.22 k, 821\.6 % over$/);
  });

  test('refers to its rules, which have the texts of explain', () => {
    for (const { ruleId, ruleIndex } of run.results) {
      expect(run.tool.driver.rules[ruleIndex]).toMatchObject({ id: ruleId });
    }
    expect(run.tool.driver.rules[1].fullDescription.text).toBe(FINDINGS.checkerboard.explanation);
  });

  test('names the file as a URI, and the layer', () => {
    const [place] = run.results[1].locations;
    expect(place.physicalLocation.artifactLocation.uri).toBe('models/a%20model.onnx');
    expect(place.logicalLocations).toEqual([{ fullyQualifiedName: 'up,%�::x', kind: 'element' }]);
  });
});

test('annotations are one line each, whatever names are', () => {
  const lines = renderGithub(checkerboard(), 'a,b:c.onnx').trimEnd().split('\n');
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^::error file=a%2Cb%3Ac\.onnx,title=[^,:]*::budget-exceeded: macs<=1k/);
  expect(lines[1]).toMatch(/^::notice file=a%2Cb%3Ac\.onnx,title=[^,:]*::checkerboard: /);
});

describe('the example of a workflow', () => {
  const cli = useCli();
  const workflow = parse(readFileSync(join(repositoryFolder, 'examples/ci/audit.yml'), 'utf8'));
  const steps: readonly { readonly run?: string }[] = workflow.jobs.audit.steps;
  const lines = steps.flatMap(({ run = '' }) => run.split('\n'));
  const commands = lines.flatMap((line) => (line.startsWith('npx convolith ') ? [line.slice(14)] : []));

  test('has commands', () => expect(commands.length).toBeGreaterThanOrEqual(3));

  test.each(commands)('%s is understood', async (command) => {
    // words, some of them in quotes
    const args = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '');
    const { stderr, code } = await cli.run(args);
    // all that is wrong with it here is that there is no model
    expect(stderr).toMatch(/^error\[file-unreadable\]/);
    expect(code).toBe(2);
  });
});
