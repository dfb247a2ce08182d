/** Layers added up: by kind, by op, by module. */

import { share } from './facts.ts';
import type { AuditLayer, AuditReport } from './schema.ts';

interface Sums {
  readonly layers: number;
  readonly macs: number | null;
  readonly macsShare: number | null;
  readonly parameters: number;
}

/** The largest first. */
export const kindsOf = (layers: readonly AuditLayer[], totalMacs: number): AuditReport['byKind'] =>
  bySize(grouped(layers, totalMacs, ({ kind }) => [kind])).map(([kind, sums]) => ({ kind, ...sums }));

export const opsOf = (layers: readonly AuditLayer[], totalMacs: number): AuditReport['byOp'] =>
  bySize(grouped(layers, totalMacs, ({ op }) => [op])).map(([op, sums]) => ({ op, ...sums }));

/** Every module that the exporter named, with the modules inside it, in the order of the network. */
export const modulesOf = (layers: readonly AuditLayer[], totalMacs: number): AuditReport['byModule'] =>
  grouped(layers, totalMacs, ({ module }) => {
    const parts = module === '' ? [] : module.split('.');
    return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
  }).map(([module, sums]) => ({ module, ...sums }));

function grouped(
  layers: readonly AuditLayer[],
  totalMacs: number,
  keysOf: (layer: AuditLayer) => readonly string[],
): readonly (readonly [string, Sums])[] {
  const groups = new Map<string, { layers: number; macs: number | null; parameters: number }>();
  for (const layer of layers) {
    for (const key of keysOf(layer)) {
      const sums = groups.get(key) ?? { layers: 0, macs: 0, parameters: 0 };
      sums.layers++;
      sums.macs = sums.macs === null || layer.macs === null ? null : sums.macs + layer.macs;
      sums.parameters += layer.parameters;
      groups.set(key, sums);
    }
  }
  return [...groups].map(([key, { macs, ...sums }]) => [
    key,
    { ...sums, macs, macsShare: macs === null ? null : share(macs, totalMacs) },
  ]);
}

const bySize = (groups: ReturnType<typeof grouped>) =>
  [...groups].sort(
    ([, a], [, b]) => (b.macs ?? 1) - (a.macs ?? 1) || b.parameters - a.parameters || b.layers - a.layers,
  );
