/** Which layers a picture draws as one box, and what flows between the boxes. */
import { byteSize, isDType } from '#ir/types.ts';
import type { AuditLayer, AuditReport } from '../../audit/schema.ts';
import { shape } from '../format.ts';

export interface Box {
  readonly id: number;
  /** One, unless it is a module: those that work, in order. */
  readonly layers: AuditLayer[];
  /** Steps without parameters that are drawn with what feeds them, in order. */
  readonly steps: AuditLayer[];
  /** The path of the module whose layers these are. */
  readonly module?: string;
}

export interface Edge {
  /** `n3`, `in0`, `out0`. */
  readonly from: string;
  readonly to: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface Boxes {
  readonly boxes: readonly Box[];
  readonly edges: readonly Edge[];
}

export interface BoxOptions {
  /** Every node on its own; else an activation or other step without parameters joins its producer. */
  readonly every?: boolean;
  /** Layers of a module of this depth are one box; of a composite, where the exporter named no modules. */
  readonly depth?: number;
}

export const idOf = (box: Pick<Box, 'id'>): string => `n${box.id}`;

export function arrange(report: AuditReport, { every = false, depth }: BoxOptions): Boxes {
  const single = layerBoxes(report, every);
  const named = report.layers.some(({ module }) => module !== '');
  const path = named ? moduleOf : compositeOf;
  const boxes = depth === undefined ? single : collapsed(single, depth, path);
  return { boxes, edges: edgesBetween(report, boxes) };
}

/**
 * A step without parameters that only its producer feeds joins the producer's box, unless every node is asked for; so do
 * those of x·f(x), as hard swish is spelled.
 */
function layerBoxes(report: AuditReport, every: boolean): readonly Box[] {
  const readers = new Map<string, number>();
  for (const layer of report.layers) {
    for (const name of layer.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  }
  for (const { value } of report.outputs) readers.set(value, (readers.get(value) ?? 0) + 1);
  const gates = selfGates(report, readers);
  const boxes: Box[] = [];
  const home = new Map<string, { box: Box; shape: readonly number[] }>();
  for (const layer of report.layers) {
    const [only = ''] = layer.inputs;
    const host = home.get(only);
    const joins =
      !every &&
      host !== undefined &&
      ((layer.inputs.length === 1 && readers.get(only) === 1) || gates.has(layer)) &&
      isStep(layer) &&
      shape(layer.outputShape) === shape(host.shape);
    const box = joins ? host.box : { id: boxes.length, layers: [layer], steps: [] };
    if (joins) box.steps.push(layer);
    else boxes.push(box);
    for (const v of layer.outputs) home.set(v.name, { box, shape: v.shape });
  }
  return boxes;
}

const isStep = ({ macs, parameters, sharedParameters, buffers }: AuditLayer): boolean =>
  macs === 0 && parameters + sharedParameters + buffers === 0;

/** Steps from x to f(x), which nobody else reads, and their product with x, which nobody else reads but they. */
function selfGates({ layers }: AuditReport, readers: ReadonlyMap<string, number>): ReadonlySet<AuditLayer> {
  const makers = new Map(layers.flatMap((layer) => layer.outputs.map((v) => [v.name, layer] as const)));
  const found = new Set<AuditLayer>();
  for (const product of layers) {
    const [first, second] = product.inputs;
    if (product.op !== 'Mul' || product.inputs.length !== 2) continue;
    for (const [x, gate] of [
      [first, second],
      [second, first],
    ]) {
      const steps = [product];
      let at = gate;
      for (;;) {
        const maker = at === undefined || readers.get(at) !== 1 ? undefined : makers.get(at);
        if (maker?.inputs.length !== 1 || !isStep(maker)) break;
        steps.push(maker);
        at = maker.inputs[0];
        if (at === x) break;
      }
      if (at !== undefined && at === x && readers.get(at) === 2) for (const step of steps) found.add(step);
    }
  }
  return found;
}

/**
 * Boxes of one module become one, and what stands alone stays as it is. A module that is left and entered again is
 * several boxes, so that everything still flows one way.
 */
function collapsed(
  boxes: readonly Box[],
  depth: number,
  pathOf: (box: Box) => readonly string[],
): readonly Box[] {
  const modules: { readonly key: string; readonly boxes: Box[]; readonly from: Set<number> }[] = [];
  const latest = new Map<string, number>();
  const home = new Map<string, number>();
  const leadsTo = (module: number, ends: Iterable<number>): boolean => {
    const seen = new Set<number>(ends);
    for (const at of seen) {
      if (at === module) return true;
      for (const before of modules[at]?.from ?? []) seen.add(before);
    }
    return false;
  };
  for (const box of boxes) {
    const key = pathOf(box).slice(0, depth).join('.');
    const from = new Set(box.layers.flatMap((l) => l.inputs.flatMap((name) => home.get(name) ?? [])));
    const own = key === '' ? undefined : latest.get(key);
    const others = [...from].filter((at) => at !== own);
    const at = own !== undefined && !leadsTo(own, others) ? own : modules.length;
    const module = modules[at] ?? { key, boxes: [], from: new Set<number>() };
    modules[at] = module;
    if (key !== '') latest.set(key, at);
    module.boxes.push(box);
    for (const other of from) if (other !== at) module.from.add(other);
    for (const layer of [...box.layers, ...box.steps]) for (const v of layer.outputs) home.set(v.name, at);
  }
  const times = new Map<string, number>();
  for (const { key } of modules) times.set(key, (times.get(key) ?? 0) + 1);
  return modules.map((module, id): Box => {
    const [first] = module.boxes;
    if (first && module.boxes.length === 1) return { ...first, id };
    return {
      id,
      layers: module.boxes.flatMap((b) => b.layers),
      steps: module.boxes.flatMap((b) => b.steps),
      module: times.get(module.key) === 1 ? module.key : common(module.boxes.map(pathOf)),
    };
  });
}

/** The parts of the path of the module that a box is in. */
export const moduleOf = ({ layers, module }: Box): readonly string[] => {
  const path = module ?? layers[0]?.module ?? '';
  return path === '' ? [] : path.split('.');
};

/** As if it were a module. */
const compositeOf = ({ layers }: Box): readonly string[] => {
  const [first, ...more] = new Set(layers.map(({ composite }) => composite ?? ''));
  return first && more.length === 0 ? [first] : [];
};

function common(paths: readonly (readonly string[])[]): string {
  const [first = []] = paths;
  const end = first.findIndex((part, i) => paths.some((path) => path[i] !== part));
  return first.slice(0, end < 0 ? first.length : end).join('.');
}

function edgesBetween(report: AuditReport, boxes: readonly Box[]): readonly Edge[] {
  const home = new Map<string, Omit<Edge, 'to'>>();
  report.inputs.forEach((v, i) => {
    home.set(v.name, { from: `in${i}`, ...sizeOf(v) });
  });
  for (const box of boxes) {
    for (const layer of [...box.layers, ...box.steps])
      for (const v of layer.outputs) home.set(v.name, { from: idOf(box), ...sizeOf(v) });
  }
  const read = (name: string, to: string): readonly Edge[] => {
    const source = home.get(name);
    return source && source.from !== to ? [{ ...source, to }] : [];
  };
  return [
    ...boxes.flatMap((box) => {
      const inputs = box.layers.flatMap((layer) => layer.inputs);
      // a module's own layers may read a value more than once, which is one flow
      return (box.module === undefined ? inputs : [...new Set(inputs)]).flatMap((name) =>
        read(name, idOf(box)),
      );
    }),
    ...report.outputs.flatMap((v, i) => read(v.value, `out${i}`)),
  ];
}

function sizeOf(v: {
  readonly dtype: string;
  readonly shape: readonly number[];
}): Pick<Edge, 'shape' | 'bytes'> {
  return { shape: v.shape, bytes: isDType(v.dtype) ? byteSize({ dtype: v.dtype, shape: v.shape }) : 0 };
}
