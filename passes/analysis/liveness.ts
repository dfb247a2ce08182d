/** When the values of a graph are alive, and how much memory that takes. */
export { type ArenaPlan, type ArenaRequest, planArena } from './arena.ts';
