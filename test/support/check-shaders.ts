/** Run by Deno: reads programs as JSON lines of `{ name, wgsl, kernels }`, and writes what the engine says against them. */
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Shader } from './deno.ts';

const adapter = await navigator.gpu.requestAdapter();
if (!adapter) throw new Error('there is no adapter');
const device = await adapter.requestDevice({
  requiredFeatures: adapter.features.has('shader-f16') ? ['shader-f16'] : [],
});
for await (const line of createInterface({ input: process.stdin })) {
  const { name, wgsl, kernels } = JSON.parse(line) as Shader;
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: wgsl });
  for (const entryPoint of kernels) {
    device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint } });
  }
  const error = await device.popErrorScope();
  if (error) process.stdout.write(`${name}: ${error.message}\n`);
}
