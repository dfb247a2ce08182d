/** What a call of a kernel costs beside its work. */
import { Builder } from '#ir/builder.ts';
import { InternalError } from '#ir/diagnostics.ts';
import { emitModule, lowerGraph, MEMORY_IMPORT, runExport } from '../../targets/wasm/index.ts';
import type { Probe } from './least.ts';

const CALLS = 256;

/** A chain of kernels of one vector each. */
export async function callProbe(): Promise<Probe & { readonly calls: number }> {
  const b = new Builder('calls');
  let value = b.input('x', [1, 4]);
  for (let i = 0; i < CALLS; i++) value = b.relu(value);
  b.output('y', value);
  const program = lowerGraph(b.graph);
  const { bytes, memory: map } = emitModule(program);
  const memory = new WebAssembly.Memory({ initial: map.pages, maximum: map.pages });
  const imports = { [MEMORY_IMPORT.module]: { [MEMORY_IMPORT.name]: memory } };
  const { instance } = await WebAssembly.instantiate(bytes, imports);
  const run = instance.exports[runExport(0)];
  if (typeof run !== 'function') throw new InternalError('the probe lacks its export');
  return { run: () => run(), calls: program.calls.length };
}
