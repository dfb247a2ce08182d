/**
 * Constants in as many buffers as the limit of a binding asks for. A kernel reads one of them, so constants that are read
 * together lie together.
 */
import type { ConstantPart, KernelCall, KernelProgram } from '#compiler/schedule/program.ts';
import type { GpuKernel } from './kernels/index.ts';
import { HALF_BYTES, WORD_BYTES, writeHalves } from './words.ts';

/** What every device can bind (WebGPU, limits: maxStorageBufferBindingSize). */
export const BINDING_BYTES = 128 * 1024 * 1024;

export interface Bank {
  readonly bytes: number;
  readonly parts: readonly ConstantPart[];
  /** Which element of the bank lies at a byte of the program's constants. */
  indexOf(offset: number): number;
}

/** The constants of a program, in banks. */
export interface Constants {
  readonly banks: readonly Bank[];
  bankOf(call: KernelCall<GpuKernel>): number;
  /** Is what lies at a byte of the program's constants kept in half precision? */
  isHalf(offset: number): boolean;
}

/** Fills the memory of a bank, which is zero. */
export function writeBank({ parts }: Bank, target: Uint8Array): void {
  for (const { offset, bytes, half, write } of parts) {
    if (!half) {
      write(target.subarray(offset, offset + bytes));
      continue;
    }
    const floats = new Float32Array(bytes / WORD_BYTES);
    write(new Uint8Array(floats.buffer));
    writeHalves(floats, new Uint16Array(target.buffer, target.byteOffset + offset, floats.length));
  }
}

/** The memory of a bank, filled. */
export function bankBytes(bank: Bank): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(bank.bytes);
  writeBank(bank, bytes);
  return bytes;
}

export function banksOf(program: KernelProgram<GpuKernel>): Constants {
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
  const elementBytes = (part: ConstantPart | undefined) => (part?.half ? HALF_BYTES : WORD_BYTES);
  const size = (part: ConstantPart | undefined) =>
    Math.ceil((((part?.bytes ?? 0) / WORD_BYTES) * elementBytes(part)) / 16) * 16;
  for (const group of groups.values()) {
    const bytes = group.reduce((sum, k) => sum + size(parts[k]), 0);
    let at = placed.findIndex((bank) => bank.bytes + bytes <= BINDING_BYTES);
    if (at < 0) at = placed.push({ bytes: 0, parts: [], offsets: new Map() }) - 1;
    const bank = placed[at];
    for (const k of group) {
      const part = parts[k];
      if (!bank || !part) continue;
      bank.offsets.set(k, bank.bytes);
      bank.parts.push({ ...part, offset: bank.bytes });
      bank.bytes += size(part);
      bankOfPart.set(k, at);
    }
  }
  const banks = placed.map(
    ({ bytes, parts: own, offsets }): Bank => ({
      bytes,
      parts: own,
      indexOf: (offset) => {
        const k = partOf(offset);
        return (
          (offsets.get(k) ?? 0) / elementBytes(parts[k]) + (offset - (parts[k]?.offset ?? 0)) / WORD_BYTES
        );
      },
    }),
  );
  return {
    banks,
    bankOf: (call) => bankOfPart.get(constantsOf(call)[0] ?? -1) ?? 0,
    isHalf: (offset) => parts[partOf(offset)]?.half === true,
  };
}
