/** What is said of an adapter. */

/** Adapters that compute on the processor: there WebAssembly is faster. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic.render/i;

export interface AdapterTraits {
  readonly name: string;
  readonly software: boolean;
}

export function adapterTraits({ info }: GPUAdapter): AdapterTraits {
  const { description, vendor, device, architecture, isFallbackAdapter = false } = info ?? {};
  // a description may be the driver's, which many devices have; wgpu gives numbers for the rest
  const words = [vendor, device, architecture].filter((text) => /[a-z]/i.test(text ?? ''));
  const name = words.join(' ') || description || 'unnamed adapter';
  return { name, software: isFallbackAdapter || SOFTWARE.test(`${name} ${description}`) };
}
