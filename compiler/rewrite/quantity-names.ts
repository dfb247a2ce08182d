/** What a budget can limit; apart, so that the command line need not load what computes it. */
export const QUANTITIES = ['macs', 'params', 'bytes', 'time'] as const;
export type BudgetQuantity = (typeof QUANTITIES)[number];
