import type { AuditReport } from '../audit/schema.ts';

/** The whole report, as `auditSchema` describes it. */
export const renderJson = (report: AuditReport): string => `${JSON.stringify(report, null, 2)}\n`;
