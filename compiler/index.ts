/** The public API, all of it. What needs the file system is in `convolith/files`. */
export { Builder, type ConvOptions } from '#ir/builder.ts';
export { cloneGraph } from '#ir/clone.ts';
export { CATALOGUE } from '#ir/diagnostic-catalogue.ts';
export {
  CompileError,
  type Diagnostic,
  type DiagnosticCode,
  type DiagnosticKind,
  formatDiagnostic,
  InternalError,
  isError,
} from '#ir/diagnostics.ts';
export { type EvaluateOptions, evaluateGraph } from '#ir/evaluate.ts';
export {
  Graph,
  type GraphOutput,
  type Node,
  type NodeOptions,
  type OpAttrs,
  type OpAttrsInput,
  type OpName,
  type Value,
} from '#ir/graph.ts';
export { type Constant, f32, i64, type Tensor, type TensorData, tensor } from '#ir/tensor.ts';
export { type PrintOptions, parseGraph, printGraph } from '#ir/text.ts';
export { type DType, formatShape, formatType, type Shape, type TensorType } from '#ir/types.ts';
export { verifyGraph } from '#ir/verify.ts';
export { type GraphCost, graphCost, type NodeCost } from '#passes/analysis/cost.ts';
export type { PresetName } from '#passes/analysis/presets/index.ts';
export {
  type PassTrace,
  type Pipeline,
  type PipelineOptions,
  passNames,
  runPipeline,
} from '#passes/pass.ts';
export { PIPELINES, type PipelineName } from '#passes/pipeline.ts';
export type { Manifest, ManifestTensor, SelfTest } from '#runtime/abi.ts';
export { type BudgetResult, type BudgetTerm, checkBudget, parseBudget } from './audit/budget.ts';
export { footprintOf } from './audit/footprint.ts';
export {
  type AuditField,
  type AuditFootprint,
  type AuditLayer,
  type AuditModel,
  type AuditOptions,
  type AuditReport,
  type AuditRoofline,
  audit,
  type FindingChoice,
  type FindingCode,
} from './audit/index.ts';
export { type RooflineDevice, rooflineOf } from './audit/roofline.ts';
export { auditSchema } from './audit/schema.ts';
export { type BundleReader, verifyBundle } from './bundle/verify.ts';
export { compileGraph, compileModel } from './compile.ts';
export {
  COMPILE_STAGES,
  COMPILE_TARGETS,
  type CompiledBundle,
  type CompileGraphOptions,
  type CompileOptions,
  type CompileStage,
  type CompileStats,
  type CompileTarget,
  type Specialisation,
} from './compile-options.ts';
export { type DiffReport, diffAudits } from './diff/index.ts';
export { diffSchema } from './diff/schema.ts';
export { type ExportedJson, type ExportJsonOptions, exportJson } from './export/json/index.ts';
export { type ExportedOnnx, type ExportOnnxOptions, exportOnnx } from './export/onnx/index.ts';
export { formatOf, importModel, type ModelFormat } from './import/index.ts';
export {
  importJson,
  type JsonImportOptions,
  networkJsonSchema,
  networkSchema,
} from './import/json/index.ts';
export {
  type ImportedModel,
  type ImportOptions,
  importOnnx,
  type SymbolicDimension,
} from './import/onnx/index.ts';
export type { PictureOptions, PictureSize, PreprocessOptions } from './preprocess/options.ts';
export { renderDiff } from './report/diff.ts';
export { renderHtml } from './report/html/index.ts';
export { renderRewriteHtml } from './report/html/rewrite.ts';
export {
  renderCsv,
  renderDot,
  renderGithub,
  renderJson,
  renderMarkdown,
  renderSarif,
  renderTable,
} from './report/index.ts';
export { renderRewrite, renderRewriteMarkdown } from './report/rewrite.ts';
export {
  type RewriteBudget,
  type RewriteLimit,
  type RewriteOptions,
  type RewriteReport,
  type RewriteResult,
  rewriteGraph,
} from './rewrite/index.ts';
export { rewriteSchema } from './rewrite/schema.ts';
export { DEVICES, type Device } from './roofline/devices.ts';
export { type AdapterKey, tuningForAdapter } from './tune/adapters.ts';
export { type CalibrateOptions, calibrate } from './tune/calibrate.ts';
export { type TuneOptions, type TuneResult, tuneModel } from './tune/index.ts';
export type { GpuProfile, MachineProfile } from './tune/profile.ts';
export { type Machine, type Tuning, tuningFor } from './tune/tuning.ts';
export { AUDIT_VERSION, DIFF_VERSION, REWRITE_VERSION, VERSION } from './version.ts';
export { formatSafetensors, parseSafetensors } from './weights/safetensors.ts';
