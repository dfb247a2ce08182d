/** Graphviz as WebAssembly; here because the package imports Node's file system. */

/** Lays out a DOT graph as SVG. Loads Graphviz on first use. */
export async function renderSvg(dot: string): Promise<string> {
  const { renderGraphFromSource } = await import('graphviz-cli');
  return renderGraphFromSource({ input: dot }, { format: 'svg', engine: 'dot' });
}
