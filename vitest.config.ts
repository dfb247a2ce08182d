import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], exclude: string[] = [], timeout = 30_000) => ({
  test: { name, include, exclude, testTimeout: timeout, hookTimeout: timeout },
});

/** unit: seconds, no downloads; models: whole networks, minutes; long: everything that does not fit in five minutes. */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('unit', ['test/**/*.test.ts'], ['test/models/**', 'test/long/**']),
      project('models', ['test/models/**/*.test.ts'], [], 120_000),
      project('long', ['test/long/**/*.test.ts'], [], 1_200_000),
    ],
  },
});
