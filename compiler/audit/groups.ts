/** Layers added up: by kind, by op, by module. */

import { share } from './facts.ts';
import type { AuditLayer, AuditReport } from './schema.ts';

/** The largest first. */
export const kindsOf = (layers: readonly AuditLayer[], totalMacs: number): AuditReport['byKind'] =>
  bySize(macsOf(layers, totalMacs, ({ kind }) => [kind])).map(([kind, sums]) => ({ kind, ...sums }));

export const opsOf = (layers: readonly AuditLayer[], totalMacs: number): AuditReport['byOp'] =>
  bySize(macsOf(layers, totalMacs, ({ op }) => [op])).map(([op, sums]) => ({ op, ...sums }));

/** Every module that the exporter named, with the modules inside it, in the order of the network. */
export const modulesOf = (layers: readonly AuditLayer[], totalMacs: number): AuditReport['byModule'] =>
  macsOf(layers, totalMacs, ({ module }) => enclosing(module)).map(([module, sums]) => ({ module, ...sums }));

/** A module and those that it is in, the outermost first. */
function enclosing(module: string): readonly string[] {
  if (module === '') return [];
  const found: string[] = [];
  for (let dot = module.indexOf('.'); dot >= 0; dot = module.indexOf('.', dot + 1))
    found.push(module.slice(0, dot));
  return [...found, module];
}

export interface ModuleSums {
  /** Empty where layers are in none. */
  readonly module: string;
  readonly layers: number;
  /** By the preset of the report. */
  readonly counted: number | null;
  readonly share: number | null;
  readonly parameters: number;
}

/** Each layer in one of them: modules of this depth, and those above it that have layers of their own. */
export const modulesAtDepth = (
  { layers, totals }: Pick<AuditReport, 'layers' | 'totals'>,
  depth: number,
): readonly ModuleSums[] =>
  grouped(
    layers,
    ({ module }) => [partsOf(module).slice(0, depth).join('.')],
    ({ counted }) => counted,
  ).map(([module, { amount, ...sums }]) => ({
    module,
    ...sums,
    counted: amount,
    share: amount === 0 ? 0 : amount === null || totals.counted === null ? null : amount / totals.counted,
  }));

const partsOf = (module: string): readonly string[] => (module === '' ? [] : module.split('.'));

interface MacSums {
  readonly layers: number;
  readonly macs: number | null;
  readonly macsShare: number | null;
  readonly parameters: number;
}

const macsOf = (
  layers: readonly AuditLayer[],
  totalMacs: number,
  keysOf: (layer: AuditLayer) => readonly string[],
): readonly (readonly [string, MacSums])[] =>
  grouped(layers, keysOf, ({ macs }) => macs).map(([key, { amount, ...sums }]) => [
    key,
    { ...sums, macs: amount, macsShare: amount === null ? null : share(amount, totalMacs) },
  ]);

interface Sums {
  readonly layers: number;
  /** Null where a part is not known. */
  readonly amount: number | null;
  readonly parameters: number;
}

function grouped(
  layers: readonly AuditLayer[],
  keysOf: (layer: AuditLayer) => readonly string[],
  amountOf: (layer: AuditLayer) => number | null,
): readonly (readonly [string, Sums])[] {
  const groups = new Map<string, { layers: number; amount: number | null; parameters: number }>();
  for (const layer of layers) {
    const amount = amountOf(layer);
    for (const key of keysOf(layer)) {
      const sums = groups.get(key) ?? { layers: 0, amount: 0, parameters: 0 };
      sums.layers++;
      sums.amount = sums.amount === null || amount === null ? null : sums.amount + amount;
      sums.parameters += layer.parameters;
      groups.set(key, sums);
    }
  }
  return [...groups];
}

const bySize = (groups: ReturnType<typeof macsOf>) =>
  [...groups].sort(
    ([, a], [, b]) => (b.macs ?? 1) - (a.macs ?? 1) || b.parameters - a.parameters || b.layers - a.layers,
  );
