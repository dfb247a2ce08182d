/** What rounding the weights of a network does to its outputs. */
import type { TensorData } from '#ir/tensor.ts';
import { SELF_TEST_SEED } from '../bundle/self-test.ts';
import { differenceOf } from '../check/difference.ts';
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
export const largestDifference = (exact: readonly TensorData[], got: readonly TensorData[]): number =>
  exact.reduce((worst, want, i) => {
    if (!(want instanceof Float32Array)) return worst;
    const { largest, relative } = differenceOf(want, got[i] ?? []);
    return largest === 0 ? worst : Math.max(worst, relative);
  }, 0);
