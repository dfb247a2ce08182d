/** Sections of an audit for which the compiler is needed, which is loaded only then. */
import { fail } from '#ir/diagnostics.ts';
import type { Graph } from '#ir/graph.ts';
import type { RooflineDevice } from '../audit/roofline.ts';
import type { AuditReport } from '../audit/schema.ts';
import { DEVICES, deviceNamed } from '../roofline/devices.ts';
import { didYouMean } from '../suggest.ts';

export interface CompiledSections {
  readonly footprint?: boolean;
  readonly compile?: boolean;
  readonly device?: string;
}

/** The report with what was asked for; `graph` is called where that is something. */
export async function withCompiled(
  report: AuditReport,
  graph: () => Graph,
  { footprint, compile, device }: CompiledSections,
): Promise<AuditReport> {
  if (!footprint && !compile && device === undefined) return report;
  const example = report.dims.find((dim) => dim.source === 'example');
  if (example) {
    fail(
      'dimension-missing',
      example.symbol,
      'memory and time depend on it, and it is not given',
      `--dim ${example.symbol}=SIZE`,
    );
  }
  const on = device === undefined ? undefined : await deviceFor(device);
  const { footprintOf } = await import('../audit/footprint.ts');
  const { rooflineOf } = await import('../audit/roofline.ts');
  return {
    ...report,
    ...(footprint || compile ? { footprint: footprintOf(graph(), { code: compile ?? false }) } : {}),
    ...(on ? { roofline: rooflineOf(graph(), on) } : {}),
  };
}

/** By its name, or the file of a profile. @throws CompileError `usage-invalid` */
export async function deviceFor(text: string): Promise<RooflineDevice> {
  const device = deviceNamed(text);
  if (device) return { kind: 'dataSheet', device };
  const looksLikeFile = /[./\\]/.test(text);
  if (!looksLikeFile) {
    const names = DEVICES.map(({ name }) => name);
    fail(
      'usage-invalid',
      `--device ${text}`,
      `there is no device of this name; there are ${names.join(', ')}`,
      didYouMean(text, names) ?? 'a file that convolith calibrate wrote does as well',
    );
  }
  const { readProfile } = await import('./measured-files.ts');
  return { kind: 'measured', profile: await readProfile(text) };
}
