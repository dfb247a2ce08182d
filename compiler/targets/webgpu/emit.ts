/** The program as text: one WGSL module with an entry point per distinct kernel, and the plan of its dispatches. */
import type { Address, KernelCall, KernelProgram, Port } from '#compiler/schedule/program.ts';
import { InternalError } from '#ir/diagnostics.ts';
import type { GpuCall, GpuCount, GpuPlan } from '#runtime/gpu-plan.ts';
import { type Bank, banksOf, type Constants } from './banks.ts';
import { MOST_WORKGROUPS } from './check-code.ts';
import { MOST_ARGUMENTS, type Region, WORKGROUP } from './kernels/family.ts';
import { familyOf, type GpuKernel, kernelLabel } from './kernels/index.ts';
import { type HelperName, helperCode } from './wgsl-expr.ts';
import { WORD_BYTES } from './words.ts';

export interface GpuCode {
  readonly wgsl: string;
  readonly plan: GpuPlan;
  /** The constants of each bank, in order. */
  readonly banks: readonly Bank[];
}

interface Entry {
  readonly name: string;
  readonly index: number;
  readonly text: string;
  readonly workgroups: readonly [number, number];
  readonly layers: Set<string>;
}

export function emitProgram(program: KernelProgram<GpuKernel>): GpuCode {
  const entries = new Map<string, Entry>();
  const names = new Set<string>();
  const helpers = new Set<HelperName>();
  const constants = banksOf(program);
  const { banks, bankOf } = constants;
  const halves = program.halvesBytes > 0 || program.constantParts.some(({ half }) => half);
  const calls = program.calls.map((call): GpuCall => {
    const regions = call.arguments.map((address) =>
      halves ? halvesRegion(address, constants) : address.region,
    );
    const key = `${JSON.stringify(call.kernel)}${regions.join()}`;
    let entry = entries.get(key);
    if (!entry) {
      entry = entryOf(call.kernel, regions, entries.size, names, helpers);
      entries.set(key, entry);
    }
    if (call.node) entry.layers.add(call.node.name);
    return [entry.index, bankOf(call), ...entry.workgroups, ...offsetsOf(call, banks[bankOf(call)])];
  });
  const list = [...entries.values()];
  return {
    wgsl: `${halves ? HALVES_HEADER : HEADER}\n${helperCode(helpers)}\n${list.map(commented).join('\n')}`,
    banks,
    plan: {
      arenaBytes: program.arenaBytes,
      ...(halves ? { halves: program.halvesBytes / WORD_BYTES } : {}),
      banks: banks.map(({ bytes }) => bytes),
      kernels: list.map(({ name }) => name),
      calls,
      inputs: program.inputs.map(({ offset }) => offset / WORD_BYTES),
      outputs: program.outputs.map(({ offset }) => offset / WORD_BYTES),
      ...(program.outputs.some(({ count }) => count) ? { counts: program.outputs.map(countOf) } : {}),
    },
  };
}

/** An entry point uses one of each of the first two, whichever suits it: a binding has one buffer and no type. */
const HEADER = `// Binding 0 is all that is computed, 1 the constants; each kernel sees them as what it reads and writes.
@group(0) @binding(0) var<storage, read_write> af: array<f32>;
@group(0) @binding(0) var<storage, read_write> av: array<vec4f>;
@group(0) @binding(0) var<storage, read_write> au: array<u32>;
@group(0) @binding(1) var<storage, read> cf: array<f32>;
@group(0) @binding(1) var<storage, read> cv: array<vec4f>;
@group(0) @binding(1) var<storage, read> cu: array<u32>;
// Where the arguments of a call begin, in words; the last word is 0.
@group(0) @binding(2) var<uniform> at: array<vec4u, 16>;
`;

/** Constants are read as words, which takes no feature, and lets a kernel have integers among them. */
const HALVES_HEADER = `enable f16;
// A device without halves gets the same text with whole floats for them.
alias elem = f16;
alias elem4 = vec4<f16>;
// Binding 0 is inputs, outputs and integers, 3 the floats that are computed between, 1 the constants.
@group(0) @binding(0) var<storage, read_write> af: array<f32>;
@group(0) @binding(0) var<storage, read_write> av: array<vec4f>;
@group(0) @binding(0) var<storage, read_write> au: array<u32>;
@group(0) @binding(3) var<storage, read_write> hf: array<elem>;
@group(0) @binding(3) var<storage, read_write> hv: array<elem4>;
@group(0) @binding(1) var<storage, read> cu: array<vec2u>;
// Where the arguments of a call begin, in elements; the last word is 0.
@group(0) @binding(2) var<uniform> at: array<vec4u, 16>;

fn constant(i: i32) -> f32 { return unpack2x16float(cu[i >> 2u][(i >> 1u) & 1])[i & 1]; }
fn constant4(i: i32) -> vec4f { let w = cu[i >> 2u]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn constant_word(i: i32) -> u32 { return cu[i >> 1u][i & 1]; }
`;

const countOf = ({ count }: Port): GpuCount | null =>
  count ? { axis: count.axis, at: count.offset / WORD_BYTES } : null;

const halvesRegion = ({ region, offset }: Address, { isHalf }: Constants): Region =>
  region === 'constant' ? (isHalf(offset) ? 'constantHalves' : 'constantWords') : region;

function offsetsOf(call: KernelCall<GpuKernel>, bank: Bank | undefined): number[] {
  return call.arguments.map(({ region, offset }) => {
    return region === 'constant' ? (bank?.indexOf(offset) ?? 0) : offset / WORD_BYTES;
  });
}

function entryOf(
  kernel: GpuKernel,
  regions: readonly Region[],
  index: number,
  names: Set<string>,
  helpers: Set<HelperName>,
): Entry {
  const label = kernelLabel(kernel).replace(/[^A-Za-z0-9_]+/g, '_');
  let name = label;
  for (let n = 2; names.has(name); n++) name = `${label}_${n}`;
  names.add(name);
  if (regions.length > MOST_ARGUMENTS) {
    throw new InternalError(
      `${label} has ${regions.length} arguments; at most ${MOST_ARGUMENTS} have a place`,
    );
  }
  const code = familyOf(kernel).emit(kernel.params as never, regions);
  for (const helper of code.helpers ?? []) helpers.add(helper);
  const together = code.lanes !== undefined;
  const workgroup = code.lanes ?? code.workgroup ?? WORKGROUP;
  const groups = Math.max(1, together ? code.invocations : Math.ceil(code.invocations / workgroup));
  const x = Math.min(groups, MOST_WORKGROUPS);
  const y = Math.ceil(groups / x);
  const lines = [
    `let group = i32(wg.x + wg.y * ${x}u);`,
    ...(together ? ['let i = group;', 'let lane = i32(li);'] : [`let i = group * ${workgroup} + i32(li);`]),
    ...(y === 1 && (together || code.invocations % workgroup === 0)
      ? []
      : [`if (i >= ${code.invocations}) { return; }`]),
    ...regions.map((_, k) => `let p${k} = i32(at[${k >> 2}].${'xyzw'[k & 3]});`),
    ...code.lines,
  ].map((line) => line.replaceAll('SCRATCH', `scratch_${name}`));
  const text = [
    ...(code.shared?.(name) ?? []),
    `@compute @workgroup_size(${workgroup})`,
    `fn ${name}(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) li: u32) {`,
    ...indented(lines),
    '}',
  ].join('\n');
  return { name, index, text, workgroups: [x, y], layers: new Set() };
}

/** Indentation by braces. */
function indented(lines: readonly string[]): string[] {
  let depth = 1;
  return lines.map((line) => {
    const closes = /^}+/.exec(line)?.[0].length ?? 0;
    depth -= closes;
    const text = `${'  '.repeat(Math.max(1, depth))}${line}`;
    const opens = (line.match(/{/g)?.length ?? 0) - (line.match(/}/g)?.length ?? 0) + closes;
    depth += opens;
    return text;
  });
}

const MOST_NAMED = 6;

/** The kernel under the names of the layers that it computes, without what could end a comment. */
function commented({ text, layers }: Entry): string {
  const all = [...layers].map((name) => name.replace(/[^\x20-\x7e]/g, '?'));
  const more = all.length > MOST_NAMED ? ` and ${all.length - MOST_NAMED} more` : '';
  return `\n// ${all.slice(0, MOST_NAMED).join(', ') || 'layout'}${more}\n${text}`;
}
