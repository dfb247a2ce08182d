/** A device calibrated whole, on the software adapter, which takes a while. */
import pc from 'picocolors';
import { expect } from 'vitest';
import { renderProfile } from '#compiler/cli/profile-table.ts';
import { calibrateGpu } from '#compiler/tune/calibrate-gpu.ts';
import { formatProfile, parseProfile } from '#compiler/tune/profile.ts';
import { deviceOf, withAdapter } from '../support/webgpu.ts';

withAdapter.test('a profile of a device is one that can be read', async () => {
  const profile = await calibrateGpu(await deviceOf('vulkan', ['timestamp-query']), {
    adapter: 'an adapter',
    software: true,
  });
  expect(parseProfile(JSON.parse(formatProfile(profile)))).toEqual(profile);
  const text = renderProfile(profile, { width: 100, colours: pc.createColors(false) });
  expect(text).toContain('an adapter (software)');
  expect(text).toContain(`peak ${profile.peakGflops.toFixed(1)} GF/s`);
  expect(text).toContain('this says nothing about a GPU');
});
