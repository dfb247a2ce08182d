/** Files: everything that needs Node's file system and is not the command. */
export {
  type FileContent,
  makeFolderAtomic,
  type WriteFile,
  writeFileAtomic,
  writeFolderAtomic,
} from './atomic.ts';
export {
  type BundleArray,
  type BundleTensor,
  folderReader,
  isBundle,
  type LoadedBundle,
  loadBundle,
  makeBundleFolder,
  readBundle,
  readManifest,
  requireSoundBundle,
  type WriteBundleOptions,
  writeBundle,
} from './bundle.ts';
export { type ModelSource, openModel } from './model-files.ts';
export { formatNpy, parseNpy } from './npy.ts';
export { type ReadModelOptions, readModel } from './read-model.ts';
