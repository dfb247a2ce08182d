/**
 * Constants in as many buffers as the limit of a binding asks for. A kernel reads one of them, so constants that are read
 * together lie together.
 */
import type { ConstantPart, KernelCall, KernelProgram } from '#compiler/schedule/program.ts';
import type { GpuKernel } from './kernels/index.ts';

/** What every device can bind (WebGPU, limits: maxStorageBufferBindingSize). */
export const BINDING_BYTES = 128 * 1024 * 1024;

export interface Bank {
  readonly bytes: number;
  readonly parts: readonly ConstantPart[];
  /** Where a byte of the program's constants lies in the bank. */
  offsetOf(offset: number): number;
}

export function banksOf(program: KernelProgram<GpuKernel>): {
  readonly banks: readonly Bank[];
  bankOf(call: KernelCall<GpuKernel>): number;
} {
  const parts = program.constantParts;
  const partOf = (offset: number): number => {
    let [low, high] = [0, parts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((parts[middle]?.offset ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  // groups of constants that calls read together
  const parent = parts.map((_, k) => k);
  const rootOf = (k: number): number => {
    let at = k;
    while (parent[at] !== at) at = parent[at] = parent[parent[at] ?? at] ?? at;
    return at;
  };
  const constantsOf = (call: KernelCall<GpuKernel>) =>
    call.arguments.flatMap(({ region, offset }) => (region === 'constant' ? [partOf(offset)] : []));
  for (const call of program.calls) {
    const [first, ...others] = constantsOf(call);
    for (const other of others) if (first !== undefined) parent[rootOf(other)] = rootOf(first);
  }
  const groups = new Map<number, number[]>();
  parts.forEach((_, k) => {
    const list = groups.get(rootOf(k));
    if (list) list.push(k);
    else groups.set(rootOf(k), [k]);
  });
  const placed: { bytes: number; parts: ConstantPart[]; offsets: Map<number, number> }[] = [];
  const bankOfPart = new Map<number, number>();
  const size = (bytes: number) => Math.ceil(bytes / 16) * 16;
  for (const group of groups.values()) {
    const bytes = group.reduce((sum, k) => sum + size(parts[k]?.bytes ?? 0), 0);
    let at = placed.findIndex((bank) => bank.bytes + bytes <= BINDING_BYTES);
    if (at < 0) at = placed.push({ bytes: 0, parts: [], offsets: new Map() }) - 1;
    const bank = placed[at];
    for (const k of group) {
      const part = parts[k];
      if (!bank || !part) continue;
      bank.offsets.set(k, bank.bytes);
      bank.parts.push({ ...part, offset: bank.bytes });
      bank.bytes += size(part.bytes);
      bankOfPart.set(k, at);
    }
  }
  const banks = placed.map(
    ({ bytes, parts: own, offsets }): Bank => ({
      bytes,
      parts: own,
      offsetOf: (offset) => {
        const k = partOf(offset);
        return (offsets.get(k) ?? 0) + offset - (parts[k]?.offset ?? 0);
      },
    }),
  );
  return { banks, bankOf: (call) => bankOfPart.get(constantsOf(call)[0] ?? -1) ?? 0 };
}
