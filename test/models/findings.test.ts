/** What the findings say about each network of the zoo: every line must be true and worth saying. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { audit } from '#compiler/audit/index.ts';
import { auditSchema } from '#compiler/audit/schema.ts';
import { importOnnx } from '#compiler/import/onnx/index.ts';
import { collectionFile, withModels, zooNames } from '../support/collection.ts';
import { expectGolden } from '../support/golden.ts';

withModels.describe('findings of the zoo', () => {
  test.each(zooNames())('%s', (name) => {
    const bytes = readFileSync(collectionFile(`zoo/${name}.onnx`));
    const report = audit((dims) => importOnnx(bytes, { dims, name }));
    expect(auditSchema.parse(structuredClone(report))).toEqual(report);
    expectGolden(
      `findings/${name}.txt`,
      report.findings.map(({ code, message }) => `${code}: ${message}\n`).join(''),
    );
  });
});
