/** The field of every op against its reference: what changes an output is what the op says that it sees. */
import { expect, test } from 'vitest';
import type { OpName } from '#ir/graph.ts';
import { OPS } from '#ir/ops/index.ts';
import { fieldCases, WITHOUT_FIELD } from '../support/field-cases.ts';
import { fieldErrors } from '../support/influence.ts';

const NAMES = Object.keys(OPS) as OpName[];

test.each(NAMES)('%s', (op) => {
  const cases = fieldCases(op);
  if (WITHOUT_FIELD[op] !== undefined) {
    expect(cases, `${op} has cases, and a reason to have none`).toBeUndefined();
    return;
  }
  if (!cases) throw new Error(`${op} has no case in test/support/field-cases.ts`);
  for (const c of cases) expect(fieldErrors(op, c).slice(0, 5), JSON.stringify(c.attrs)).toEqual([]);
});
