import type { ProgramManifest } from '#runtime/abi.ts';
export const demoPage = ({ name }: ProgramManifest): string =>
  `<!doctype html><title>${name.replace(/[<>&"]/g, '')}</title>`;
