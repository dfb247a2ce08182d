#!/usr/bin/env node
/**
 * Resident memory of compiled networks and of onnxruntime-web: what loading and twenty runs leave, each in a fresh process.
 *
 *   npm run build && node scripts/bench/memory.mjs [MODEL.onnx[@INPUT=1x3x224x224] …]
 *
 * Without models: those of the list that `npm run bench` measures too.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiled, fresh } from './children.mjs';
import { internal } from './internal.mjs';
import { given, NETWORKS, pathOf } from './networks.mjs';

/** What either side adds to a process. */
export const measureMemory = (node, model, bundle, compared = true) => ({
  ours: fresh(node, 'memory', 'convolith', model, bundle),
  ...(compared && { other: fresh(node, 'memory', 'onnxruntime-web', model, bundle) }),
});

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();

async function main() {
  const { MEMORY_HEAD, markdown, memoryRow } = await internal('scripts/bench/results.ts');
  const subjects = process.argv.slice(2).map(given);
  const work = mkdtempSync(join(tmpdir(), 'convolith-memory-'));
  try {
    const rows = (subjects.length > 0 ? subjects : NETWORKS.filter(({ memory }) => memory)).map((network) => {
      const model = pathOf(network, work);
      const { bundle, stats } = compiled(process.execPath, model, network.shape, join(work, 'bundle'));
      const row = memoryRow(network.name, measureMemory(process.execPath, model, bundle), stats);
      console.error(row.join('  '));
      return row;
    });
    console.log(markdown(MEMORY_HEAD, rows));
  } finally {
    rmSync(work, { recursive: true });
  }
}
