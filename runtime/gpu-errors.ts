/** What a device says against what it is told to do. */

/**
 * Does something at once, and tells later what the device says against it. While it is done nothing is awaited: other runs on the
 * device have scopes of their own.
 */
export function attempt<T>(device: GPUDevice, work: () => T): readonly [T, Promise<string | undefined>] {
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  const said = async () => {
    const found = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    return found.find((error) => error !== null)?.message;
  };
  // a device that is lost has no scopes any more
  const problem = () => said().catch(() => undefined);
  try {
    const made = work();
    return [made, problem()];
  } catch (error) {
    problem();
    throw error;
  }
}

/** How long a device that is lost may take to say so. */
const SETTLING_MS = 50;

/** Why a device is lost, where it is or just becomes it. */
export const lossOf = (device: GPUDevice): Promise<string | undefined> =>
  Promise.race([
    device.lost.then(({ message, reason }) => message || reason),
    new Promise<undefined>((resolve) => setTimeout(resolve, SETTLING_MS)),
  ]);
