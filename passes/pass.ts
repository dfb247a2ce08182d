/** What a pass is, and the manager that runs pipelines of them. */
import { fail, formatDiagnostic, InternalError } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { Cost } from '#ir/op.ts';
import { verifyGraph } from '#ir/verify.ts';
import { arithmetic } from './analysis/cost.ts';
import type { GraphProperty } from './properties.ts';

/** A place where a rule matched but did not hold. */
export interface Refusal {
  readonly rule: string;
  readonly node: string;
  readonly reason: string;
}

/** A place where a rule was applied. */
export interface Application {
  readonly rule: string;
  readonly node: string;
}

export interface PassResult {
  readonly changes: number;
  /** In order, by the names that nodes and constants had. */
  readonly applications: readonly Application[];
  readonly refusals: readonly Refusal[];
}

export interface PassContext {
  readonly signal?: AbortSignal;
}

/** A transformation of a graph, in place. */
export interface Pass {
  readonly name: string;
  /** One line, for people. */
  readonly summary: string;
  /** What must be true of the graph before, and what is true of it after. */
  readonly requires: readonly GraphProperty[];
  readonly ensures: readonly GraphProperty[];
  run(graph: Graph, context: PassContext): PassResult;
}

export const definePass = (pass: Pass): Pass => pass;

export interface OrderedPass {
  readonly pass: Pass;
  /** Why it stands where it stands. */
  readonly because: string;
}

/** A pass, or passes that make work for each other and are repeated in turn until none changes anything. */
export type Step = OrderedPass | { readonly repeat: readonly OrderedPass[]; readonly because: string };

export interface Pipeline {
  readonly name: string;
  readonly steps: readonly Step[];
}

export interface GraphTotals extends Cost {
  readonly nodes: number;
}

/** What one run of a pass did. */
export interface PassTrace extends PassResult {
  readonly pass: string;
  readonly before: GraphTotals;
  readonly after: GraphTotals;
}

export interface PipelineOptions {
  readonly onPass?: (trace: PassTrace, graph: Graph) => void;
  /** Check every invariant after every pass; on by default. */
  readonly verify?: boolean;
  /** Stop after the step that holds the pass of this name. */
  readonly until?: string;
  readonly signal?: AbortSignal;
}

/**
 * Runs a pipeline on `graph`, in place.
 * @returns what each run of each pass did, in order.
 * @throws InternalError naming the pass that broke the graph or its own promises; CompileError for an unknown `until`.
 */
export function runPipeline(graph: Graph, pipeline: Pipeline, options: PipelineOptions = {}): PassTrace[] {
  const { until } = options;
  const names = passNames(pipeline);
  if (until !== undefined && !names.includes(until)) {
    fail('usage-invalid', until, `pipeline "${pipeline.name}" has no such pass; it has ${names.join(', ')}`);
  }
  const traces: PassTrace[] = [];
  let totals = graphTotals(graph);
  for (const step of pipeline.steps) {
    const passes = passesOf(step);
    runStep(graph, passes, 'repeat' in step, (pass) => {
      const trace = runPass(graph, pass, options, totals);
      traces.push(trace);
      totals = trace.after;
      options.onPass?.(trace, graph);
      return trace.changes;
    });
    if (passes.some((pass) => pass.name === until)) break;
  }
  return traces;
}

const passesOf = (step: Step): readonly Pass[] =>
  'repeat' in step ? step.repeat.map(({ pass }) => pass) : [step.pass];

/** The passes of a pipeline in order, each once. */
export const passNames = (pipeline: Pipeline): string[] => [
  ...new Set(pipeline.steps.flatMap((step) => passesOf(step).map(({ name }) => name))),
];

function runStep(graph: Graph, passes: readonly Pass[], repeat: boolean, run: (pass: Pass) => number): void {
  for (let rounds = 4 + graph.nodes.length; rounds > 0; rounds--) {
    let changes = 0;
    for (const pass of passes) changes += run(pass);
    if (changes === 0 || !repeat) return;
  }
  throw new InternalError(`passes ${passes.map((p) => p.name).join(', ')} do not come to an end`);
}

/**
 * Runs one pass and holds it to its word.
 * @param before the totals of the graph as it is
 * @throws InternalError naming the pass.
 */
export function runPass(
  graph: Graph,
  pass: Pass,
  options: PipelineOptions = {},
  before: GraphTotals = graphTotals(graph),
): PassTrace {
  const { signal } = options;
  signal?.throwIfAborted();
  for (const property of pass.requires) check(graph, property, `pass "${pass.name}" requires`);
  const result = pass.run(graph, signal ? { signal } : {});
  if (options.verify !== false) {
    const found = verifyGraph(graph);
    if (found.length > 0) {
      throw new InternalError(
        `pass "${pass.name}" broke the graph:\n${found.map(formatDiagnostic).join('\n')}`,
      );
    }
  }
  for (const property of pass.ensures) check(graph, property, `pass "${pass.name}" does not ensure`);
  const after = result.changes === 0 ? before : graphTotals(graph);
  return { pass: pass.name, ...result, before, after };
}

function check(graph: Graph, property: GraphProperty, message: string): void {
  const violation = property.violation(graph);
  if (violation !== undefined) throw new InternalError(`${message} ${property.name}: ${violation}`);
}

/** Nodes, multiply-accumulates and other operations of a graph. */
export function graphTotals(graph: Graph): GraphTotals {
  let macs = 0;
  let otherOps = 0;
  for (const node of graph.nodes) {
    const cost = arithmetic(node);
    macs += cost.macs;
    otherOps += cost.otherOps;
  }
  return { nodes: graph.nodes.length, macs, otherOps };
}
