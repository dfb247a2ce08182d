/** What is said of an adapter. */

/** Adapters that compute on the processor: there WebAssembly is faster. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render/i;

export interface AdapterTraits {
  readonly name: string;
  readonly software: boolean;
}

export function adapterTraits({ info }: GPUAdapter): AdapterTraits {
  const { description, vendor, architecture, isFallbackAdapter = false } = info ?? {};
  const name = description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
  return { name, software: isFallbackAdapter || SOFTWARE.test(`${name} ${vendor}`) };
}
