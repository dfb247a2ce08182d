/** Runs graphs through the WebAssembly target, node by node, against the reference evaluator. */
import { Stepper } from '#compiler/check/stepper.ts';
import type { CompiledBundle } from '#compiler/compile-options.ts';
import { type Choices, lowerGraph, wasmTarget } from '#compiler/targets/wasm/index.ts';
import { constantTensor, evaluateNode } from '#ir/evaluate.ts';
import type { Graph, Value } from '#ir/graph.ts';
import type { Tensor } from '#ir/tensor.ts';
import { elementCount } from '#ir/types.ts';
import { ARRAYS, type ManifestTensor } from '#runtime/abi.ts';

export interface Difference {
  readonly node: string;
  readonly op: string;
  /** Largest difference over the largest magnitude. */
  readonly relative: number;
  readonly want: Tensor;
  readonly got: Tensor;
  /** The reference's result again, of operands that `change` makes of those that the module had. */
  again(change: (operand: Tensor, index: number) => Tensor): Tensor;
}

/** Every node of a graph on the values that the module itself computed for its operands, against the reference. */
export async function differences(
  graph: Graph,
  inputs: ReadonlyMap<string, Tensor>,
  choices?: Choices,
): Promise<Difference[]> {
  const refused = wasmTarget.unsupported(graph);
  if (refused.length > 0) throw new Error(refused.map((d) => d.message).join('\n'));
  const stepper = await Stepper.load(lowerGraph(graph, { choices }));
  stepper.setInputs(inputs);
  const found: Difference[] = [];
  let operands = new Map<Value, Tensor>();
  stepper.run({
    before: (step) => {
      operands = new Map([...step.operands].map(([value, at]) => [value, stepper.read(value, at)]));
    },
    after: (step) => {
      const { node } = step;
      const had = operands;
      const lookup = (value: Value) => had.get(value) ?? constantTensor(value);
      const expected = evaluateNode(node, lookup);
      node.outputs.forEach((value, i) => {
        const at = step.results.get(value);
        const want = expected[i];
        if (!at || !want) throw new Error(`${node.op} left no output ${i}`);
        const got = stepper.read(value, at);
        const again: Difference['again'] = (change) =>
          evaluateNode(node, (v) => change(lookup(v), node.operands.indexOf(v)))[i] ?? want;
        found.push({
          node: node.name,
          op: node.op,
          relative: relativeDifference(want, got),
          want,
          got,
          again,
        });
      });
    },
  });
  return found;
}

/** The outputs of a bundle's module, by name, from runs one after the other in memory that was not zero before. */
export function runBundle(
  { files, manifest }: CompiledBundle,
  inputs: ReadonlyMap<string, Tensor>,
  runs: number,
): ReadonlyMap<string, Tensor>[] {
  const module = new WebAssembly.Module(new Uint8Array(files.get('model.wasm') ?? []));
  const { wasm } = manifest;
  if (!wasm) throw new Error('the bundle has no module');
  const pages = wasm.memoryBytes / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const { run } = new WebAssembly.Instance(module, { convolith: { memory } }).exports as { run(): void };
  const bytes = new Uint8Array(memory.buffer).fill(0xff);
  bytes.set(files.get('weights.bin') ?? [], wasm.weightsAddress);
  const view = ({ dtype, address, shape }: ManifestTensor) =>
    new ARRAYS[dtype](memory.buffer, address, elementCount(shape));
  return Array.from({ length: runs }, () => {
    for (const port of manifest.inputs) view(port).set((inputs.get(port.name)?.data ?? []) as never);
    run();
    return new Map(
      manifest.outputs.map((port) => [port.name, { type: port, data: view(port).slice() }] as const),
    );
  });
}

/** max |a − b| / max |a|, where equal infinities and NaN at the same place agree; ∞ where they do not. */
export function relativeDifference(want: Tensor, got: Tensor): number {
  let worst = 0;
  let largest = 1e-30;
  for (let i = 0; i < want.data.length; i++) {
    const a = Number(want.data[i]);
    const b = Number(got.data[i]);
    if (Object.is(a, b) || a === b) continue;
    if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, Math.abs(a - b));
    largest = Math.max(largest, Math.abs(a));
  }
  for (let i = 0; i < want.data.length; i++) {
    const a = Math.abs(Number(want.data[i]));
    if (Number.isFinite(a)) largest = Math.max(largest, a);
  }
  return worst / largest;
}
