/** docs/json.md and the published schema say what the code does. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { importJson } from '#compiler/import/json/index.ts';
import { ACTIVATIONS, kindNames } from '#compiler/import/json/kinds.ts';
import { JOINS, networkJsonSchema, networkSchema } from '#compiler/import/json/schema.ts';
import { evaluateGraph } from '#ir/evaluate.ts';
import { verifyGraph } from '#ir/verify.ts';
import { repositoryFolder } from '../../../support/collection.ts';
import { randomInputs } from '../../../support/graphs.ts';

const text = readFileSync(join(repositoryFolder, 'docs/json.md'), 'utf8');
const networks = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map((m) => m[1] ?? '');

test.each(networks.map((network, i) => [i + 1, network]))('network %i of the manual runs', (_, network) => {
  expect(networkSchema.safeParse(JSON.parse(String(network))).error).toBeUndefined();
  const { graph } = importJson(String(network));
  expect(verifyGraph(graph)).toEqual([]);
  const results = evaluateGraph(graph, randomInputs(graph, 1));
  for (const { value } of graph.outputs) {
    const data = Array.from((results.get(value)?.data ?? [Number.NaN]) as ArrayLike<number>);
    expect(data.every(Number.isFinite)).toBe(true);
  }
});

test('the manual has every word', () => {
  for (const word of [...kindNames(), ...JOINS, ...ACTIVATIONS]) expect(text, word).toContain(`\`${word}\``);
  expect(networks.length).toBeGreaterThan(3);
});

test('the published schema is current', () => {
  const file = join(repositoryFolder, 'schema/network.schema.json');
  const current = `${JSON.stringify(networkJsonSchema(), null, 2)}\n`;
  if (process.env.CONVOLITH_BLESS === '1') {
    mkdirSync(join(repositoryFolder, 'schema'), { recursive: true });
    writeFileSync(file, current);
    return;
  }
  const same = existsSync(file) && readFileSync(file, 'utf8') === current;
  expect(same, 'write it anew: npm run build && node scripts/schema.mjs').toBe(true);
});
