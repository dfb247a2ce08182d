/** The options of `audit` that choose among findings. */
import { fail } from '#ir/diagnostics.ts';
import { FINDING_CODES, type FindingCode } from '#passes/analysis/findings/index.ts';
import type { FindingChoice } from '../audit/findings.ts';
import { wholeNumber } from './options.ts';
import { didYouMean } from './suggest.ts';

export interface FindingTexts {
  readonly findings?: string;
  /** Codes with commas between. */
  readonly ignore?: string;
}

/** @throws CompileError `usage-invalid`, for a code that no finding has */
export const findingChoice = ({ findings, ignore }: FindingTexts): FindingChoice => ({
  ...(findings === undefined ? {} : { findings: wholeNumber(findings, '--findings') }),
  ignore: ignore === undefined ? [] : ignore.split(',').map(codeOf),
});

function codeOf(text: string): FindingCode {
  const code = FINDING_CODES.find((known) => known === text.trim());
  return (
    code ??
    fail(
      'usage-invalid',
      `--ignore ${text}`,
      'there is no finding of this code',
      didYouMean(text, FINDING_CODES) ?? 'convolith explain lists them',
    )
  );
}
