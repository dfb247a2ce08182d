/** Counts what a device is asked to make. */

export interface Counts {
  readonly buffers: Set<GPUBuffer>;
  readonly textures: Set<GPUTexture>;
  /** All buffers that were made, by label. */
  readonly made: Map<string, number>;
  /** Calls of writeBuffer. */
  writes: number;
  /** Error scopes of each buffer that was made. */
  readonly scopes: number[];
  /** The device as it was. */
  undo(): void;
}

export function countOn(device: GPUDevice): Counts {
  const { createBuffer, createTexture, pushErrorScope, popErrorScope, queue } = device;
  const { writeBuffer } = queue;
  let depth = 0;
  const counts: Counts = {
    buffers: new Set(),
    textures: new Set(),
    made: new Map(),
    writes: 0,
    scopes: [],
    undo() {
      Object.assign(device, { createBuffer, createTexture, pushErrorScope, popErrorScope });
      Object.assign(queue, { writeBuffer });
    },
  };
  const kept = <T extends GPUBuffer | GPUTexture>(alive: Set<T>, made: T): T => {
    alive.add(made);
    const destroy = made.destroy.bind(made);
    return Object.assign(made, {
      destroy: () => {
        alive.delete(made);
        return destroy();
      },
    });
  };
  Object.assign(device, {
    createBuffer: (descriptor: GPUBufferDescriptor) => {
      const label = descriptor.label ?? '';
      counts.made.set(label, (counts.made.get(label) ?? 0) + 1);
      counts.scopes.push(depth);
      return kept(counts.buffers, createBuffer.call(device, descriptor));
    },
    createTexture: (descriptor: GPUTextureDescriptor) =>
      kept(counts.textures, createTexture.call(device, descriptor)),
    pushErrorScope: (filter: GPUErrorFilter) => {
      depth++;
      pushErrorScope.call(device, filter);
    },
    popErrorScope: () => {
      depth--;
      return popErrorScope.call(device);
    },
  });
  Object.assign(queue, {
    writeBuffer: (...given: Parameters<GPUQueue['writeBuffer']>) => {
      counts.writes++;
      writeBuffer.apply(queue, given);
    },
  });
  return counts;
}
