/** Random stacks of convolutions by the reference, by WebAssembly and by onnxruntime, and what they were made of. */
import fc from 'fast-check';
import { compileGraph } from '#compiler/compile.ts';
import { exportOnnx } from '#compiler/export/onnx/index.ts';
import { type Graph, isOp } from '#ir/graph.ts';
import { printGraph } from '#ir/text.ts';
import { buildStack, type Stack, stackArbitrary } from './conv-stacks.ts';
import { runOnnxruntime } from './onnxruntime.ts';
import { type Bounded, boundedOutputs } from './rounding.ts';
import { STACK_FEATURES } from './stack-features.ts';
import { runBundle } from './wasm.ts';

/** What onnxruntime does not run, exactly: all of it is refused, and nothing else is. */
const REFUSALS: readonly {
  readonly reason: string;
  readonly applies: (graph: Graph) => boolean;
  readonly message: RegExp;
}[] = [
  {
    // it computes the input's size back from the output's, which is one more for each stride of output padding
    reason: 'ConvTranspose whose output padding is not smaller than its stride',
    applies: ({ nodes }) =>
      nodes.some(
        (node) =>
          isOp(node, 'ConvTranspose') &&
          node.attrs.outputPadding.some((padding, i) => padding >= (node.attrs.strides[i] ?? 1)),
      ),
    message: /output_padding \(\d+\) may be too large for stride \(\d+\)/,
  },
];

/** Bounds below this part of an output's largest value tell right from wrong. */
const SHARP = 1e-2;

export interface Tally {
  readonly cases: number;
  readonly comparedWithOnnxruntime: number;
  /** Cases by reason. */
  readonly refused: ReadonlyMap<string, number>;
  /** Cases whose bounds are all small next to their outputs. */
  readonly sharp: number;
  /** The largest part of its bound that a difference took. */
  readonly worst: number;
  /** Cases that have each of `STACK_FEATURES`. */
  readonly features: ReadonlyMap<string, number>;
}

/** What is missing for the comparison to mean something; each feature is to be in this part of the cases. */
export function shortfalls(
  { cases, comparedWithOnnxruntime, sharp, features }: Tally,
  part: number,
): string[] {
  const fewer = (what: string, count: number, of: number) =>
    count < of * cases ? [`${what}: ${count} of ${cases} cases, which is less than ${of * cases}`] : [];
  return [
    ...fewer('compared with onnxruntime', comparedWithOnnxruntime, 0.85),
    ...fewer('bounds that tell right from wrong', sharp, 0.95),
    ...[...features].flatMap(([name, count]) => fewer(name, count, part)),
  ];
}

/** Compares as many random stacks. @throws the smallest one found whose results differ by more than rounding */
export async function compareStacks(seed: number, numRuns: number): Promise<Tally> {
  const found = { compared: 0, sharp: 0, worst: 0 };
  const refused = new Map(REFUSALS.map(({ reason }) => [reason, 0]));
  const features = new Map([...STACK_FEATURES.keys()].map((name) => [name, 0]));
  const count = (map: Map<string, number>, name: string) => map.set(name, (map.get(name) ?? 0) + 1);
  await fc.assert(
    fc.asyncProperty(stackArbitrary, async (spec) => {
      const stack = buildStack(spec);
      const result = await compareStack(stack).catch(
        (error: Error): StackResult => ({ faults: [error.message], sharp: false, worst: 0 }),
      );
      if (result.faults.length > 0) {
        throw new Error(`${result.faults.join('\n')}\n${printGraph(stack.graph)}`);
      }
      if (result.refusal) count(refused, result.refusal);
      else found.compared++;
      if (result.sharp) found.sharp++;
      found.worst = Math.max(found.worst, result.worst);
      for (const [name, has] of STACK_FEATURES) if (has(stack.graph)) count(features, name);
    }),
    { seed, numRuns },
  );
  const { compared, sharp, worst } = found;
  return { cases: numRuns, comparedWithOnnxruntime: compared, refused, sharp, worst, features };
}

interface StackResult {
  readonly faults: readonly string[];
  /** Why onnxruntime did not run it. */
  readonly refusal?: string;
  readonly sharp: boolean;
  readonly worst: number;
}

async function compareStack({ graph, inputs }: Stack): Promise<StackResult> {
  const expected = boundedOutputs(graph, inputs);
  const faults: string[] = [];
  let worst = 0;
  const compare = (who: string, output: (name: string) => ArrayLike<number> | undefined) => {
    for (const [name, want] of expected) {
      const part = partOfBound(want, output(name));
      worst = Math.max(worst, part);
      if (!(part <= 1)) faults.push(`${who}: output ${name} is off by ${part} times what rounding may do`);
    }
  };
  // the second run starts from what the first one left
  for (const [run, outputs] of runBundle(await compileGraph(graph), inputs, 2).entries()) {
    compare(`WebAssembly, run ${run}`, (name) => outputs.get(name)?.data as Float32Array | undefined);
  }
  const feeds = Object.fromEntries(
    [...inputs].map(([name, { data, type }]) => [name, { data: data as Float32Array, shape: type.shape }]),
  );
  const known = REFUSALS.find(({ applies }) => applies(graph));
  const theirs = await runOnnxruntime(exportOnnx(graph).model, feeds, { quiet: known !== undefined }).catch(
    (error: Error) => error,
  );
  const sharp = [...expected.values()].every(isSharp);
  if (theirs instanceof Error) {
    if (known?.message.test(theirs.message)) return { faults, refusal: known.reason, sharp, worst };
    faults.push(`onnxruntime: ${theirs.message}`);
  } else if (known) faults.push(`onnxruntime runs what it was said to refuse: ${known.reason}`);
  else {
    for (const { name, value } of graph.outputs) {
      const [want, got] = [value.type.shape, theirs[name]?.shape];
      if (String(want) !== String(got)) faults.push(`onnxruntime: output ${name} is [${got}], not [${want}]`);
    }
    compare('onnxruntime', (name) => theirs[name]?.data as Float32Array | undefined);
  }
  return { faults, sharp, worst };
}

/** The largest difference as a part of what two computations in f32 may differ by; ∞ where a number is missing. */
export function partOfBound({ value, error }: Bounded, got: ArrayLike<number> | undefined): number {
  let worst = got?.length === value.data.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < value.data.length; i++) {
    const difference = Math.abs(Number(value.data[i]) - (got?.[i] ?? Number.NaN));
    const part = difference === 0 ? 0 : difference / (2 * Number(error.data[i]));
    worst = part <= worst ? worst : Number.isNaN(part) ? Number.POSITIVE_INFINITY : part;
  }
  return worst;
}

function isSharp({ value, error }: Bounded): boolean {
  const largest = (data: ArrayLike<number | bigint>) =>
    Array.from(data, (x) => Math.abs(Number(x))).reduce((a, b) => Math.max(a, b), 0);
  return 2 * largest(error.data) < SHARP * largest(value.data);
}
