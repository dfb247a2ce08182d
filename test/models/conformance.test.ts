/** The ONNX project's operator cases, on the reference and compiled. What does not pass is listed with its reason. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { collectionFile, hasCollection, repositoryFolder, withModels } from '../support/collection.ts';
import { type ConformanceCase, DEBIAN_CASES, readClaims, runConformance } from '../support/conformance.ts';
import { BEYOND, GAPS } from '../support/conformance-gaps.ts';
import { withConformance } from '../support/conformance-report.ts';

const failing = (cases: readonly ConformanceCase[]) =>
  cases.filter((c) => c.reference !== 'passed' || c.wasm !== 'passed');

withModels.test('1,032 official cases: all but the listed gaps pass', async () => {
  const cases = await runConformance(
    ['onnx-node-tests', 'onnx-pytorch-tests'].map(collectionFile),
    readClaims(repositoryFolder),
  );
  // a mistake in the runner must not look like fewer cases
  expect(cases).toHaveLength(1032);
  const unlisted = failing(cases).filter((c) => !Object.hasOwn(GAPS, c.name));
  expect(unlisted).toEqual([]);
  const found = failing(cases).map((c) => c.name);
  expect(found.sort(), 'a gap that is closed leaves the list').toEqual(Object.keys(GAPS).sort());
  const readme = readFileSync(join(repositoryFolder, 'README.md'), 'utf8');
  expect(readme, 'to write it anew: npm run conformance -- --readme').toBe(withConformance(readme, cases));
});

if (!hasCollection && existsSync(DEBIAN_CASES)) {
  test('the official cases of Debian’s libonnx-testdata', async () => {
    const cases = await runConformance([DEBIAN_CASES], readClaims(repositoryFolder));
    const unlisted = failing(cases).filter(
      (c) => !Object.hasOwn(GAPS, c.name) && !BEYOND.some(({ what }) => what.test(c.reason ?? '')),
    );
    // reads indices in the shape without output_shape, where the op's text speaks of the output
    expect(unlisted.map((c) => c.name)).toEqual(['test_maxunpool_export_with_output_shape']);
  });
}
