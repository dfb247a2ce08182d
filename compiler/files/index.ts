/** Files: everything that needs Node's file system and is not the command. */
export { type ReadModelOptions, readModel } from './read-model.ts';
