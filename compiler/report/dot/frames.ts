/** Frames around boxes of a picture: composites, and modules of the exporter around those or where there are none. */
import type { AuditLayer, AuditReport } from '../../audit/schema.ts';
import { type Box, type Edge, idOf, moduleOf } from './boxes.ts';

export interface Frame {
  /** The path of a module. */
  readonly module?: string;
  /** The kind of a composite: `inverted-residual`. */
  readonly composite?: string;
  readonly boxes: ReadonlySet<Box>;
}

/** A frame and what stands directly in it. */
export interface FrameTree {
  readonly frame: Frame | undefined;
  readonly frames: readonly FrameTree[];
  readonly boxes: readonly Box[];
}

/**
 * Frames that are nested or apart, and that hold all that lies on the way between what they hold. A composite is framed
 * whole, whatever modules are in it; a module that is a composite shares its frame; a module that is nearly the whole
 * network says nothing and has none.
 */
export function framesOf(report: AuditReport, boxes: readonly Box[], edges: readonly Edge[]): FrameTree {
  const encloses = enclosing(boxes, edges);
  const accepted: Frame[] = [];
  const around = new Map<Box, Frame[]>();
  const accept = (frame: Frame) => {
    accepted.push(frame);
    for (const box of frame.boxes) around.set(box, [...(around.get(box) ?? []), frame]);
  };
  const touching = ({ boxes: own }: Frame) => new Set([...own].flatMap((box) => around.get(box) ?? []));
  const within = (a: Frame, b: Frame) => [...a.boxes].every((box) => b.boxes.has(box));
  for (const frame of bySize(compositeFrames(report, boxes))) {
    if (frame.boxes.size < 2 || !encloses(frame.boxes)) continue;
    if ([...touching(frame)].every((other) => within(frame, other))) accept(frame);
  }
  for (const frame of bySize(moduleFrames(boxes))) {
    const { size } = frame.boxes;
    if (size < 2 || size > MOST * boxes.length || !encloses(frame.boxes)) continue;
    const others = [...touching(frame)];
    const same = others.find((other) => other.boxes.size === size && within(frame, other));
    if (same) {
      // of modules with the same boxes the outermost comes first, and its name says enough
      if (same.module === undefined) {
        accepted[accepted.indexOf(same)] = merge(around, same, { ...same, ...frame });
      }
      continue;
    }
    const outer = others.filter((other) => other.boxes.size > size);
    const fits = others.every((other) => within(other, frame) || (within(frame, other) && !other.composite));
    if (fits && outer.length < DEEPEST) accept(frame);
  }
  return treeOf(accepted, boxes);
}

/** Part of a network's boxes that a module may hold and still be framed. */
const MOST = 0.75;
/** Modules within modules that are framed. */
const DEEPEST = 2;

const bySize = (frames: readonly Frame[]): readonly Frame[] =>
  [...frames].sort((a, b) => b.boxes.size - a.boxes.size);

function merge(around: Map<Box, Frame[]>, before: Frame, after: Frame): Frame {
  for (const box of before.boxes) {
    around.set(
      box,
      (around.get(box) ?? []).map((f) => (f === before ? after : f)),
    );
  }
  return after;
}

function treeOf(frames: readonly Frame[], boxes: readonly Box[]): FrameTree {
  const inner = (outer: Frame | undefined, all: readonly Frame[], held: readonly Box[]): FrameTree => {
    const direct: Frame[] = [];
    for (const frame of bySize(all)) {
      const [box] = frame.boxes;
      if (box && !direct.some((other) => other.boxes.has(box))) direct.push(frame);
    }
    return {
      frame: outer,
      frames: direct.map((frame) =>
        inner(
          frame,
          all.filter((other) => other !== frame && [...other.boxes].every((b) => frame.boxes.has(b))),
          held.filter((b) => frame.boxes.has(b)),
        ),
      ),
      boxes: held.filter((b) => !direct.some((frame) => frame.boxes.has(b))),
    };
  };
  return inner(undefined, frames, boxes);
}

function moduleFrames(boxes: readonly Box[]): readonly Frame[] {
  const held = new Map<string, Set<Box>>();
  for (const box of boxes) {
    const parts = moduleOf(box);
    parts.forEach((_, i) => {
      const path = parts.slice(0, i + 1).join('.');
      held.set(path, (held.get(path) ?? new Set()).add(box));
    });
  }
  return [...held].map(([module, own]) => ({ module, boxes: own }));
}

/** A box is in a composite if all its layers are; a composite that some box is partly in has no frame. */
function compositeFrames(report: AuditReport, boxes: readonly Box[]): readonly Frame[] {
  const outer = outerComposites(report);
  const chain = ({ composite }: AuditLayer): readonly string[] => {
    const ids: string[] = [];
    for (let id = composite ?? undefined; id !== undefined; id = outer.get(id)) ids.push(id);
    return ids;
  };
  const held = new Map<string, Set<Box>>();
  const cut = new Set<string>();
  for (const box of boxes) {
    const chains = box.layers.map(chain);
    for (const id of new Set(chains.flat())) {
      held.set(id, (held.get(id) ?? new Set()).add(box));
      if (chains.some((ids) => !ids.includes(id))) cut.add(id);
    }
  }
  return [...held].flatMap(([id, own]) =>
    cut.has(id) ? [] : [{ composite: id.replace(/-\d+$/, ''), boxes: own }],
  );
}

/** The composite around one that reads nothing but its values and is read by nobody else: squeeze-excite in an inverted residual. */
function outerComposites({ layers, outputs }: AuditReport): ReadonlyMap<string, string> {
  const source = new Map(layers.flatMap((layer) => layer.outputs.map((v) => [v.name, layer] as const)));
  const before = new Map<string, Set<string | null>>();
  const after = new Map<string, Set<string | null>>();
  const note = (sides: typeof before, id: string | null, other: string | null) => {
    if (id !== null && id !== other) sides.set(id, (sides.get(id) ?? new Set()).add(other));
  };
  for (const { composite, inputs } of layers) {
    if (inputs.length === 0) note(before, composite, null);
    for (const name of inputs) {
      const from = source.get(name)?.composite ?? null;
      note(before, composite, from);
      note(after, from, composite);
    }
  }
  for (const { value } of outputs) note(after, source.get(value)?.composite ?? null, null);
  return new Map(
    [...before].flatMap(([id, [outer, ...more]]) => {
      const [reader, ...others] = after.get(id) ?? [];
      const held = typeof outer === 'string' && reader === outer && more.length + others.length === 0;
      return held ? [[id, outer] as const] : [];
    }),
  );
}

/** Does no path leave the set and come back? Boxes are in the order in which they run. */
function enclosing(boxes: readonly Box[], edges: readonly Edge[]): (set: ReadonlySet<Box>) => boolean {
  const position = new Map(boxes.map((box, i) => [idOf(box), i]));
  const next: Box[][] = boxes.map(() => []);
  for (const { from, to } of edges) {
    const target = boxes[position.get(to) ?? -1];
    if (target) next[position.get(from) ?? -1]?.push(target);
  }
  const at = (box: Box) => position.get(idOf(box)) ?? 0;
  return (set) => {
    const last = Math.max(...[...set].map(at));
    const outside = new Set([...set].flatMap((box) => (next[at(box)] ?? []).filter((b) => !set.has(b))));
    for (const box of outside) {
      if (at(box) > last) continue;
      for (const b of next[at(box)] ?? []) {
        if (set.has(b)) return false;
        outside.add(b);
      }
    }
    return true;
  };
}
