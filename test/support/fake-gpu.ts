/** A device that does nothing, with a clock that a test sets. */

/** Nanoseconds between the stamps of a pass, in the order of passes over all submissions. */
export type FakeClock = (pass: number) => bigint;

/** Of each pass: spans may be negative. */
const BEGIN = 1_000_000n;

/** For what times passes: its kernels do nothing, and what is read of them is zeros. */
export async function fakeDevice(span: FakeClock): Promise<GPUDevice> {
  const { globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  let passes = 0;
  let stamps = new BigUint64Array();
  const nothing = () => undefined;
  const pass = {
    setPipeline: nothing,
    setBindGroup: nothing,
    dispatchWorkgroups: nothing,
    end: nothing,
  };
  const encoder = () => {
    let own = 0;
    return {
      beginComputePass() {
        own++;
        return pass;
      },
      resolveQuerySet() {
        stamps = new BigUint64Array(2 * own);
        for (let k = 0; k < own; k++) {
          stamps[2 * k] = BEGIN;
          stamps[2 * k + 1] = BEGIN + span(passes++);
        }
      },
      copyBufferToBuffer: nothing,
      finish: nothing,
    };
  };
  const buffer = ({ size }: { size: number }) => ({
    size,
    destroy: nothing,
    unmap: nothing,
    mapAsync: () => Promise.resolve(),
    getMappedRange: () => (stamps.length > 0 ? stamps.buffer : new ArrayBuffer(size)),
  });
  return {
    createBuffer: buffer,
    createBindGroup: nothing,
    createQuerySet: () => ({ destroy: nothing }),
    createShaderModule: nothing,
    createComputePipelineAsync: () => Promise.resolve({ getBindGroupLayout: nothing }),
    createCommandEncoder: encoder,
    queue: { submit: nothing, writeBuffer: nothing },
  } as unknown as GPUDevice;
}
