/** What a dispatch takes besides its kernel: the smallest one again and again, each after the other, as layers follow each other. */

import { probePipeline } from '../../bench/gpu-probe.ts';
import { type Clock, median } from '../../bench/measure.ts';

const WGSL = `
@group(0) @binding(0) var<storage, read_write> number: array<u32, 1>;
@compute @workgroup_size(1)
fn main() { number[0] += 1u; }`;

const FEW = 20;
const MANY = 220;
const ROUNDS = 9;

export interface DispatchProbe {
  /** Nanoseconds by the clock of the caller: to encode, submit and run one more. */
  ns(clock: Clock): Promise<number>;
  /** How many have run. */
  count(): Promise<number>;
  dispose(): void;
}

export async function dispatchProbe(device: GPUDevice): Promise<DispatchProbe> {
  const pipeline = await probePipeline(device, WGSL);
  const number = device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const read = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: number } }],
  });
  /** As a run of a network: one pass, one submission, a result that is waited for. */
  const run = async (dispatches: number): Promise<number> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let k = 0; k < dispatches; k++) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    encoder.copyBufferToBuffer(number, 0, read, 0, 4);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const [sum = 0] = new Uint32Array(read.getMappedRange());
    read.unmap();
    return sum;
  };
  const timed = async (dispatches: number, clock: Clock): Promise<number> => {
    const start = clock();
    await run(dispatches);
    return clock() - start;
  };
  return {
    async ns(clock) {
      await run(MANY);
      const further: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const few = await timed(FEW, clock);
        further.push((await timed(MANY, clock)) - few);
      }
      return Math.max(0, (median(further) * 1e6) / (MANY - FEW));
    },
    count: () => run(0),
    dispose() {
      number.destroy();
      read.destroy();
    },
  };
}
