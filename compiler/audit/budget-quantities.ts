/** What there is a budget for, in the unit of the report, and the option that brings it there. */
export const BUDGET_QUANTITIES = {
  macs: { unit: 'MACs' },
  flops: { unit: 'FLOPs' },
  otherOps: { unit: 'operations' },
  params: { unit: 'parameters' },
  buffers: { unit: 'elements' },
  weights: { unit: 'bytes' },
  peak: { unit: 'bytes' },
  traffic: { unit: 'bytes' },
  read: { unit: 'bytes' },
  written: { unit: 'bytes' },
  layers: { unit: 'nodes' },
  memory: { unit: 'bytes', needs: '--footprint' },
  code: { unit: 'bytes', needs: '--compile' },
  time: { unit: 'µs', needs: '--device' },
} as const satisfies Record<string, { readonly unit: string; readonly needs?: string }>;

export type BudgetQuantity = keyof typeof BUDGET_QUANTITIES;
export const BUDGET_NAMES = Object.keys(BUDGET_QUANTITIES) as readonly BudgetQuantity[];
