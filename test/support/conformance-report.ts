/** What a conformance run is told as: a table, and the parts of README.md that are made from it. Pure text. */
import { RULES } from '#compiler/import/onnx/ops/index.ts';
import { REFUSED } from '#compiler/import/onnx/refused.ts';
import { withPart } from '../../scripts/page.ts';
import { byOperator, type ConformanceCase, type OpRow, type Outcome } from './conformance.ts';
import type { CompiledCase } from './onnx-cases.ts';

export { withPart } from '../../scripts/page.ts';
export { DEBIAN_CASES, hasCases, readClaims, runConformance } from './conformance.ts';

const OUTCOMES: readonly Outcome[] = ['passed', 'failed', 'unsupported'];

type Backend = 'reference' | 'wasm' | 'webgpu';

const passed = (cases: readonly ConformanceCase[], where: Backend): number =>
  cases.filter((c) => c[where] === 'passed').length;

export function summary(cases: readonly ConformanceCase[]): string {
  const share = (where: Backend) => {
    const n = passed(cases, where);
    return `${n} of ${cases.length} (${((100 * n) / cases.length).toFixed(1)} %)`;
  };
  return `reference ${share('reference')}, compiled to WebAssembly ${share('wasm')}, claimed of WebGPU ${share('webgpu')}`;
}

/** What a list of claims can tell. */
const CLAIMED = ['passed', 'unsupported'] as const satisfies readonly Outcome[];

/** op, then passed, failed, unsupported on the reference and on WebAssembly, then passed and unsupported on WebGPU; `·` is none. */
const cellsOf = ({ op, reference, wasm, webgpu }: OpRow): readonly string[] => [
  op,
  ...[reference, wasm].flatMap((counts) => OUTCOMES.map((outcome) => String(counts[outcome] || '·'))),
  ...CLAIMED.map((outcome) => String(webgpu[outcome] || '·')),
];

export function textTable(cases: readonly ConformanceCase[]): string {
  const cells = byOperator(cases).map(cellsOf);
  const head = ['op', ...OUTCOMES, ...OUTCOMES, ...CLAIMED];
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ');
  const [first = 0, ...rest] = widths;
  const width = (from: number) =>
    rest.slice(from, from + OUTCOMES.length).reduce((a, b) => a + b, 2 * (OUTCOMES.length - 1));
  const [reference, wasm] = ['reference', 'WebAssembly'].map((name, i) =>
    name.padEnd(width(i * OUTCOMES.length)),
  );
  return [`${' '.repeat(first)}  ${reference}  ${wasm}  WebGPU`, line(head), ...cells.map(line)].join('\n');
}

export function markdownTable(cases: readonly ConformanceCase[]): string {
  return [
    '| op | reference: passed | failed | unsupported | WebAssembly: passed | failed | unsupported | WebGPU: passed | unsupported |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...byOperator(cases).map((row) => `| ${cellsOf(row).join(' | ')} |`),
  ].join('\n');
}

const thousands = (n: number): string => n.toLocaleString('en');

/** Of how many cases kernels did not see all inputs, or did not run at all. */
function compiledPart(cases: readonly ConformanceCase[]): string {
  const compiled = cases.flatMap((c) => c.compiled ?? []);
  const count = (which: (c: CompiledCase) => boolean) => thousands(compiled.filter(which).length);
  const some = count((c) => c.constants > 0 && c.constants < c.inputs);
  const all = count((c) => c.constants > 0 && c.constants === c.inputs);
  const folded = count((c) => c.nodes === 0);
  return `Sizes must be known when a network is compiled, so inputs that decide them are constants there: some of the inputs in ${some} of
the ${thousands(compiled.length)} compiled cases, all of them in ${all}. ${folded} compiled cases have no node left after the passes: folding constants
answered them, and no kernel ran.`;
}

/** The part of README.md about the official cases. */
export function conformancePart(cases: readonly ConformanceCase[]): string {
  const tested = new Set(byOperator(cases).map(({ op }) => op));
  const untested = Object.keys(RULES).filter((op) => !tested.has(op));
  const all = thousands(cases.length);
  const [reference, wasm, webgpu] = (['reference', 'wasm', 'webgpu'] as const).map((where) =>
    thousands(passed(cases, where)),
  );
  return `Of ${all} operator cases of the ONNX project, ${reference} pass on the reference evaluator and ${wasm} compiled to WebAssembly
(\`npm run conformance\`; what does not pass is listed with its reason in \`test/support/conformance-gaps.ts\`).
${compiledPart(cases)}
Kernels of WebGPU compute ${webgpu} of the cases.

<details>
<summary>Each operator</summary>

A case counts for the operator that it is named after, else for each operator in it. What is passed on WebGPU is what
\`test/golden/webgpu/claims.txt\` claims, which the long suite runs on a software adapter; cases that are answered by folding
constants are in neither of its columns, and nor are those that fail.
Read too, but in none of these cases: ${listed(untested)}.

${markdownTable(cases)}

</details>`;
}

/** The part of README.md about what is not read. */
export function refusedPart(): string {
  const groups = REFUSED.filter(({ what }) => what !== 'others').map(({ what }) => what);
  const count = REFUSED.reduce((sum, { ops }) => sum + ops.length, 0);
  return `The ${count} other operators of the standard are refused by name, with advice. They are for
${groups.slice(0, -1).join(', ')} or ${groups.at(-1)}.
Operators of other domains are refused too, unless the model itself defines them as functions.

<details>
<summary>Each of them</summary>

| for | refused |
| --- | --- |
${REFUSED.map(({ what, ops }) => `| ${what} | ${ops.map((op) => `\`${op}\``).join(', ')} |`).join('\n')}

</details>`;
}

const listed = (ops: readonly string[]): string => {
  const names = ops.map((op) => `\`${op}\``).sort();
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
};

/** The parts of README.md that `npm run conformance -- --readme` writes. */
export function withConformance(page: string, cases: readonly ConformanceCase[]): string {
  return withPart(withPart(page, 'conformance', conformancePart(cases)), 'refused', refusedPart());
}
