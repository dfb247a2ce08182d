/** The ONNX project's operator cases through the reference evaluator and, compiled, through WebAssembly; what is claimed of WebGPU. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ModelProto } from '#compiler/import/onnx/generated/onnx-proto.js';
import {
  type CaseResult,
  type CompiledCase,
  caseFolders,
  runCase,
  runCaseCompiled,
  runCaseOnGpu,
} from './onnx-cases.ts';

export type Outcome = 'passed' | 'failed' | 'unsupported';

export interface ConformanceCase {
  readonly name: string;
  readonly ops: readonly string[];
  readonly reference: Outcome;
  readonly wasm: Outcome;
  /** Claimed, or refused; cases that no kernel computes from their inputs are neither, and nor are those that fail. */
  readonly webgpu?: Exclude<Outcome, 'failed'>;
  /** Of a case that passes compiled. */
  readonly compiled?: CompiledCase;
  /** Why it did not pass. */
  readonly reason?: string;
}

/** Debian's package libonnx-testdata puts the official cases here. */
export const DEBIAN_CASES = '/usr/share/libonnx-testdata/data/node';

const outcomeOf = ({ status }: CaseResult): Outcome =>
  status === 'passed' ? 'passed' : status === 'wrong' ? 'failed' : 'unsupported';

/** An exception is a failure of ours, with its message as the reason. */
async function attempt(run: () => CaseResult | Promise<CaseResult>): Promise<CaseResult> {
  try {
    return await run();
  } catch (error) {
    return { status: 'wrong', why: error instanceof Error ? error.message : String(error) };
  }
}

/** The names of the cases that the long suite runs on WebGPU, one a line. */
export const readClaims = (repository: string): ReadonlySet<string> =>
  new Set(readFileSync(join(repository, 'test/golden/webgpu/claims.txt'), 'utf8').trim().split('\n'));

/** What is claimed is not run again, and of the rest only whether it is compiled. */
async function onWebGpu(folder: string, claims: ReadonlySet<string>): Promise<ConformanceCase['webgpu']> {
  if (claims.has(basename(folder))) return 'passed';
  const result = await attempt(() => runCaseOnGpu(folder, async () => []));
  return result.status === 'refused' || result.status === 'outside' ? 'unsupported' : undefined;
}

export async function runConformanceCase(
  folder: string,
  claims: ReadonlySet<string>,
): Promise<ConformanceCase> {
  const reference = await attempt(() => runCase(folder));
  const wasm = await attempt(() => runCaseCompiled(folder));
  const webgpu = await onWebGpu(folder, claims);
  const reason = [reference, wasm].flatMap((result) => ('why' in result ? [result.why] : []))[0];
  return {
    name: basename(folder),
    ops: operators(folder),
    reference: outcomeOf(reference),
    wasm: outcomeOf(wasm),
    ...(webgpu ? { webgpu } : {}),
    ...(wasm.status === 'passed' && wasm.compiled ? { compiled: wasm.compiled } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

function operators(folder: string): string[] {
  const nodes = ModelProto.decode(readFileSync(join(folder, 'model.onnx'))).graph?.node ?? [];
  return [...new Set(nodes.map((node) => node.opType))].sort();
}

/** All cases below some folders, in order. */
export async function runConformance(
  folders: readonly string[],
  claims: ReadonlySet<string>,
): Promise<ConformanceCase[]> {
  const cases: ConformanceCase[] = [];
  for (const folder of folders) {
    for (const name of caseFolders(folder)) cases.push(await runConformanceCase(join(folder, name), claims));
  }
  return cases;
}

export interface OpRow {
  readonly op: string;
  readonly cases: number;
  readonly reference: Readonly<Record<Outcome, number>>;
  readonly wasm: Readonly<Record<Outcome, number>>;
  readonly webgpu: Readonly<Record<Outcome, number>>;
}

/** Op × outcome. A case counts under the op that it is named after, else under each op in it. */
export function byOperator(cases: readonly ConformanceCase[]): OpRow[] {
  const rows = new Map<string, ConformanceCase[]>();
  for (const entry of cases) {
    const plain = entry.name.replace(/^test_|_/g, '').toLowerCase();
    const named = entry.ops.filter((op) => plain.startsWith(op.toLowerCase()));
    for (const op of named.length > 0 ? named : entry.ops) rows.set(op, [...(rows.get(op) ?? []), entry]);
  }
  const count = (list: readonly ConformanceCase[], of: (c: ConformanceCase) => Outcome | undefined) => ({
    passed: list.filter((c) => of(c) === 'passed').length,
    failed: list.filter((c) => of(c) === 'failed').length,
    unsupported: list.filter((c) => of(c) === 'unsupported').length,
  });
  return [...rows]
    .sort(([a], [b]) => a.localeCompare(b, 'en'))
    .map(([op, list]) => ({
      op,
      cases: list.length,
      reference: count(list, (c) => c.reference),
      wasm: count(list, (c) => c.wasm),
      webgpu: count(list, (c) => c.webgpu),
    }));
}

/** Does a folder hold official cases? */
export const hasCases = (folder: string): boolean =>
  existsSync(folder) && readdirSync(folder).some((name) => existsSync(join(folder, name, 'model.onnx')));
