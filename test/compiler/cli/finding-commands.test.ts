/** Findings say what to type. What they say is run here, and the finding is to be gone. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { auditSchema } from '#compiler/audit/schema.ts';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { Builder, type ConvOptions } from '#ir/builder.ts';
import { FINDINGS, type FindingCode } from '#ir/finding-catalogue.ts';
import type { Graph, Value } from '#ir/graph.ts';
import { f32 } from '#ir/tensor.ts';
import { product } from '#ir/types.ts';
import { RULES } from '#passes/analysis/findings/index.ts';
import { useCli } from '../../support/cli.ts';

const cli = useCli();

type Weight = readonly [number, number, number, number];

class Net {
  readonly b = new Builder('example');
  readonly x = this.b.input('x', [1, 8, 12, 12]);
  #salt = 1;

  values(shape: readonly number[], of?: (index: number) => number): Value {
    const salt = this.#salt++;
    const value = of ?? ((i: number) => Math.sin(salt * 13.7 + i * 1.3));
    return this.b.constant(
      'w',
      f32(
        shape,
        Array.from({ length: product(shape) }, (_, i) => value(i)),
      ),
    );
  }

  conv(x: Value, weight: Weight, of?: (index: number) => number, options: ConvOptions = {}): Value {
    const pad = (weight[2] - 1) / 2;
    return this.b.conv(x, this.values(weight, of), { pads: [pad, pad, pad, pad], ...options });
  }

  norm(x: Value, channels: number): Value {
    const constants = [() => 1.5, () => 0.1, () => 0.2, () => 0.9].map((of) => this.values([channels], of));
    return this.b.op('BatchNormalization', [x, ...constants], { epsilon: 1e-5 });
  }

  end(y: Value): Graph {
    this.b.output('y', y);
    return this.b.graph;
  }
}

/** A column times a row. */
const outer = (i: number) => Math.cos(1 + (Math.floor(i / 7) % 7)) * (1 + (i % 7)) * (1 + Math.floor(i / 49));

/** For each finding that a command acts on, a network that has it. */
const EXAMPLES: Partial<Record<FindingCode, (n: Net) => Value>> = {
  'batch-norm-unfolded': (n) => n.b.relu(n.norm(n.conv(n.x, [8, 8, 3, 3]), 8)),
  'branches-mergeable': (n) =>
    n.b.relu(
      n.b.add(n.b.add(n.conv(n.x, [8, 8, 3, 3]), n.norm(n.conv(n.x, [8, 8, 1, 1]), 8)), n.norm(n.x, 8)),
    ),
  'permutations-removable': (n) => {
    const shuffled = n.b.op('ChannelShuffle', [n.b.relu(n.conv(n.x, [8, 8, 1, 1]))], { groups: 2 });
    return n.conv(shuffled, [8, 4, 3, 3], undefined, { group: 2 });
  },
  'weights-duplicated': (n) => n.conv(n.b.relu(n.conv(n.x, [8, 8, 1, 1], Math.sin)), [8, 8, 1, 1], Math.sin),
  'kernels-rank-1': (n) => n.conv(n.x, [8, 1, 7, 7], outer, { group: 8 }),
  'filters-dead': (n) =>
    n.conv(n.b.relu(n.conv(n.x, [16, 8, 3, 3], (i) => (i < 4 * 72 ? 0 : Math.sin(i)))), [8, 16, 1, 1]),
  'kernels-dense': (n) => n.conv(n.x, [32, 8, 3, 3]),
};

const coded = Object.keys(FINDINGS) as FindingCode[];
const acting = coded.flatMap((code) => {
  const { command } = RULES[code];
  return command === null ? [] : [[code, command] as const];
});

test('each command has an example', () => {
  expect(acting.map(([code]) => code).sort()).toEqual(Object.keys(EXAMPLES).sort());
});

async function findingsOf(file: string): Promise<readonly FindingCode[]> {
  const { stdout, code } = await cli.run(['audit', file, '--format', 'json']);
  expect(code).toBe(0);
  return auditSchema.parse(JSON.parse(stdout)).findings.map((finding) => finding.code);
}

/** The words of a command line as a shell takes them. */
const words = (command: string): readonly string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');

test.each(acting)('%s is gone after the command that it names', async (code, command) => {
  const n = new Net();
  const build = EXAMPLES[code];
  expect(build).toBeDefined();
  if (!build) return;
  const model = await cli.write(`${code}.onnx`, exportOnnx(n.end(build(n))).model);
  expect(await findingsOf(model)).toContain(code);
  const [name, ...args] = words(command.replace('rewritten.onnx', `${code}-rewritten.onnx`));
  expect(name).toBe('convolith');
  const run = await cli.run(args.map((word) => (word === 'MODEL' ? model : word)));
  expect(run).toMatchObject({ code: 0 });
  expect(readFileSync(cli.at(`${code}-rewritten.onnx`)).length).toBeGreaterThan(0);
  expect(await findingsOf(cli.at(`${code}-rewritten.onnx`))).not.toContain(code);
});
