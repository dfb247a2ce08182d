import type { FunctionBody, Label, Local } from './encoder/index.ts';

/** Runs the `index`-th of `count` statements; the last one for any index beyond. */
export function choose(
  body: FunctionBody<readonly []>,
  index: Local<'i32'>,
  count: number,
  statement: (i: number) => void,
): void {
  body.block((done) => {
    const open = (labels: readonly Label[]): void => {
      const depth = labels.length;
      if (depth < count) {
        body.block((label) => open([label, ...labels]));
        // leaving block k lands on statement k
        statement(count - 1 - depth);
        body.br(done);
        return;
      }
      const last = labels[labels.length - 1];
      if (last) body.brTable(index, labels, last);
    };
    open([]);
  });
}
