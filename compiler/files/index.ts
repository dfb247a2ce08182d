/** Files: everything that needs Node's file system and is not the command. */
export { type FileContent, writeFileAtomic, writeFolderAtomic } from './atomic.ts';
export { formatNpy, parseNpy } from './npy.ts';
export { type ModelSource, openModel, type ReadModelOptions, readModel } from './read-model.ts';
