/** Parts of pages that scripts write, between marks. */

const END = '<!-- /generated -->';
const beginOf = (name: string): string => `<!-- generated: ${name} -->`;

/** Where the text of a part begins and ends. */
function rangeOf(page: string, name: string): readonly [number, number] {
  const begin = beginOf(name);
  const at = page.indexOf(begin);
  const from = at + begin.length;
  const to = page.indexOf(END, from);
  if (at < 0 || to < 0) throw new Error(`the page has no part between ${begin} and ${END}`);
  return [from, to];
}

/** A page with one of its parts written anew; what is between the marks of the part is replaced. */
export function withPart(page: string, name: string, text: string): string {
  const [from, to] = rangeOf(page, name);
  return `${page.slice(0, from)}\n${text}\n${page.slice(to)}`;
}

/** The text of a part. */
export function partOf(page: string, name: string): string {
  const [from, to] = rangeOf(page, name);
  return page.slice(from, to).trim();
}

/** A part with its marks. */
export const marked = (name: string, text: string): string => `${beginOf(name)}\n${text}\n${END}`;
