/** `expand.js`: brings weights into memory that are stored in fewer bytes than they have there. */
export { expandWeights } from './stored-weights.ts';
