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
    let changes = 0;
    for (const node of [...graph.nodes].reverse()) changes += removeDead(graph, node);
    return { changes, refusals: [] };
  },
});
