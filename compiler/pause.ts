/** Lets the event loop turn: a page repaints, an abort is noticed. */
export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
