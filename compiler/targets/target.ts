import type { Diagnostic } from '#ir/diagnostics.ts';
import type { Graph, Node } from '#ir/graph.ts';
import type { KernelProgram } from '../schedule/program.ts';

/** A code generation target: lowers a graph to a kernel program of its own kernels, and the program to code. */
export interface Target<Kernel, Code> {
  readonly name: string;
  /** Every node that the target cannot run, each with its reason. */
  unsupported(graph: Graph): Diagnostic[];
  lower(graph: Graph): KernelProgram<Kernel>;
  emit(program: KernelProgram<Kernel>): Code;
}

/** Why a node cannot run on a target. */
export interface Refusal {
  readonly node: Node;
  readonly reason: string;
}
