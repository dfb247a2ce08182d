/** A network as the files that are written for it, by the extension of its name. */
import { basename } from 'node:path';
import { type Diagnostic, fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import { graphCost } from '#passes/analysis/cost.ts';
import { runPipeline } from '#passes/pass.ts';
import { spellingPipeline } from '#passes/pipeline.ts';
import { exportJson } from '../export/json/index.ts';
import { type ExportOnnxOptions, exportOnnx } from '../export/onnx/index.ts';
import { formatSafetensors } from '../weights/safetensors.ts';

export type ModelFormat = 'onnx' | 'json';

/** @throws CompileError `usage-invalid` for a name that ends in neither format */
export function modelFormat(output: string): ModelFormat {
  const extension = /\.(onnx|json)$/i.exec(output)?.[1]?.toLowerCase();
  if (extension === 'onnx' || extension === 'json') return extension;
  return fail('usage-invalid', `-o ${output}`, 'its extension says no format', 'end it in .onnx or .json');
}

/** Models above this keep their weights beside them: a protocol buffer ends at 2 GiB, and readers before that. */
const INLINE_BYTES = 2 ** 30;

export interface ModelOutput {
  /** The model last, as it refers to the others. */
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  readonly diagnostics: readonly Diagnostic[];
}

/** @throws CompileError for what the format cannot express */
export function modelFiles(
  graph: Graph,
  output: string,
  more: Pick<ExportOnnxOptions, 'metadata' | 'opset'> = {},
): ModelOutput {
  const files = new Map<string, string | Uint8Array>();
  const format = modelFormat(output);
  if (format === 'onnx') {
    const large = graphCost(graph).totals.parameterBytes > INLINE_BYTES;
    const beside = large ? { dataFile: `${basename(output)}.data` } : {};
    const { model, data } = exportOnnx(graph, { ...more, ...beside });
    if (data) files.set(`${output}.data`, data);
    files.set(output, model);
    return { files, diagnostics: [] };
  }
  runPipeline(graph, spellingPipeline);
  const stem = output.slice(0, -format.length - 1);
  const weightsFile = `${basename(stem)}.safetensors`;
  const { network, weights, diagnostics } = exportJson(graph, { weightsFile });
  if (weights.size > 0) files.set(`${stem}.safetensors`, formatSafetensors(weights));
  files.set(output, `${JSON.stringify(network, null, 2)}\n`);
  return { files, diagnostics };
}
