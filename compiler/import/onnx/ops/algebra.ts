/** Sums of products by equation, determinants. */
import type { ImportRule } from '../rule.ts';

const einsum: ImportRule = (node) =>
  node.emit(
    'Einsum',
    node.inputs.map((_, i) => node.input(i)),
    { equation: node.attrs.string('equation') ?? node.refuse('Einsum has no equation', 'graph-invalid') },
  );

export const ALGEBRA = {
  Einsum: einsum,
  Det: (node) => node.emit('Det', [node.input(0)], {}),
} satisfies Record<string, ImportRule>;
