/** What is said of an adapter, from what implementations say. */
import { expect, test } from 'vitest';
import { adapterTraits } from '#runtime/gpu-adapter.ts';

const traits = (info: object) => adapterTraits({ info } as GPUAdapter);
const METAL = 'Metal driver on macOS Version 14.5 (Build 23F79)';

test.each([
  // Dawn in Node, by its backend
  [
    { vendor: 'apple', architecture: 'metal-3', device: 'apple-m1-pro', description: METAL },
    'apple apple-m1-pro metal-3',
  ],
  [
    {
      vendor: 'nvidia',
      architecture: 'ampere',
      device: 'nvidia-geforce-rtx-3060',
      description: 'NVIDIA: 535',
    },
    'nvidia nvidia-geforce-rtx-3060 ampere',
  ],
  [
    { vendor: 'intel', architecture: 'xe', device: 'intel(r)-iris(r)-xe', description: 'D3D12 driver 31.0' },
    'intel intel(r)-iris(r)-xe xe',
  ],
  // pages are told less
  [{ vendor: 'nvidia', architecture: 'ampere', device: '', description: '' }, 'nvidia ampere'],
  [{ vendor: '', architecture: '', device: '', description: 'Radeon' }, 'Radeon'],
  // wgpu
  [{ vendor: '4318', architecture: '', device: '9479', description: 'NVIDIA RTX A2000' }, 'NVIDIA RTX A2000'],
  [{ vendor: '', architecture: '', device: '', description: '' }, 'unnamed adapter'],
])('%j is named after the device', (info, name) => {
  expect(traits(info)).toEqual({ name, software: false });
});

test('two devices of one driver are told apart', () => {
  const [a, b] = ['apple-m1', 'apple-m3-max'].map((device) =>
    traits({ vendor: 'apple', architecture: 'metal-3', device, description: METAL }),
  );
  expect(a?.name).not.toBe(b?.name);
});

test.each([
  { vendor: 'google', architecture: 'swiftshader', device: 'swiftshader-device-subzero-', description: '' },
  { vendor: 'google', architecture: '', device: 'swiftshader-device-subzero', description: '' },
  { vendor: 'mesa', architecture: '', device: 'llvmpipe-llvm-17', description: 'Mesa 24' },
  { vendor: 'mesa', architecture: '', device: '', description: 'lavapipe' },
  { vendor: 'microsoft', architecture: 'warp', device: 'microsoft-basic-render-driver', description: '' },
  { vendor: 'microsoft', architecture: '', device: '', description: 'Microsoft Basic Render Driver' },
  { vendor: 'a', architecture: '', device: '', description: '', isFallbackAdapter: true },
])('%j computes on the processor', (info) => {
  expect(traits(info).software).toBe(true);
});

test('an adapter without an info has no name', () => {
  expect(adapterTraits({} as GPUAdapter)).toEqual({ name: 'unnamed adapter', software: false });
});
