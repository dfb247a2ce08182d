/** Graphviz as WebAssembly; here because the package imports Node's file system. */

import { setImmediate } from 'node:timers/promises';

/** Lays out a DOT graph as SVG. Loads Graphviz on first use. */
export async function renderSvg(dot: string): Promise<string> {
  const svg = await withoutWarnings(async () => {
    const { renderGraphFromSource } = await import('graphviz-cli');
    return renderGraphFromSource({ input: dot }, { format: 'svg', engine: 'dot' });
  });
  return namesOnTop(svg).replace('<g id="graph0"', `${STYLE}\n<g id="graph0"`);
}

/** Graphviz draws frames with their names first, and edges across them: the names go to the end. */
function namesOnTop(svg: string): string {
  const names: string[] = [];
  const frames = svg.replace(/<g id="clust\d+" class="cluster.*?<\/g>/gs, (frame) =>
    frame.replace(/<text .*?<\/text>\n/gs, (name) => {
      // the room below it has no letters
      if (/>[^<]*[^<\s][^<]*<\/text>/.test(name.replaceAll('&#160;', ' '))) names.push(name);
      return '';
    }),
  );
  const end = frames.lastIndexOf('</g>');
  return `${frames.slice(0, end)}<g class="names">\n${names.join('')}</g>\n${frames.slice(end)}`;
}

/** Graphviz, which works in a thread of its own, prints a warning about letters whose width it has to guess. */
async function withoutWarnings<T>(work: () => Promise<T>): Promise<T> {
  const { stderr } = process;
  const write = stderr.write;
  stderr.write = (...args: unknown[]): boolean =>
    /^Warning: no value for width of /.test(String(args[0]))
      ? done(args)
      : Reflect.apply(write, stderr, args);
  try {
    const result = await work();
    // what the thread printed before its result comes with it
    await setImmediate();
    return result;
  } finally {
    stderr.write = write;
  }
}

/** Tells the writer that it is done, as a stream would. */
function done(args: readonly unknown[]): boolean {
  const callback = args.at(-1);
  if (typeof callback === 'function') process.nextTick(callback as () => void);
  return true;
}

/** The first line of a box is its title; Graphviz knows one size of letter per label. */
const STYLE = `<style>
text { font-family: system-ui, Helvetica, Arial, sans-serif; }
.graph > text { font-size: 12px; }
.graph > text:first-of-type { font-weight: 700; font-size: 17px; }
.names text { font-size: 9px; paint-order: stroke; stroke: #fafbfc; stroke-width: 4px; stroke-linejoin: round; }
.edge polygon { stroke: none; }
.node text { font-size: 9.5px; }
.node text:first-of-type { font-weight: 600; font-size: 11px; }
.light text:first-of-type { font-weight: 400; font-size: 10px; }
</style>`;
