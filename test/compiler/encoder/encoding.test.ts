import { describe, expect, it } from 'vitest';
import wabt from 'wabt';
import { ModuleBuilder } from '#compiler/targets/wasm/encoder/index.ts';
import { INSTRUCTION_NAMES, type InstructionName } from '#compiler/targets/wasm/encoder/instructions.ts';
import { type AnyEffect, anyOp, specOf, variants } from './variants.ts';

const assembler = await wabt();
const FEATURES = {
  simd: true,
  relaxed_simd: true,
  threads: true,
  bulk_memory: true,
  sat_float_to_int: true,
  sign_extension: true,
};

const MEMORY = { initial: 1, maximum: 2, shared: true };

/** One function per choice of immediates: parameters are the operands, the body is the instruction. */
function encode(name: InstructionName): Uint8Array {
  const module = new ModuleBuilder();
  module.memory(MEMORY);
  const { takes, gives } = specOf(name);
  const params = Object.fromEntries(takes.map((type, index) => [`p${index}`, type]));
  variants(name).forEach(({ args }, index) => {
    module.func({ name: `f${index}`, params, results: gives }, (body, locals) => {
      const all = [...Object.values(locals), ...args];
      if (gives[0] !== undefined) return anyOp(name, ...all) as never;
      (body.op.bind(body) as AnyEffect)(name, ...all);
      return undefined as never;
    });
  });
  return module.build();
}

function assemble(name: InstructionName): Uint8Array {
  const { takes, gives } = specOf(name);
  const signature = [
    ...takes.map((type) => `(param ${type})`),
    ...gives.map((type) => `(result ${type})`),
  ].join(' ');
  const gets = takes.map((_, index) => `local.get ${index}`).join(' ');
  const functions = variants(name).map(({ text }) => `(func ${signature} ${gets} ${name} ${text})`);
  const module = assembler.parseWat(
    'table',
    `(module (memory 1 2 shared) ${functions.join('\n')})`,
    FEATURES,
  );
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

describe('the encoding of every instruction is that of wabt', () => {
  it.each(INSTRUCTION_NAMES)('%s', (name) => {
    expect(Buffer.from(encode(name)).toString('hex')).toBe(Buffer.from(assemble(name)).toString('hex'));
  });
});
