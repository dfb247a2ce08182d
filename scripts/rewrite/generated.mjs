/** Text between markers of a document. */
import { readFileSync, writeFileSync } from 'node:fs';

/** @param {string} path @param {string} name of the markers @param {string} content what takes the place of all between */
export function writeBetween(path, name, content) {
  const [start, end] = [`<!-- generated: ${name} -->`, `<!-- /generated: ${name} -->`];
  const text = readFileSync(path, 'utf8');
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path} has no ${start} … ${end}`);
  writeFileSync(path, `${text.slice(0, from + start.length)}\n${content}\n${text.slice(to)}`);
}
