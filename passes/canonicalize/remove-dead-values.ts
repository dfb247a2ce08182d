/**
 * Before      a node whose outputs nobody reads
 * After       nothing
 * Conditions  none: no op has side effects
 */
import { removeDead } from '../edit.ts';
import { definePass } from '../pass.ts';
import { noDeadNodes } from '../properties.ts';

export const removeDeadValues = definePass({
  name: 'removeDeadValues',
  summary: 'Removes nodes whose results nobody reads',
  requires: [],
  ensures: [noDeadNodes],
  run(graph) {
    const before = [...graph.nodes];
    for (const node of before.toReversed()) removeDead(graph, node);
    const left = new Set(graph.nodes);
    const applications = before.flatMap((node) =>
      left.has(node) ? [] : [{ rule: 'removeDeadValues', node: node.name }],
    );
    return { changes: applications.length, applications, refusals: [] };
  },
});
