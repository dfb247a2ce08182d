/** Graphviz as WebAssembly; here because the package imports Node's file system. */

/** Lays out a DOT graph as SVG. Loads Graphviz on first use. */
export async function renderSvg(dot: string): Promise<string> {
  const { renderGraphFromSource } = await import('graphviz-cli');
  const svg = await renderGraphFromSource({ input: dot }, { format: 'svg', engine: 'dot' });
  return svg.replace('<g id="graph0"', `${STYLE}\n<g id="graph0"`);
}

/** The first line of a box is its title; Graphviz knows one size of letter per label. */
const STYLE = `<style>
text { font-family: system-ui, Helvetica, Arial, sans-serif; }
.graph > text:first-of-type { font-weight: 700; font-size: 17px; }
.node text { font-size: 9.5px; }
.node text:first-of-type { font-weight: 600; font-size: 11px; }
.light text:first-of-type { font-weight: 400; font-size: 10px; }
</style>`;
