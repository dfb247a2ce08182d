/** Printers of an audit: pure functions from the report to text. */
export { renderCsv } from './csv.ts';
export { type DotOptions, renderDot } from './dot/index.ts';
export { renderJson } from './json.ts';
export { renderMarkdown } from './markdown.ts';
export { renderGithub, renderSarif } from './sarif.ts';
export { renderTable, type TableOptions } from './table.ts';
