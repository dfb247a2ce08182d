import { expect } from 'vitest';
import { RULES } from '#compiler/import/onnx/ops/index.ts';
import { collectionFile, withModels } from '../../support/collection.ts';
import { type CaseResult, caseFolders, runCase } from '../../support/onnx-cases.ts';
import { EXCEPTIONS } from './node-test-exceptions.ts';

const FOLDERS = ['onnx-node-tests', 'onnx-pytorch-tests'];

withModels.test('the official cases of every operator that is read give the official results', () => {
  const results = new Map<string, CaseResult>();
  for (const folder of FOLDERS) {
    const path = collectionFile(folder);
    for (const name of caseFolders(path)) results.set(name, runCase(`${path}/${name}`));
  }
  const names = (status: CaseResult['status']) =>
    [...results].flatMap(([name, result]) => (result.status === status ? [name] : []));
  const failing = [...names('refused'), ...names('wrong')].sort();
  console.info(
    `official cases: ${names('passed').length} passed, ${names('outside').length} of other operators, ${failing.length} not passing`,
  );
  for (const name of failing)
    console.info(`  ${name}: ${EXCEPTIONS[name] ?? JSON.stringify(results.get(name))}`);
  expect(failing).toEqual(Object.keys(EXCEPTIONS).sort());
  // a mistake in the runner must not look like fewer operators
  expect(names('passed').length).toBeGreaterThanOrEqual(620);
  expect(Object.keys(RULES).length).toBeGreaterThanOrEqual(80);
});
