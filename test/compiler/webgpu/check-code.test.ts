/** Plans that no device could run. */
import { expect, test } from 'vitest';
import { checkCode, emitProgram, type GpuCode, lowerGraph } from '#compiler/targets/webgpu/index.ts';
import type { GpuCall, GpuPlan } from '#runtime/gpu-plan.ts';
import { smallNet } from '../../support/bundles.ts';
import { optimisedForGpu } from '../../support/webgpu.ts';

const code = emitProgram(lowerGraph(optimisedForGpu(smallNet())));
const withPlan = (plan: Partial<GpuPlan>): GpuCode => ({ ...code, plan: { ...code.plan, ...plan } });
/** The first call with one of its numbers changed. */
const withCall = (at: number, value: number): GpuCode => {
  const [first = [], ...more] = code.plan.calls;
  return withPlan({ calls: [first.map((one, i) => (i === at ? value : one)) as GpuCall, ...more] });
};
const beyond = code.plan.arenaBytes / 4 + Math.max(...code.plan.banks);

test('a program as it is emitted is valid', () => {
  expect(code.plan.calls.length).toBeGreaterThan(1);
  expect(() => checkCode(code)).not.toThrow();
});

test.each([
  ['a kernel that is not there', withCall(0, code.plan.kernels.length), 'the kernel of call 0'],
  ['a bank that is not there', withCall(1, code.banks.length), 'the constants of call 0'],
  ['no workgroups', withCall(2, 0), 'the workgroups of call 0'],
  ['more workgroups than a dimension has', withCall(2, 65536), 'the workgroups of call 0'],
  ['no workgroups in y', withCall(3, 0), 'the workgroups of call 0'],
  ['an argument beyond every buffer', withCall(4, beyond), 'the places of call 0'],
  ['a negative argument', withCall(4, -4), 'the places of call 0'],
  ['an argument between elements', withCall(4, 0.5), 'the places of call 0'],
  ['an input beyond the arena', withPlan({ inputs: [code.plan.arenaBytes] }), 'inputs and outputs'],
  ['an output between words', withPlan({ outputs: [0.25] }), 'inputs and outputs'],
  [
    'an entry point less',
    { ...code, wgsl: code.wgsl.replace('@compute', '// @compute').replace(/^fn \w+\(@builtin/m, 'fn gone(') },
    'entry points',
  ],
  ['an entry point more', withPlan({ kernels: [...code.plan.kernels, 'none'] }), 'entry points'],
  [
    'an entry point of another name',
    withPlan({ kernels: code.plan.kernels.map((name) => `${name}_`) }),
    'entry points',
  ],
] as const)('%s is found', (_, broken, what) => {
  expect(() => checkCode(broken)).toThrow(`the program for WebGPU is not valid: ${what}`);
});
