/** What rounding the weights of a network does to its outputs. */
import type { TensorData } from '#ir/tensor.ts';
import { SELF_TEST_SEED } from '../bundle/self-test.ts';
import { seededTensor } from '../check/self-check.ts';
import { Stepper } from '../check/stepper.ts';
import type { WasmProgram } from '../targets/wasm/index.ts';

/** What a program gives on the seeded input. */
export async function outputsOf(program: WasmProgram): Promise<readonly TensorData[]> {
  const stepper = await Stepper.load(program);
  const inputs = program.inputs.map((port, i) => [port.name, seededTensor(port, SELF_TEST_SEED, i)] as const);
  stepper.setInputs(new Map(inputs));
  stepper.run();
  return [...stepper.outputs().values()].map(({ data }) => data);
}

/** Over all outputs of floats, relative to the largest magnitude of each. */
export function largestDifference(exact: readonly TensorData[], got: readonly TensorData[]): number {
  return exact.reduce((worst, a, i) => {
    const b = got[i];
    if (!(a instanceof Float32Array) || !(b instanceof Float32Array)) return worst;
    const largest = a.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    const difference = a.reduce((m, x, k) => Math.max(m, Math.abs(x - (b[k] as number))), 0);
    return largest === 0 ? worst : Math.max(worst, difference / largest);
  }, 0);
}
