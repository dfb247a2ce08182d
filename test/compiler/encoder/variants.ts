import type { Ex } from '#compiler/targets/wasm/encoder/index.ts';
import { op } from '#compiler/targets/wasm/encoder/index.ts';
import {
  INSTRUCTIONS,
  type InstructionName,
  type InstructionSpec,
} from '#compiler/targets/wasm/encoder/instructions.ts';

/** One choice of immediates for an instruction: as arguments of `op`, and as WebAssembly text. */
export interface Variant {
  readonly args: readonly unknown[];
  readonly text: string;
}

/** `op` and `body.op` for names that are known only when the test runs. */
export const anyOp = op as unknown as (name: InstructionName, ...args: unknown[]) => Ex;
export type AnyEffect = (name: InstructionName, ...args: unknown[]) => void;

export const specOf = (name: InstructionName): InstructionSpec => INSTRUCTIONS[name];

/** The choices of immediates under which every test runs the instruction. */
export function variants(name: InstructionName): readonly Variant[] {
  const spec = specOf(name);
  switch (spec.immediate) {
    case 'i32':
      return [0, 1, -1, 63, 64, -64, -65, 0x7fff_ffff, -0x8000_0000, 0xffff_ffff].map(constant);
    case 'i64':
      return [0n, -1n, 63n, 64n, -64n, -65n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n].map(constant);
    case 'f32':
      return [0, -0, 1.5, -3.25, 2 ** -149, 3.4028234663852886e38, Infinity, -Infinity, Number.NaN].map(
        constant,
      );
    case 'f64':
      return [0, -0, 0.1, -1e300, 5e-324, Number.MAX_VALUE, Infinity, -Infinity, Number.NaN].map(constant);
    case 'v128':
      return [SIXTEEN.map((i) => i * 17), SIXTEEN.map((i) => 255 - i)].map((bytes) => ({
        args: [bytes],
        text: `i8x16 ${bytes.join(' ')}`,
      }));
    case 'shuffle':
      return [
        SIXTEEN,
        SIXTEEN.map((i) => 31 - i),
        SIXTEEN.map((i) => (i * 7 + 3) % 32),
        SIXTEEN.map(() => 16),
      ].map((lanes) => ({ args: [lanes], text: lanes.join(' ') }));
    case 'lane':
      return Array.from({ length: spec.lanes }, (_, lane) => ({ args: [lane], text: `${lane}` }));
    case 'memarg+lane':
      return Array.from({ length: spec.lanes }, (_, lane) => {
        const { args, text } = memarg(lane * 9, lane % 2 === 0 ? 1 : spec.align);
        return { args: [lane, ...args], text: `${text} ${lane}` };
      });
    case 'memarg':
      return [{ args: [], text: '' }, memarg(200, spec.align), memarg(3, 1)];
    case 'atomic':
      return [
        { args: [], text: '' },
        { args: [{ offset: 200 }], text: 'offset=200' },
        { args: [{ offset: 3 }], text: 'offset=3' },
      ];
    default:
      return [{ args: [], text: '' }];
  }
}

const SIXTEEN = Array.from({ length: 16 }, (_, index) => index);

function memarg(offset: number, align: number): Variant {
  return { args: [{ offset, align }], text: `offset=${offset} align=${align}` };
}

function constant(value: number | bigint): Variant {
  const text = Object.is(value, -0) ? '-0' : `${value}`.replace('NaN', 'nan').replace('Infinity', 'inf');
  return { args: [value], text };
}
