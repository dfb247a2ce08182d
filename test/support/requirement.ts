import { describe, test } from 'vitest';

/** `describe` and `test` for tests that need something that not every machine has. */
export interface Gate {
  describe(title: string, body: () => void): void;
  test(title: string, body: () => void | Promise<void>, timeout?: number): void;
}

/**
 * Runs the tests where nothing is missing. Otherwise skips them, with the reason on the console and in the title, or,
 * with the environment variable `mustHave` set (as in CI), lets them fail: a skip must not look like a pass there.
 *
 * @param missing what is missing and how to get it; undefined where it is there
 */
export function gate(missing: string | undefined, mustHave: string): Gate {
  if (missing === undefined) return { describe, test };
  const required = Boolean(process.env[mustHave]);
  const instead = (title: string) => {
    if (required) {
      test(title, () => {
        throw new Error(`${missing} (needed because ${mustHave} is set)`);
      });
    } else {
      console.warn(`SKIPPED: ${title}: ${missing}`);
      test.skip(`${title} [skipped: ${missing}]`, () => {});
    }
  };
  return { describe: instead, test: instead };
}
