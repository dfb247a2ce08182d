#!/usr/bin/env node
/**
 * How well times are predicted: `calibrate` in one process, then each network measured by `bench` in a process of its own,
 * and its layers compared with what the profile says of them.
 *
 *   node scripts/roofline.mjs                    the networks of the model collection below
 *   node scripts/roofline.mjs --profile FILE     by a profile that is there
 *   node scripts/roofline.mjs --only vgg16,unet
 *
 * Networks whose peak, by the probe beside their layers, is more than a twentieth below that of the profile were measured
 * while the machine was busy; they are marked.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repository } from './bench/internal.mjs';
import { pathOf } from './bench/networks.mjs';

const NAMES = [
  'mobilenet_v2',
  'mobilenet_v3_large',
  'resnet18',
  'resnet50',
  'squeezenet1_1',
  'shufflenet_v2_x1_0',
  'efficientnet_b0',
  'googlenet',
  'vgg16',
  'unet',
];
/** Layers of fewer microseconds are too short to be compared one by one. */
const LEAST_US = 50;

const { values } = parseArgs({ options: { profile: { type: 'string' }, only: { type: 'string' } } });
const cli = join(repository, 'dist/cli.js');
const folder = mkdtempSync(join(tmpdir(), 'convolith-roofline-'));
try {
  const profile = values.profile ?? join(folder, 'profile.json');
  if (values.profile === undefined) run('calibrate', '-o', profile);
  const { engines } = JSON.parse(readFileSync(profile, 'utf8'));
  const peak = Math.max(engines.simd.peakGflops, ...engines.simd.tiles.map(({ gflops }) => gflops));
  console.log('network              predicted  measured  ratio  median layer off by');
  for (const name of values.only?.split(',') ?? NAMES) {
    const model = pathOf({ name }, folder);
    const report = JSON.parse(
      run('bench', model, '--profile', profile, '--against', 'none', '--rounds', '9', '--json'),
    );
    const total = report.layersTotal;
    const off = report.layers
      .filter(({ ms, predictedMs }) => predictedMs !== undefined && ms.median * 1e3 >= LEAST_US)
      .map(({ ms, predictedMs }) => Math.abs(predictedMs / ms.median - 1))
      .sort((a, b) => a - b);
    const ms = (x) => `${x.toFixed(2)} ms`.padStart(9);
    const ratio = (total.predictedMs / total.ms.median).toFixed(2).padStart(5);
    const median = `${(100 * (off[off.length >> 1] ?? 0)).toFixed(0)} %`.padStart(6);
    const busy = report.peakGflops.median < 0.95 * peak ? '  (busy)' : '';
    console.log(
      `${name.padEnd(20)} ${ms(total.predictedMs)} ${ms(total.ms.median)}  ${ratio} ${median}${busy}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}

function run(...args) {
  return execFileSync(process.execPath, [cli, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
